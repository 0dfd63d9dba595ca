"""From groups to one image: windows are brought to one global phase and added up on the device.

A network sees patterns, and a pattern does not tell the global phase of its object; so each group's canvas
has its own. `pinn_data.stitching.phase_factors` finds the factors that make overlapping windows agree.
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from pinn_data.stitching import phase_factors
from torch import Tensor

from pinn_torch.errors import TorchRunError
from pinn_torch.patches import place
from pinn_torch.physics import GroupOptics
from pinn_torch.team import Team

__all__ = ["Counting", "Mosaic", "Window", "agreeing_phases"]

# Pixels where no probe reaches this fraction of its maximum add nothing that can be seen, and are not kept.
_FAINT = 1e-3


@attrs.frozen
class Counting:
    """How much the pixels of a patch count in the image.

    N : pixels along one side of a patch
    size : only the central size x size pixels count; of an odd size, pixel N/2 is the middle
    weighting : 'probe': by the intensity of the probe; 'uniform': all of them alike
    """

    N: int
    size: int
    weighting: Literal["probe", "uniform"] = "probe"

    @classmethod
    def of(cls, N: int, weighting: Literal["probe", "uniform"], middle_trim: int, pad_eval: bool) -> Counting:
        """The counting of a configuration: with `pad_eval` the central half of a patch counts at most, the
        rest is room for the probe's tails; a `middle_trim` above 0 says how many pixels.

        Raises TorchRunError for a trim larger than a patch.
        """
        if middle_trim > N:
            raise TorchRunError(
                f"middle_trim={middle_trim} was given, but a patch has {N} x {N} pixels: give 1 to {N}, or 0 "
                "for all of them"
            )
        return cls(N, min(middle_trim or N, N // 2 if pad_eval else N), weighting)

    @property
    def is_plain(self) -> bool:
        """Whether all pixels count, by the probe's intensity: weights are then the coverage of a group."""
        return self.weighting == "probe" and self.size == self.N

    @property
    def centre(self) -> slice:
        """Rows, and columns, of a patch that count."""
        first = self.N // 2 - self.size // 2
        return slice(first, first + self.size)

    def weights(self, optics: GroupOptics) -> Tensor:
        """(group, M, M): the sum of the weights of a group's patches on its canvas."""
        if self.is_plain:
            return optics.coverage
        light = optics.relative_intensity
        each = torch.zeros_like(light)
        whole = self.weighting == "uniform"
        each[..., self.centre, self.centre] = 1 if whole else light[..., self.centre, self.centre]
        return place(each, optics.indices, optics.canvas)


@attrs.frozen
class Window:
    """The part of every canvas that counts, or is lit: `size` pixels from (`first`, `first`) on."""

    first: int
    size: int

    @classmethod
    def of(cls, probe: Tensor, canvas: int, counting: Counting | None = None) -> Window:
        """probe : (mode, N, N) complex; canvas : pixels along one side of the canvases; counting : default by
        the probe."""
        intensity = (probe.real**2 + probe.imag**2).sum(0)
        lit = intensity > _FAINT * intensity.max()
        if counting is not None and counting.weighting == "uniform":
            lit[counting.centre, counting.centre] = True
        where = torch.nonzero(lit.any(0) | lit.any(1))
        first, last = int(where.min()), int(where.max()) + 1
        # A shift by the fraction of a position may light one more pixel.
        first, last = max(0, first - 1), min(probe.shape[-1], last + 1)
        size = last - first + canvas - probe.shape[-1]
        if size % 2:  # an even window has a pixel in its middle; it grows where there is room
            first, size = (first, size + 1) if first + size < canvas else (first - 1, size + 1)
        return cls(first, size)

    def cut(self, canvases: Tensor) -> Tensor:
        end = self.first + self.size
        return canvases[..., self.first : end, self.first : end]


def agreeing_phases(
    windows: NDArray[np.complex64], weights: NDArray[np.float32], corners: NDArray[np.int64]
) -> NDArray[np.complex64]:
    """Unit factors (window,) after which overlapping windows agree.

    windows, weights : (window, m, m); corners : (window, 2) object pixel of each window's pixel (0, 0)
    """
    return phase_factors(windows, corners + windows.shape[-1] // 2, weights).astype(np.complex64)


class Mosaic:
    """A weighted mean that grows on the device.

    origin : (y, x) object pixel of its pixel (0, 0); shape : (rows, columns)
    """

    def __init__(self, origin: NDArray[np.int64], shape: tuple[int, int], device: torch.device) -> None:
        self.origin = torch.as_tensor(origin, device=device)
        self.shape = shape
        self._total = torch.zeros(shape[0] * shape[1], dtype=torch.complex64, device=device)
        self._weight = torch.zeros(shape[0] * shape[1], dtype=torch.float32, device=device)

    def _indices(self, corners: Tensor, size: int) -> Tensor:
        steps = torch.arange(size, device=corners.device)
        local = corners - self.origin
        rows = (local[:, 0, None] + steps) * self.shape[1]
        return (rows[:, :, None] + (local[:, 1, None] + steps)[:, None, :]).flatten()

    def add(self, windows: Tensor, weights: Tensor, corners: Tensor) -> None:
        """windows, weights : (window, m, m); corners : (window, 2) int64 object pixels. All of it must lie
        inside."""
        indices = self._indices(corners, windows.shape[-1])
        self._total.scatter_add_(0, indices, (windows * weights).flatten())
        self._weight.scatter_add_(0, indices, weights.flatten())

    def add_up(self, team: Team) -> None:
        """Take in what the other processes have in mosaics of the same origin and shape."""
        team.sum(self._total)
        team.sum(self._weight)

    def image(self, empty: complex = 0.0) -> Tensor:
        """(rows, columns) complex64; `empty` where nothing was added."""
        lit = self._weight > _FAINT**2 * self._weight.max()
        mean = self._total / torch.where(lit, self._weight, torch.ones_like(self._weight))
        return torch.where(lit, mean, torch.full_like(mean, empty)).view(self.shape)

    def coverage(self) -> Tensor:
        """(rows, columns) float32: sum of the weights."""
        return self._weight.view(self.shape)

    def cut(self, image: Tensor, corners: Tensor, size: int) -> Tensor:
        """Pieces (window, size, size) of an image of this mosaic's shape."""
        return image.flatten()[self._indices(corners, size)].view(len(corners), size, size)
