"""What the tests are fed with: small asymmetric scans, batches, optics, and trainings of a few steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from pinn_config.architecture import network
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.optics.probe import defocused_probe
from pinn_data.progress.reports import Watcher
from pinn_data.scan.scan import Scan
from pinn_data.testing import noise_free, small_positions, small_scan, transposed, two_modes
from pinn_torch.model.network import PtychoNetwork
from pinn_torch.optics.physics import GroupOptics, fourier_shift
from pinn_torch.workflows import Reconstruction, TrainingResult, reconstruct, train

__all__ = [
    "ARCHITECTURES",
    "EVERY_OPTION",
    "Scene",
    "network_image",
    "noise_free",
    "options_of",
    "quiet",
    "scene",
    "small_network",
    "small_positions",
    "small_scan",
    "small_training",
    "transposed",
    "two_modes",
]

ARCHITECTURES = ("cnn", "unet", "refined", "unrolled")


EVERY_OPTION = {
    "cbam_encoder": True,
    "cbam_bottleneck": True,
    "cbam_decoder": True,
    "eca_encoder": True,
    "eca_decoder": True,
    "spatial_decoder": True,
    "decoder_spatial_kernel": 5,
    "batch_norm": True,
    "use_shared_decoder": True,
    "decoder_last_c_outer_fraction": 0.25,
    "decoder_last_amp_channels": 1,
}
"""Every layer and wiring that only this backend has, switched on; for the architectures cnn and refined."""


def options_of(architecture: str) -> dict[str, Any]:
    """Those of `EVERY_OPTION` that an architecture has a place for."""
    heads = ("use_shared_decoder", "decoder_last_c_outer_fraction", "decoder_last_amp_channels")
    if architecture == "unrolled":
        return {}
    return {name: v for name, v in EVERY_OPTION.items() if architecture != "unet" or name not in heads}


def quiet(**settings: Any) -> PyTorchExecutionConfig:
    """An execution that writes neither logs nor checkpoints."""
    return PyTorchExecutionConfig(**{"logger_backend": "none", "enable_checkpointing": False} | settings)


def small_training(
    folder: Path,
    scan: Scan,
    *,
    architecture: str = "cnn",
    gridsize: int = 1,
    execution: dict[str, Any] | None = None,
    learning_rate: float = 1e-3,
    seed: int = 0,
    validation: Scan | None = None,
    max_seconds: float | None = None,
    progress: Watcher | None = None,
    model: dict[str, Any] | None = None,
    **settings: Any,
) -> TrainingResult:
    """Two steps unless `settings` (of TrainingConfig) say otherwise, with the narrowest network."""
    config = TrainingConfig(
        model=ModelConfig(
            **{"N": scan.N, "architecture": architecture, "gridsize": gridsize, "n_filters_scale": 1}
            | (model or {})
        ),
        **{"nepochs": 1, "batch_size": 6, "n_groups": 12, "output_dir": folder} | settings,
    )
    run = quiet(**{"learning_rate": learning_rate} | (execution or {}))
    return train(
        scan, config, run, validation=validation, seed=seed, max_seconds=max_seconds, progress=progress
    )


@attrs.frozen
class Scene:
    """Optics of a batch of groups, and the truth behind their amplitudes.

    canvas : (group, M, M) complex; optics : measured amplitudes are those of `canvas`, without noise
    """

    optics: GroupOptics
    amplitude: torch.Tensor
    canvas: torch.Tensor
    probes: torch.Tensor
    corners: torch.Tensor

    def of(self, groups: slice | list[int]) -> GroupOptics:
        """The optics of some of the groups alone."""
        return GroupOptics(
            self.amplitude[groups],
            self.probes[groups],
            self.corners[groups],
            self.canvas.shape[-1],
            self.optics.background,
            self.optics.smoothing_sigma,
        )


def scene(
    seed: int,
    *,
    groups: int = 2,
    patterns: int = 4,
    modes: int = 2,
    size: int = 16,
    canvas: int = 24,
    dtype: torch.dtype = torch.float32,
    sigma: float = 0.0,
) -> Scene:
    """Complex objects and probes without symmetry, in the network's units (energy about (N/2)**2)."""
    rng = np.random.default_rng(seed)
    complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
    probe = defocused_probe(max(size, 8))[:size, :size]
    probe = np.stack([probe * np.exp(1j * m) * (0.6**m) for m in range(modes)])
    probe = probe + 0.15 * np.abs(probe).max() * _noise(rng, probe.shape)
    probe *= size / 2 / np.sqrt(0.5) / np.sqrt(np.sum(np.abs(probe) ** 2))
    objects = torch.from_numpy(np.sqrt(0.5) * (1 + 0.25 * _noise(rng, (groups, canvas, canvas)))).to(
        complex_dtype
    )
    corners = torch.from_numpy(rng.integers(0, canvas - size + 1, size=(groups, patterns, 2)))
    fractions = torch.from_numpy(rng.uniform(0, 1, size=(groups, patterns, 2))).to(dtype)
    probes = fourier_shift(torch.from_numpy(probe).to(complex_dtype), fractions)
    blank = torch.zeros((groups, patterns, size, size), dtype=dtype)
    background = float(np.sqrt(0.5))
    amplitude = GroupOptics(blank, probes, corners, canvas, background, sigma).intensity(objects).sqrt()
    optics = GroupOptics(amplitude, probes, corners, canvas, background, sigma)
    return Scene(optics, amplitude, objects, probes, corners)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def small_network(
    architecture: str, gridsize: int = 1, *, seed: int = 0, N: int = 64, **model: Any
) -> PtychoNetwork:
    """The narrowest network of an architecture with trained weights that all differ from zero,
    ready to run."""
    torch.manual_seed(seed)
    config = ModelConfig(N=N, architecture=architecture, gridsize=gridsize, n_filters_scale=1, **model)
    built = PtychoNetwork(network(config)).eval()
    with torch.no_grad():
        for parameter in filter(lambda p: p.requires_grad, built.parameters()):
            parameter.add_(0.03 * torch.randn_like(parameter))
        for name, gathered in built.named_buffers():
            if name.endswith(".variance"):
                gathered.mul_(torch.exp(0.3 * torch.randn_like(gathered)))
            else:
                gathered.add_(0.1 * torch.randn_like(gathered))
    return built


def network_image(
    model: Any,
    scan: Scan,
    config: InferenceConfig | None = None,
    execution: PyTorchExecutionConfig | None = None,
    **options: Any,
) -> Reconstruction:
    """The image as the network makes it, without the solver after it unless `config` asks for that."""
    config = config or InferenceConfig(ModelConfig())
    config = dataclasses.replace(config, refine=config.refine or "none")
    return reconstruct(model, scan, config, execution, **options)
