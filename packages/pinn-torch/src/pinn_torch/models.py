"""The two models of an archive as plain torch modules, with the inputs of the specification (section 4.4.1).

Inputs of both, for B groups of C = gridsize**2 patterns
    ``x``         [B, C, N, N] float32, measured amplitude, zero frequency at N/2
    ``positions`` [B, C, 1, 2] float32, pixels as (x, y): minus the distance of each pattern's scan position
                  from the mean of its group (the historical ``coords_relative``)
    ``probe``     complex64: [N, N], [mode, N, N] for all patterns, or [B, C, mode, N, N], one for each
    ``input_scale_factor`` [B] or [B, 1, 1, 1] float32: ``x * input_scale_factor`` has a mean energy of
                  (N/2)**2 a pattern over its scan, which is what the network was trained on

Outputs, all [B, C, N, N]
    ``object_patches`` complex64: pixel (N/2, N/2) of a patch lies on the whole part of its position
    ``pred_amp``, ``pred_intensity`` float32: what ``x`` and its square should be

Law: ``pred_amp = abs(fftshift(fft2(p * object_patches, norm='ortho')))``, modes added in intensity, where p
is the given probe moved by the fraction of the position (and confined by the model's mask). So the object has
the unit of ``x`` by the unit of the probe, and only the shape of the probe matters to the network: its energy
is brought to that of the model's own.

Every group is computed by itself, on a canvas as large as its positions ask for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pinn_archive.reader import read_archive
from pinn_data.grouping.group_rows import canvas_side
from pinn_data.optics.probe import probe_disk
from torch import Tensor, nn

from pinn_torch.archive.model_archive import TrainedModel, load_model
from pinn_torch.errors import ModelArchiveError, RunError
from pinn_torch.model.module import BACKGROUND, PtychoPINN_Lightning
from pinn_torch.optics.physics import GroupOptics, fourier_shift

__all__ = ["Autoencoder", "DiffractionToObject", "Prediction", "load_models", "models_of"]

# float32 positions that should be whole numbers may lie so far below them.
_ROUNDING = 1e-4
_LARGEST_CANVAS = 8192


class Prediction(NamedTuple):
    """What the autoencoder says of a batch of groups; see the module's docstring."""

    object_patches: Tensor
    pred_amp: Tensor
    pred_intensity: Tensor


class _GroupModel(nn.Module):
    """A trained module behind the inputs of the specification.

    trained : the training that it comes from, which `pinn_torch.components` saves; None where
        that is not known
    """

    trained: TrainedModel | None = None

    def __init__(self, module: PtychoPINN_Lightning) -> None:
        super().__init__()
        self.module = module
        self.train(module.training)

    @property
    def N(self) -> int:
        """Pixels along one side of a pattern."""
        return self.module.model.N

    @property
    def channels(self) -> int:
        """Patterns in a group, gridsize**2."""
        return self.module.channels

    def _predicted(
        self, x: Tensor, positions: Tensor, probe: Tensor, input_scale_factor: Tensor, diffraction: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Object patches and, if wanted, the intensity of their diffraction, in the units of the outputs."""
        self._check(x, positions, probe, input_scale_factor)
        corners, fractions = _corners(positions)
        probes, unit = self._probes(probe, fractions)
        scale = input_scale_factor.view(-1, 1, 1, 1)
        sides = self._sides(corners)
        patches, intensities = [], []
        for side in sorted(set(sides)):
            # Groups that need the same canvas go together; no group's result depends on another's size.
            rows = torch.tensor([i for i, own in enumerate(sides) if own == side], device=x.device)
            sigma = self.module.model.gaussian_smoothing_sigma
            amplitude = x[rows] * scale[rows]
            optics = GroupOptics(amplitude, probes[rows], corners[rows], side, BACKGROUND, sigma)
            canvas = self.module.network(amplitude, optics)
            patches.append((rows, optics.patches(canvas)))
            if diffraction:
                intensities.append((rows, optics.intensity(canvas)))
        gain = torch.exp(self.module.log_intensity_scale) / self.module.training_intensity_scale / scale
        objects = _in_order(patches) * (unit * gain)
        return objects, _in_order(intensities) * gain**2 if diffraction else None

    def _probes(self, probe: Tensor, fractions: Tensor) -> tuple[Tensor, Tensor]:
        """The network's probes (group, pattern, mode, N, N), and the factor (group, 1, 1, 1) or (1, 1, 1, 1)
        that the given ones were multiplied with."""
        modes = probe.reshape(1, 1, -1, self.N, self.N) if probe.ndim < 5 else probe
        energy = (modes.real**2 + modes.imag**2).sum((-3, -2, -1)).mean(1)
        if not (energy > 0).all() or not energy.isfinite().all():
            raise RunError("the probe is dark or not finite: give the probe that lit the patterns")
        own = self.module.probe_parts.square().sum()
        unit = torch.sqrt(own / energy)[:, None, None, None]
        modes = modes * unit[..., None]
        if self.module.model.probe_mask:
            modes = modes * torch.from_numpy(probe_disk(self.N)).to(probe.device)
        return fourier_shift(modes, fractions), unit

    def _sides(self, corners: Tensor) -> list[int]:
        """Pixels along one side of each group's canvas."""
        sides = [canvas_side(span, self.N) for span in corners.amax((1, 2)).tolist()]
        if max(sides) > _LARGEST_CANVAS:
            raise RunError(
                f"the positions of a group lie up to {max(sides) - self.N} pixels apart, but a canvas has at "
                f"most {_LARGEST_CANVAS}: give positions in object pixels, relative to the group's mean"
            )
        return sides

    def _check(self, x: Tensor, positions: Tensor, probe: Tensor, input_scale_factor: Tensor) -> None:
        N, C = self.N, self.channels
        groups = x.shape[0] if isinstance(x, Tensor) and x.ndim else 0
        modes = probe.shape[-3] if isinstance(probe, Tensor) and probe.ndim in (3, 5) else 1
        allowed: dict[str, tuple[Any, torch.dtype, list[tuple[int, ...]], str]] = {
            "x": (x, torch.float32, [(groups, C, N, N)], f"[B, {C}, {N}, {N}]"),
            "positions": (positions, torch.float32, [(groups, C, 1, 2)], f"[B, {C}, 1, 2]"),
            "probe": (
                probe,
                torch.complex64,
                [(N, N), (modes, N, N), (groups, C, modes, N, N)],
                f"[{N}, {N}], [modes, {N}, {N}] or [B, {C}, modes, {N}, {N}]",
            ),
            "input_scale_factor": (
                input_scale_factor,
                torch.float32,
                [(groups,), (groups, 1, 1, 1)],
                "[B] or [B, 1, 1, 1]",
            ),
        }
        device = self.module.probe_parts.device
        for name, (value, dtype, shapes, said) in allowed.items():
            if not isinstance(value, Tensor):
                raise RunError(
                    f"{name} is a {type(value).__name__}, but must be a torch.Tensor {said}: convert it"
                )
            if value.dtype != dtype or tuple(value.shape) not in shapes or not value.numel():
                raise RunError(
                    f"{name} is {value.dtype} {list(value.shape)}, but must be {dtype} {said}, with "
                    f"B = {groups} groups: convert or reshape it"
                )
            if value.device != device:
                raise RunError(
                    f"{name} is on {value.device}, but the model is on {device}: move one to the other"
                )
        if not positions.isfinite().all():
            raise RunError("some positions are not finite: leave out the groups that they belong to")


class DiffractionToObject(_GroupModel):
    """From measured amplitudes to the object under each pattern."""

    def forward(self, x: Tensor, positions: Tensor, probe: Tensor, input_scale_factor: Tensor) -> Tensor:
        """``object_patches``; inputs and output as the module's docstring says.

        Raises RunError (a ValueError) for another shape, dtype or device, and for a dark probe.
        """
        return self._predicted(x, positions, probe, input_scale_factor, diffraction=False)[0]


class Autoencoder(_GroupModel):
    """From measured amplitudes to the object under each pattern, and back to its diffraction."""

    def forward(self, x: Tensor, positions: Tensor, probe: Tensor, input_scale_factor: Tensor) -> Prediction:
        """``object_patches``, ``pred_amp`` and ``pred_intensity``; as the module's docstring says.

        Raises RunError (a ValueError) for another shape, dtype or device, and for a dark probe.
        """
        objects, intensity = self._predicted(x, positions, probe, input_scale_factor, diffraction=True)
        assert intensity is not None  # the diffraction was asked for
        return Prediction(objects, torch.sqrt(intensity), intensity)


def models_of(module: PtychoPINN_Lightning) -> dict[str, DiffractionToObject | Autoencoder]:
    """Both models of a trained module, under the names that they have in an archive; they share its
    weights."""
    return {"diffraction_to_obj": DiffractionToObject(module), "autoencoder": Autoencoder(module)}


def load_models(path: Path) -> dict[str, DiffractionToObject | Autoencoder]:
    """Both models of an archive (or its folder), on the CPU and in evaluation mode.

    Raises
    ------
    ArchiveError, ArchiveNotFoundError
        No sound archive.
    ModelArchiveError
        A sound archive without both models, or with models that this backend cannot build.
    """
    models = models_of(load_model(path).module)
    archive = read_archive(path)
    absent = sorted(models.keys() - archive.models.keys())
    if absent:
        raise ModelArchiveError(
            f"{path} holds the models {sorted(archive.models)}, but not {absent[0]!r}: open an archive of a "
            "training"
        )
    weights, other = (archive.models[name].weights for name in models)
    if weights.keys() != other.keys() or not all(np.array_equal(weights[n], other[n]) for n in weights):
        raise ModelArchiveError(
            f"the two models in {path} have different weights, but both are one network: open an archive of "
            "a training"
        )
    return models


def _corners(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Patch pixel (0, 0) of each pattern on its group's canvas (group, pattern, 2) int64, as (y, x), and the
    fractions of the positions float32."""
    distance = -positions[:, :, 0].flip(-1).to(torch.float64)
    whole = torch.floor(distance + _ROUNDING)
    corners = (whole - whole.amin(1, keepdim=True)).to(torch.int64)
    return corners, (distance - whole).clamp_min(0).to(torch.float32)


def _in_order(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The values of all parts, those of row i at i."""
    rows = torch.cat([r for r, _ in parts])
    return torch.cat([v for _, v in parts])[torch.argsort(rows)]
