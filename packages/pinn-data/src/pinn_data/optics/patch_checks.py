"""Checks that functions over stacks of patches share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.scan.positions import validate_positions

__all__ = ["checked_patches", "checked_weights"]


def checked_patches(patches: ArrayLike, positions: ArrayLike) -> tuple[NDArray, NDArray[np.float64]]:
    """Patches (position, N, N) and positions (position, 2) float64; ShapeError where they do not fit."""
    stack, points = np.asarray(patches), validate_positions(positions)
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2]:
        raise ShapeError(f"patches of shape {stack.shape} were given, but (position, N, N) is needed")
    if len(stack) != len(points):
        raise ShapeError(
            f"{len(stack)} patches and {len(points)} positions were given, but each patch needs one position"
        )
    return stack, points


def checked_weights(weights: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Weights (N, N) or (position, N, N) for patches of ``shape``; None is 1 everywhere.

    Raises ShapeError where they do not fit the patches, DataRangeError for negative, infinite, NaN or only
    zero ones.
    """
    weight = np.ones(shape[1:]) if weights is None else np.asarray(weights)
    if weight.shape not in (shape, shape[1:]):
        raise ShapeError(f"weights of shape {weight.shape} were given, but {shape[1:]} or {shape} is needed")
    if (
        weight.dtype.kind not in "biuf"
        or not np.isfinite(weight).all()
        or (weight < 0).any()
        or not weight.any()
    ):
        raise DataRangeError(
            "the weights must be finite real numbers >= 0, and not all zero: pass abs(probe)**2, for example"
        )
    return weight.astype(np.float64, copy=False)
