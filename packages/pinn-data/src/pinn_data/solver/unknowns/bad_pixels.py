"""Pixels that no marker tells: found from the patterns, and from what the model cannot explain."""

from __future__ import annotations

from typing import TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from pinn_data.solver.steps.sweep import PixelSums

__all__ = ["PixelStatistics", "find_bad_pixels", "suspect_pixels"]

Pixel = TypeVar("Pixel", bound=np.generic)

_NEIGHBOURHOOD = 11
_HOT = 6.0
_STUCK = 0.25
_UNEXPLAINED = 4.0
_CERTAIN = 8.0
_MOST = 0.04
_CROWD, _OUTSTANDING = 0.05, 8.0
_NOTICED = 1.0
"""Counts squared a frame: less than that does no harm."""


@attrs.frozen(eq=False)
class PixelStatistics:
    """Of each pixel over the frames, (size, size), zero frequency at [0, 0].

    frames : in which it was measured
    mean, variance : of its counts
    """

    frames: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def suspect_pixels(statistics: PixelStatistics) -> NDArray[np.bool_]:
    """(size, size) bool: pixels that are left out of the first passes. Whether they are bad is found later.

    A pixel is suspect that counts nothing among neighbours that do, far more than its neighbours, or with far
    less fluctuation than photons have.
    """
    mean, frames = _centred(statistics.mean), _centred(statistics.frames)
    neighbours = ndimage.median_filter(mean, _NEIGHBOURHOOD, mode="nearest")
    close = ndimage.median_filter(mean, 3, mode="nearest")
    dead = (mean == 0) & (neighbours * frames > 30)
    floor = np.maximum(neighbours, close)
    noise = np.sqrt(np.maximum(floor, 1.0) / np.maximum(frames, 1))
    hot = (mean > _HOT * floor + 8 * noise) & (mean * frames > 30)
    stuck = (_centred(statistics.variance) < _STUCK * mean) & (mean * frames > 30) & (frames > 8)
    return fft.ifftshift((dead | hot | stuck) & (frames > 0))


def find_bad_pixels(sums: PixelSums, suspects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(size, size) bool: pixels whose misfit over all frames is far outside of what counting noise leaves,
    while their neighbours' is not.
    """
    frames = np.maximum(_centred(sums.frames), 1.0)
    residual, expected, counted = (_centred(a) for a in (sums.residual, sums.expected, sums.counted))
    least = 1e-3 * frames
    ratio = residual / np.maximum(expected, least)
    usual = np.maximum(ndimage.median_filter(ratio, _NEIGHBOURHOOD, mode="nearest"), 1.0)
    # Var sum (n - I)^2 = sum (2 I^2 + I) of Poisson's distribution.
    spread = np.sqrt(2 * expected**2 / frames + np.maximum(expected, least))
    excess = (residual - expected * usual) / frames
    unexplained = (
        (excess > _NOTICED)
        & (ratio > _UNEXPLAINED * usual)
        & (residual - expected * usual > _CERTAIN * spread * usual)
    )
    off = counted - expected
    relative = np.abs(off) / np.maximum(expected, least)
    # An image that is not finished predicts too little of whole regions, as along the edge of a pupil.
    of_region = ndimage.median_filter(relative, _NEIGHBOURHOOD, mode="nearest")
    wrong_mean = (
        (np.abs(off) > 0.5 * _NOTICED * frames)
        & (np.abs(off) > _CERTAIN * np.sqrt(np.maximum(expected, 1.0) * usual))
        & (np.abs(off) > 0.5 * np.maximum(expected, counted * 0.5))
        & (relative > 2 * of_region)
    )
    found = (unexplained | wrong_mean) & (_centred(sums.frames) > 0)
    told_by_model = found & ~_centred(suspects)
    # A crowd of them, as along the edge of a pupil, is what the model cannot explain, not a fault of pixels;
    # but a few bright ones draw the model away from what their neighbours count, and so make a crowd of them.
    crowd = ndimage.uniform_filter(told_by_model.astype(float), _NEIGHBOURHOOD, mode="constant") > _CROWD
    crowd &= told_by_model
    if crowd.any():
        crowd &= excess < _OUTSTANDING * np.median(excess[crowd])
    found &= ~crowd
    told_by_model &= ~crowd
    if told_by_model.sum() > _MOST * (sums.frames > 0).sum():
        found &= _centred(suspects)  # so many wrong pixels mean a wrong model
    dead = _centred(suspects) & (counted == 0) & (expected > 5)
    return fft.ifftshift(found | dead)


def _centred(image: NDArray[Pixel]) -> NDArray[Pixel]:
    return fft.fftshift(image)
