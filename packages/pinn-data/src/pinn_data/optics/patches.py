"""Patches of an object at scan positions: ``extract`` and its exact adjoint ``place``.

Patch pixel ``(N/2, N/2)`` of a patch at position ``(y, x)`` lies on ``object[y, x]``.  At whole-number
positions both functions copy pixels, nothing else.  At fractional positions they use bilinear weights: that
is for patches which *live* at such places (the historical networks).  The forward model never does this: it
cuts at the floor and puts the fraction on the probe (:mod:`pinn_data.optics.forward_model`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import PositionError, ShapeError
from pinn_data.scan.positions import split_subpixel, validate_positions

__all__ = ["extract", "place"]

_BLOCK_BYTES = 1 << 22  # working memory of one block of patches: stays inside the cache


def extract(object: ArrayLike, positions: ArrayLike, N: int) -> NDArray:
    """Patches of the object, one for each position.

    ``extract(o, p, N)[i] == o[y-N//2 : y+N//2, x-N//2 : x+N//2]`` for whole-number ``(y, x) = p[i]``;
    between them the bilinear mean of the four neighbouring cuts.  Linear in the object; the adjoint is
    :func:`place`: ``vdot(extract(o, p, N), q) == vdot(o, place(q, p, o.shape))``.

    Parameters
    ----------
    object : (row, column) real or complex
    positions : (position, 2) float, object pixels, as (y, x)
    N : even int
        Pixels along a side of a patch.

    Returns
    -------
    (position, N, N), the object's dtype (float64 for integers)

    Raises
    ------
    PositionError
        A patch reaches outside the object.
    ShapeError
        An array or N has the wrong shape.
    """
    image = np.asarray(object)
    if image.ndim != 2:
        raise ShapeError(f"an object of shape {image.shape} was given, but (row, column) is needed")
    if not np.issubdtype(image.dtype, np.inexact):
        image = image.astype(np.float64)
    corner, fraction = _corners(positions, N, image.shape)
    patches = np.empty((len(corner), N, N), image.dtype)
    fractional = np.any(fraction, axis=1)
    for i, (row, column) in enumerate(corner.tolist()):  # slices: several times faster than one fancy index
        if not fractional[i]:
            patches[i] = image[row : row + N, column : column + N]
    between = np.flatnonzero(fractional)
    # One more row and column, never weighted: a patch may end on the object's last pixel in one direction.
    padded = np.pad(image, ((0, 1), (0, 1))) if len(between) else image
    step = max(1, _BLOCK_BYTES // ((N + 1) ** 2 * image.itemsize))
    for start in range(0, len(between), step):
        block = between[start : start + step]
        windows = np.stack([padded[r : r + N + 1, c : c + N + 1] for r, c in corner[block].tolist()])
        patches[block] = _interpolated(windows, fraction[block])
    return patches


def place(
    patches: ArrayLike, positions: ArrayLike, shape: tuple[int, int], *, out: NDArray | None = None
) -> NDArray:
    """The sum of all patches on an empty object, each at its position: the adjoint of :func:`extract`.

    Parameters
    ----------
    patches : (position, N, N) real or complex
    positions : (position, 2) float, object pixels, as (y, x)
    shape : (rows, columns) of the result
    out : array of that shape and of a wide enough dtype, default zeros
        The patches are added to it.

    Returns
    -------
    shape, complex128 or float64
        Sums are kept in double precision.

    Raises
    ------
    PositionError
        A patch reaches outside ``shape``.
    ShapeError
        An array has the wrong shape, or patches and positions differ in number.
    """
    stack = np.asarray(patches)
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2]:
        raise ShapeError(f"patches of shape {stack.shape} were given, but (position, N, N) is needed")
    N = stack.shape[1]
    corner, fraction = _corners(positions, N, shape)
    if len(corner) != len(stack):
        raise ShapeError(
            f"{len(stack)} patches and {len(corner)} positions were given, but each patch needs one position"
        )
    dtype = np.result_type(stack.dtype, np.float64)
    canvas = np.zeros(shape, dtype) if out is None else out
    if canvas.shape != tuple(shape) or not np.can_cast(dtype, canvas.dtype):
        raise ShapeError(
            f"out has shape {canvas.shape} and dtype {canvas.dtype}, but {tuple(shape)} and "
            f"{dtype} are needed"
        )
    fractional = np.any(fraction, axis=1)
    step = max(1, _BLOCK_BYTES // ((N + 1) ** 2 * canvas.itemsize))
    for start in range(0, len(stack), step):
        block = slice(start, min(start + step, len(stack)))
        whole = not fractional[block].any()
        spread = stack[block] if whole else _spread(stack[block], fraction[block])
        # A slice addition a patch is the fastest scatter NumPy has (np.add.at costs ten times as much).
        for (row, column), patch in zip(corner[block].tolist(), spread, strict=True):
            target = canvas[row : row + len(patch), column : column + len(patch)]
            target += patch[: target.shape[0], : target.shape[1]]  # cut: a last row or column of weight 0
    return canvas


def _corners(
    positions: ArrayLike, N: int, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """First pixel (position, 2) of each patch inside ``shape``, and the fraction (position, 2) left over."""
    points = validate_positions(positions)
    if N < 2 or N % 2:
        raise ShapeError(f"patches of {N} pixels were asked for, but N must be even and at least 2")
    whole, fraction = split_subpixel(points)
    corner = whole - N // 2
    end = corner + N + (fraction > 0)
    outside = ((corner < 0) | (end > np.asarray(shape))).any(axis=1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise PositionError(
            f"{int(outside.sum())} of {len(points)} patches of {N} x {N} reach outside the object of shape "
            f"{tuple(shape)} (the first at y, x = {points[first, 0]:g}, {points[first, 1]:g}), but "
            "each must lie inside: "
            f"use a larger object, or keep positions {N // 2} pixels away from its edges"
        )
    return corner, fraction


def _interpolated(windows: NDArray, fraction: NDArray[np.float64]) -> NDArray:
    """Bilinear mean (position, N, N) of windows (position, N+1, N+1)."""
    fy, fx = fraction.astype(windows.real.dtype).T[..., None, None]
    rows = windows[:, :-1] * (1 - fy) + windows[:, 1:] * fy
    return rows[:, :, :-1] * (1 - fx) + rows[:, :, 1:] * fx


def _spread(patches: NDArray, fraction: NDArray[np.float64]) -> NDArray:
    """Patches (position, N, N) shared out over (position, N+1, N+1): the adjoint of `_interpolated`."""
    fy, fx = fraction.T[..., None, None]
    n, N = patches.shape[:2]
    columns = np.zeros((n, N, N + 1), np.result_type(patches.dtype, np.float64))
    columns[:, :, :-1] = patches * (1 - fx)
    columns[:, :, 1:] += patches * fx
    spread = np.zeros((n, N + 1, N + 1), columns.dtype)
    spread[:, :-1] = columns * (1 - fy)
    spread[:, 1:] += columns * fy
    return spread
