"""The smoothing of an exit wave: a separable 3 x 3 Gaussian with reflecting edges.

It stands for what a detector pixel or a partly coherent beam blurs (specification, section 5.1,
``gaussian_smoothing_sigma``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import DataRangeError, ShapeError

__all__ = ["smoothed", "smoothing_kernel"]


def smoothing_kernel(sigma: float) -> tuple[float, float]:
    """Weight of either neighbour and of the pixel itself: ``softmax(-x**2 / (2 sigma**2))`` on x = -1, 0, 1.

    ``2 * side + middle == 1``; for sigma = 0, the limit, (0, 1).

    Raises DataRangeError for a sigma that is negative or not finite.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise DataRangeError(
            f"a smoothing of sigma={sigma} pixels was asked for, but sigma must be a finite number >= 0"
        )
    if sigma == 0:
        return 0.0, 1.0
    neighbour = math.exp(-0.5 / sigma / sigma)
    return neighbour / (1 + 2 * neighbour), 1 / (1 + 2 * neighbour)


def smoothed(wave: ArrayLike, sigma: float) -> NDArray[np.complex128]:
    """The waves (..., row, column), each pixel the weighted mean of its 3 x 3 neighbours, complex128.

    Beyond an edge lies the mirror image without the edge pixel itself (``reflect``). Linear, real, and a
    constant stays as it is.

    Raises ShapeError for fewer than two rows or columns.
    """
    side, middle = smoothing_kernel(sigma)
    result = np.asarray(wave, np.complex128)
    if result.ndim < 2 or min(result.shape[-2:]) < 2:
        raise ShapeError(
            f"waves of shape {result.shape} were given, but (..., row, column) with at least two of each is "
            "needed"
        )
    for axis in (-2, -1):
        edges = [(0, 0)] * result.ndim
        edges[axis] = (1, 1)
        padded = np.pad(result, edges, mode="reflect")
        n = result.shape[axis]
        before, after = (np.take(padded, np.arange(first, first + n), axis) for first in (0, 2))
        result = middle * result + side * (before + after)
    return result
