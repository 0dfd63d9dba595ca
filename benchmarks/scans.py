"""The data: one small simulated scan with its models, and one large scan that only its size matters of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.optics.probe import defocused_probe
from pinn_data.scan.scan import Scan
from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan

__all__ = ["BATCH", "SCAN", "N", "configs", "model_folder", "prepare", "wide_scan"]

N, BATCH = 64, 16
SCAN = "scan.npz"
_SIDE, _STEP, _JITTER = 32, 6.0, 2.0
_KNOWN_MODELS = (("cnn", 1), ("unrolled", 2))


def configs(
    architecture: str, gridsize: int, output: Path, **training: object
) -> tuple[TrainingConfig, PyTorchExecutionConfig]:
    """The specification's network where nothing else is said: N = 64, n_filters_scale 2, batch 16."""
    model = ModelConfig(N=N, gridsize=gridsize, n_filters_scale=2, architecture=architecture)
    options = {
        "batch_size": BATCH,
        "neighbor_count": 7,
        "output_dir": output,
        "backend": "pytorch",
    } | training
    execution = PyTorchExecutionConfig(
        accelerator="cpu", precision="32-true", logger_backend="none", enable_checkpointing=False
    )
    return TrainingConfig(model=model, **options), execution


def model_folder(folder: Path, architecture: str, gridsize: int) -> Path:
    """Where the archive of that network lies."""
    return folder / f"model-{architecture}-{gridsize}"


def prepare(folder: Path) -> list[object]:
    """Write the small scan (1024 patterns) and an archive of each network that reconstructs."""
    from pinn_torch.workflows import train

    size = round(_SIDE * _STEP + N + 3 * _JITTER)
    rng = np.random.default_rng(0)
    positions = jittered_raster((size, size), N, _STEP, _JITTER, rng)
    scan = simulate_scan(
        picture_object("camera", "coins", size), defocused_probe(N), positions, photons=5e5, rng=rng
    )
    write_scan(folder / SCAN, scan, unit="counts")
    for architecture, gridsize in _KNOWN_MODELS:
        output = model_folder(folder, architecture, gridsize)
        config, execution = configs(architecture, gridsize, output, nepochs=1, n_groups=BATCH)
        train(scan, config, execution)
    return []


def wide_scan(folder: Path, frames: int) -> Scan:
    """A scan of so many frames: those of the small scan, over and over, on a raster of the same step."""
    small = read_scan(folder / SCAN)
    side = int(np.ceil(np.sqrt(frames)))
    y, x = np.divmod(np.arange(frames), side)
    positions = np.stack([y, x], 1) * _STEP + np.random.default_rng(1).uniform(-_JITTER, _JITTER, (frames, 2))
    chosen = np.arange(frames) % len(small)
    return Scan(small.diffraction[chosen], small.unit, positions + N, small.probe)
