"""Pixels that were not measured, and the background that is no diffraction: two parts of a scan.

``bad_pixels`` is True where a pixel was not measured, (N, N) for all frames or (n, N, N). Nothing under it is
ever read: a scan holds 0 there, and a likelihood, an energy or R leaves it out. ``background`` is what a
detector counts besides the diffraction, in counts (the square of the amplitude unit): ``rate = m * (sum over
modes of |F|**2 + background)`` with m = 0 under a bad pixel.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.scan.stored_patterns import StoredPatterns

__all__ = ["as_background", "as_bad_pixels", "check_fit", "check_mask_shape", "clear", "emptied", "of_frames"]

_BLOCK_PIXELS = 2**20


def as_bad_pixels(value: ArrayLike | None) -> NDArray[np.bool_] | None:
    """The mask as bool, (N, N) or (n, N, N); None where no pixel is bad.

    Raises ShapeError (axes), DataRangeError (no numbers, or NaN).
    """
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and np.isnan(array).any()):
        raise DataRangeError(
            f"bad_pixels has dtype {one_line(array.dtype)}, or NaN in it, but True (or 1) must mark each "
            "bad pixel: store it as bool"
        )
    if array.ndim not in (2, 3):
        raise ShapeError(
            f"bad_pixels has shape {array.shape}, but one flag per pixel is needed, (N, N) for all frames "
            "or (frames, N, N): fix it or leave it out"
        )
    bad = array if array.dtype == bool else array != 0
    return bad if bad.any() else None


def as_background(value: ArrayLike | None) -> NDArray[np.float64] | None:
    """The background as float64, () or (N, N); None where it is 0 everywhere.

    Raises ShapeError (axes), DataRangeError (no real numbers, NaN, infinite, below 0).
    """
    if value is None:
        return None
    array = np.asarray(value)
    if array.ndim not in (0, 2):
        raise ShapeError(
            f"background has shape {array.shape}, but one number, or one per pixel, (N, N), is needed"
        )
    if array.dtype.kind not in "iuf" or not bool((array >= 0).all()) or not bool(np.isfinite(array).all()):
        raise DataRangeError(
            "background must be finite counts not below 0, the square of the amplitude's unit: fix it or "
            "leave it out"
        )
    return array.astype(np.float64) if array.any() else None


def check_fit(
    bad_pixels: NDArray[np.bool_] | None, background: NDArray[np.float64] | None, shape: tuple[int, ...]
) -> None:
    """Returns if both fit patterns of this shape (n, N, N), and a pixel is left; raises ShapeError,
    DataRangeError."""
    if bad_pixels is not None:
        check_mask_shape(bad_pixels.shape, shape)
    if background is not None and background.shape not in ((), shape[1:]):
        raise ShapeError(
            f"background has shape {background.shape}, but the patterns are {shape[1]} x {shape[2]}: give "
            "one number, or one per pixel"
        )
    if bad_pixels is not None and bad_pixels.all():
        raise DataRangeError(
            "bad_pixels marks every pixel, so nothing was measured: True must mark bad pixels, check that "
            "it is not inverted"
        )


def check_mask_shape(found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Returns if bad pixels of this shape fit patterns of shape (n, N, N); raises ShapeError."""
    if found not in (tuple(shape), tuple(shape[1:])):
        raise ShapeError(
            f"bad_pixels has shape {found}, but the patterns have {tuple(shape)}: give one flag per pixel, "
            f"{tuple(shape[1:])} for all frames or {tuple(shape)}"
        )


@overload
def of_frames(bad_pixels: NDArray[np.bool_], frames: Any) -> NDArray[np.bool_]: ...
@overload
def of_frames(bad_pixels: None, frames: Any) -> None: ...
@overload
def of_frames(bad_pixels: NDArray[np.bool_] | None, frames: Any) -> NDArray[np.bool_] | None: ...
def of_frames(bad_pixels: NDArray[np.bool_] | None, frames: Any) -> NDArray[np.bool_] | None:
    """The bad pixels of some frames: a mask of all frames as it is, else the part of `frames`."""
    return bad_pixels if bad_pixels is None or bad_pixels.ndim == 2 else bad_pixels[frames]


def emptied(
    stack: NDArray[Any] | StoredPatterns, bad_pixels: NDArray[np.bool_]
) -> NDArray[Any] | StoredPatterns:
    """The patterns (n, N, N) with 0 under the bad pixels; the array itself where that is so already.

    Patterns in a file stay there, and are emptied as they are read.
    """
    if isinstance(stack, StoredPatterns):
        return stack.emptied(bad_pixels)
    step = max(1, _BLOCK_PIXELS // max(1, stack[:1].size))
    blocks = [slice(start, start + step) for start in range(0, len(stack), step)]
    if not any(_under(stack[block], of_frames(bad_pixels, block)).any() for block in blocks):
        return stack
    out = stack.copy()
    clear(out, bad_pixels)
    return out


def clear(stack: NDArray[Any], bad_pixels: NDArray[np.bool_]) -> None:
    """Write 0 under the bad pixels of patterns (n, N, N) that the caller owns."""
    if bad_pixels.ndim == 2:
        stack[:, bad_pixels] = 0
    else:
        stack[bad_pixels] = 0


def _under(block: NDArray[Any], bad: Any) -> NDArray[np.bool_]:
    return (block[:, bad] if bad.ndim == 2 else block[bad]) != 0
