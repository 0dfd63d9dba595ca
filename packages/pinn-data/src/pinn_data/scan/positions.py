"""Scan geometry: where the patches lie, and the smallest canvas that holds them.

Positions are ``(position, 2)`` float64 in object pixels as ``(y, x)``, y the row and x the column.  The
origin is the centre of the object's top-left pixel, and the position is that of patch pixel ``(N/2, N/2)``,
so patch pixel ``(r, c)`` lies at object ``(y + r - N/2, x + c - N/2)``.  The canvas comes from the positions,
never from constants.
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import EmptyScanError, PositionError, ShapeError

#: Largest canvas that :func:`canvas_for` returns: 2**30 pixels are 8 GiB of complex64.
MAX_CANVAS_PIXELS = 2**30

# Beyond this a float64 no longer tells the fraction of a pixel reliably, and int64 corners stay far from
# overflow.
_LARGEST_COORDINATE = 2.0**40


@attrs.frozen
class Canvas:
    """A rectangle of object pixels: ``origin`` is the object coordinate of its pixel ``(0, 0)``.

    origin : (y, x) int
    shape : (H, W) int
    """

    origin: tuple[int, int]
    shape: tuple[int, int]

    def local(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Positions counted from this canvas: ``positions - origin``, (position, 2) float64."""
        return np.asarray(positions, dtype=np.float64) - np.asarray(self.origin, dtype=np.float64)


def validate_positions(positions: ArrayLike, *, frames: int | None = None) -> NDArray[np.float64]:
    """The positions as a finite, non-empty (position, 2) float64 array of (y, x).

    frames : the number of diffraction patterns that must have one position each, when given.

    Raises ShapeError (axes, or not one position a frame), EmptyScanError, PositionError (NaN, infinite,
    absurd).
    """
    array = np.asarray(positions)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ShapeError(
            f"scan positions have shape {array.shape}, but (positions, 2) with columns (y, x) is needed: "
            "stack them with numpy.stack([y, x], axis=1)"
        )
    if array.dtype.kind not in "iuf":
        raise PositionError(
            f"scan positions have dtype {array.dtype}, but real numbers (object pixels) are needed"
        )
    if frames is not None and len(array) != frames:
        raise ShapeError(
            f"there are {len(array)} scan positions for {frames} diffraction patterns, but each pattern "
            "needs exactly one position: add the missing ones or remove the extra ones"
        )
    if len(array) == 0:
        raise EmptyScanError(
            "the scan holds no position, but at least one is needed: check the selection or the file"
        )
    array = array.astype(np.float64)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise PositionError(
            f"{int(bad.sum())} of {len(array)} scan positions are NaN or infinite (the first is number "
            f"{first}), but every position must be finite: drop those frames"
        )
    if np.abs(array).max() > _LARGEST_COORDINATE:
        raise PositionError(
            f"a scan position of {np.abs(array).max():.3g} is out of range, but positions are object pixels "
            f"(at most {_LARGEST_COORDINATE:.0e}): convert them from metres or micrometres to pixels"
        )
    return array


def split_subpixel(positions: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Whole pixel and fraction of each position: ``position = whole + fraction``, ``0 <= fraction < 1``.

    Returns (whole (position, 2) int64, fraction (position, 2) float64).  ``whole - N/2`` is the corner of the
    object patch; ``fraction`` goes on the probe as a Fourier shift, never on the object.
    """
    array = np.asarray(positions, dtype=np.float64)
    whole = np.floor(array)
    fraction = array - whole
    # A tiny negative position lies 1 - 1e-300 pixels above its floor, which float64 rounds to a whole pixel.
    carry = fraction >= 1
    return (whole + carry).astype(np.int64), np.where(carry, 0.0, fraction)


def canvas_for(positions: ArrayLike, N: int) -> Canvas:
    """The smallest canvas that holds every N x N patch, at fractional positions too.

    It reaches from the smallest ``floor(position) - N/2`` to the largest ``ceil(position) - N/2 + N`` of each
    axis.

    Raises PositionError where that is more than :data:`MAX_CANVAS_PIXELS` (one outlier is enough), and what
    :func:`validate_positions` raises.
    """
    array = validate_positions(positions)
    low = np.floor(array.min(axis=0)).astype(np.int64) - N // 2
    high = np.ceil(array.max(axis=0)).astype(np.int64) - N // 2 + N
    height, width = (int(n) for n in high - low)
    if height * width > MAX_CANVAS_PIXELS:
        raise PositionError(
            f"the scan positions span {height} x {width} pixels, more than the {MAX_CANVAS_PIXELS} pixels a "
            "canvas may have: remove outlying positions, check that they are in object pixels, or "
            "reconstruct a part of the scan"
        )
    return Canvas(origin=(int(low[0]), int(low[1])), shape=(height, width))


def select_region(
    positions: ArrayLike, axis: Literal["y", "x"], low: float | None = None, high: float | None = None
) -> NDArray[np.bool_]:
    """Mask (position,) of ``low <= coordinate < high`` along `axis`; None leaves a side open.

    Half-open, so that ``(None, c)`` and ``(c, None)`` split a scan into two parts without a common frame.

    Raises PositionError for an unknown axis or for ``low >= high``.
    """
    if axis not in ("y", "x"):
        raise PositionError(f"axis {axis!r} is not a scan axis: use 'y' (rows) or 'x' (columns)")
    if low is not None and high is not None and not low < high:
        raise PositionError(
            f"the region from {low} to {high} along {axis} is empty: low must be smaller than high"
        )
    coordinate = validate_positions(positions)[:, 0 if axis == "y" else 1]
    mask = np.ones(len(coordinate), dtype=bool)
    if low is not None:
        mask &= coordinate >= low
    if high is not None:
        mask &= coordinate < high
    return mask


def reoriented(
    positions: ArrayLike,
    *,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    scale: float = 1.0,
) -> NDArray[np.float64]:
    """Positions (position, 2) whose axes were recorded the other way round, put right.

    First `flip_x` and `flip_y` mirror an axis in the middle of the scan, so that the positions keep their box
    and an object that came with them stays where they are; then `transpose` exchanges x and y; then all is
    multiplied by `scale`. Each flip and `transpose` undoes itself; the differences of the positions are those
    of ``-x``, ``-y`` and ``(x, y) -> (y, x)``.

    Raises PositionError for a scale that is not finite or not above 0, and what :func:`validate_positions`
    raises.
    """
    array = validate_positions(positions)
    if not (np.isfinite(scale) and scale > 0):
        raise PositionError(
            f"the scale {scale} of the positions was given, but it must be finite and above 0"
        )
    middle = array.min(axis=0) + array.max(axis=0)
    for axis, flip in enumerate((flip_y, flip_x)):
        if flip:
            array[:, axis] = middle[axis] - array[:, axis]
    return (array[:, ::-1].copy() if transpose else array) * scale


def from_ptychodus(positions: ArrayLike) -> NDArray[np.float64]:
    """Our positions from ptychodus' pixel positions: ``+ 1/2`` on both axes.

    Both count from the centre of the object's top-left pixel.  ptychodus gives the position of the patch's
    middle ``(N - 1)/2``, which lies between two pixels; ours is that of pixel ``N/2``, half a pixel further.
    The same patch pixel ``r`` lies at ``p + r - (N-1)/2 = y + r - N/2``, hence ``y = p + 1/2``.

    Source: ptychodus 1.7.0, ``api/object.py``, ``ObjectGeometry.map_coordinates_probe_to_object``.
    """
    return np.asarray(positions, dtype=np.float64) + 0.5


def to_ptychodus(positions: ArrayLike) -> NDArray[np.float64]:
    """ptychodus' pixel positions from ours: ``- 1/2`` on both axes, the inverse of :func:`from_ptychodus`."""
    return np.asarray(positions, dtype=np.float64) - 0.5
