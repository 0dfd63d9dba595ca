"""Patterns without holes: to look at, to judge and to guess from, never to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["inpainted"]

_LEAST_WEIGHT = 1e-3  # of measured neighbours, for their mean to stand for a pixel


def inpainted(pattern: NDArray[Any], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The pattern (rows, columns) as float64, bad pixels filled by the mean of the nearest measured ones;
    what lies under them is not read. 0 where nothing was measured."""
    filled = np.where(bad, 0.0, pattern)
    if not bad.any() or bad.all():
        return filled
    known, left, width = filled.copy(), bad.copy(), 1.0
    while left.any():
        weight = ndimage.gaussian_filter((~bad).astype(np.float64), width, mode="nearest")
        light = ndimage.gaussian_filter(known, width, mode="nearest")
        here = left & (weight > _LEAST_WEIGHT)
        filled[here] = light[here] / weight[here]
        left &= ~here
        width *= 2
    return filled
