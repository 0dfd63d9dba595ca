"""The smoothing of an exit wave and its exact adjoint: ``<smoothed(a), b> = <a, smoothed_back(b)>``.

The NumPy oracle is `pinn_data.optics.smoothing`: a separable 3 x 3 kernel S, reflecting at the edges. Inside,
the kernel is symmetric and so is its own adjoint; a pixel at an edge looks twice at the one neighbour it has.
With W = 1/2 at the first and last pixel of an axis and 1 between, ``S^T = W S W^-1``.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pinn_data.optics.smoothing import smoothing_kernel

__all__ = ["smoothed", "smoothed_back"]


def smoothed(waves: tf.Tensor, sigma: float) -> tf.Tensor:
    """The waves (..., row, column) smoothed with a kernel of width sigma, pixels; themselves for 0.

    The numbers of rows and columns must be known.
    """
    if sigma == 0:
        return waves
    side, middle = (tf.constant(weight, waves.dtype) for weight in smoothing_kernel(sigma))
    for axis in (waves.shape.rank - 2, waves.shape.rank - 1):
        last = waves.shape[axis] - 1
        # Beyond an edge lies the mirror image without the edge pixel itself.
        before = tf.concat([_part(waves, axis, 1, 1), _part(waves, axis, 0, last)], axis)
        after = tf.concat([_part(waves, axis, 1, last), _part(waves, axis, last - 1, 1)], axis)
        waves = middle * waves + side * (before + after)
    return waves


def smoothed_back(waves: tf.Tensor, sigma: float) -> tf.Tensor:
    """The adjoint of `smoothed`."""
    if sigma == 0:
        return waves
    edges = _edges(*waves.shape[-2:])
    inverse = tf.constant(1 / edges, waves.dtype)
    return tf.constant(edges, waves.dtype) * smoothed(inverse * waves, sigma)


def _part(x: tf.Tensor, axis: int, first: int, length: int) -> tf.Tensor:
    whole = [slice(None)] * x.shape.rank
    whole[axis] = slice(first, first + length)
    return x[tuple(whole)]


def _edges(rows: int, columns: int) -> NDArray[np.float64]:
    """W (row, column): 1/2 at every edge, 1/4 in the corners."""
    weights = []
    for length in (rows, columns):
        weight = np.ones(length)
        weight[[0, -1]] = 0.5
        weights.append(weight)
    return np.outer(*weights)
