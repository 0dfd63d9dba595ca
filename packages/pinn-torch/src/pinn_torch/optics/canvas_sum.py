"""From groups to one image: windows are brought to one global phase and added up on the device.

A network sees patterns, and a pattern does not tell the global phase of its object; so each group's canvas
has its own. `pinn_data.stitching.canvas_sum.phase_factors` finds the factors that make overlapping windows
agree.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pinn_data.stitching.canvas_sum import phase_factors
from pinn_data.stitching.counting import Counting
from torch import Tensor

from pinn_torch.distributed.ranks import Team
from pinn_torch.optics.patches import place
from pinn_torch.optics.physics import GroupOptics

__all__ = ["Mosaic", "agreeing_phases", "counted"]

# Weights below this fraction of the largest are rounding, and no image.
_FAINT = 1e-6


def counted(counting: Counting, optics: GroupOptics) -> Tensor:
    """(group, M, M): the sum of the weights of a group's patches on its canvas."""
    if counting.is_plain:
        return optics.coverage
    light = optics.relative_intensity
    each = torch.ones_like(light) if counting.weighting == "uniform" else light
    mask = torch.from_numpy(counting.mask).to(light.device)
    return place(each * mask, optics.indices, optics.canvas)


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

    def image(self) -> Tensor:
        """(rows, columns) complex64; 0 where nothing was added."""
        lit = self._weight > _FAINT * self._weight.max()
        mean = self._total / torch.where(lit, self._weight, torch.ones_like(self._weight))
        return torch.where(lit, mean, torch.zeros_like(mean)).view(self.shape)

    def coverage(self) -> Tensor:
        """(rows, columns) float32: sum of the weights."""
        return self._weight.view(self.shape)

    def cut(self, image: Tensor, corners: Tensor, size: int) -> Tensor:
        """Pieces (window, size, size) of an image of this mosaic's shape."""
        return image.flatten()[self._indices(corners, size)].view(len(corners), size, size)
