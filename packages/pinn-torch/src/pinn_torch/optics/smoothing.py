"""The smoothing of an exit wave and its exact adjoint: ``<smoothed(a), b> = <a, smoothed_back(b)>``.

The NumPy oracle is `pinn_data.optics.smoothing`: a separable 3 x 3 kernel, reflecting at the edges. Inside,
the kernel is symmetric and so is its own adjoint; at an edge it looks twice at the one neighbour there is.
"""

from __future__ import annotations

from pinn_data.optics.smoothing import smoothing_kernel
from torch import Tensor

__all__ = ["smoothed", "smoothed_back"]


def smoothed(waves: Tensor, sigma: float) -> Tensor:
    """The waves (..., row, column) smoothed with a kernel of width sigma, pixels; themselves for 0."""
    if sigma == 0:
        return waves
    return _rows_and_columns(waves, sigma, from_edge=False)


def smoothed_back(waves: Tensor, sigma: float) -> Tensor:
    """The adjoint of `smoothed`."""
    if sigma == 0:
        return waves
    return _rows_and_columns(waves, sigma, from_edge=True)


def _rows_and_columns(x: Tensor, sigma: float, *, from_edge: bool) -> Tensor:
    side, middle = smoothing_kernel(sigma)
    for axis in (-2, -1):
        last = x.shape[axis] - 1
        y = middle * x
        y.narrow(axis, 1, last).add_(x.narrow(axis, 0, last), alpha=side)
        y.narrow(axis, 0, last).add_(x.narrow(axis, 1, last), alpha=side)
        for edge, inner in ((0, 1), (last, last - 1)):
            to, taken = (inner, edge) if from_edge else (edge, inner)
            y.narrow(axis, to, 1).add_(x.narrow(axis, taken, 1), alpha=side)
        x = y
    return x
