"""What the solver found of a scan."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.scan.positions import Canvas

__all__ = ["Solution"]


@attrs.frozen(eq=False)
class Solution:
    """An image and everything else that was found with it.

    object : (row, column) complex64, 0 where no light fell; with `probe` it predicts sqrt(counts)
    coverage : (row, column) float32, photons that reached each pixel of a flat object, relative to the most
    canvas : object pixels that the array covers
    probe : (N, N), or (mode, N, N) orthogonal and strongest first, complex64
    mode_shares : (mode,) of the light
    positions, positions_start : (n, 2) float64 as (y, x), object pixels: found, and those of the scan
    background : () or (N, N) float64 counts
    bad_pixels : (N, N) or (n, N, N) bool: those of the scan and those that were found; None: all are good
    found_bad_pixels : how many were found that no marker told
    frame_intensity : (n,) float64 with mean 1; None: all frames are alike
    residual : R = sqrt(sum (predicted - measured)^2 / sum measured^2) of the amplitudes that were measured
    expected_residual : what R would be if only counting noise were left; NaN where the patterns are no counts
    held_out_residual, held_out_expected : the same of frames that no step looked at, before the last steps;
        NaN where none were held out
    held_out_gain, held_out_gain_error : by how much more likely the image makes one of those frames than the
        mean pattern does (logarithm, mean over the frames), and its standard error; about 0 where the data
        hold no image; NaN where the patterns are no counts, or too few were held out
    frame_misfit : (n,) float64, misfit of each frame over what counting noise leaves (over the mean where the
        patterns are no counts)
    pixel_misfit : (N, N) float64, ``sum (n - I)^2 / sum I`` of each detector pixel, 1 for counting noise; NaN
        where not measured
    kept : optional parts that were found and kept
    sentences : decisions, each a sentence
    history : rows of stage, epoch, seconds, R; R is None where something was only tried on some frames
    seconds : that it took
    cancelled : a watcher stopped it: the image is that of the moment
    out_of_time : the limit of seconds stopped it
    engine : name of the array operations
    """

    object: NDArray[np.complex64]
    coverage: NDArray[np.float32]
    canvas: Canvas
    probe: NDArray[np.complex64]
    mode_shares: NDArray[np.float64]
    positions: NDArray[np.float64]
    positions_start: NDArray[np.float64]
    background: NDArray[np.float64]
    bad_pixels: NDArray[np.bool_] | None
    found_bad_pixels: int
    frame_intensity: NDArray[np.float64] | None
    residual: float
    expected_residual: float
    held_out_residual: float
    held_out_expected: float
    frame_misfit: NDArray[np.float64]
    pixel_misfit: NDArray[np.float64]
    kept: frozenset[str]
    sentences: tuple[str, ...]
    history: tuple[dict[str, Any], ...]
    seconds: float
    engine: str
    cancelled: bool = False
    out_of_time: bool = False
    held_out_gain: float = math.nan
    held_out_gain_error: float = math.nan
