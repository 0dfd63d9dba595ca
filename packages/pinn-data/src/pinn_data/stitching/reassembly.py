"""One image from patches that each lie at a position of their own, the way clients of PtychoPINN ask for it.

A network sees patterns, and a pattern does not tell the global phase of its object, so every patch comes with
its own. `reassemble_position` brings them to one phase first.

Where the image lies. Its caller gets an array and no origin, and takes the array to be centred on the object
that the scan came with (ptychodus 1.7.0 does). So the image is centred there, where `PositionsOnObject` says
which object that is; and otherwise on the middle of the positions' extent, which is where ptychodus puts the
centre of an object that it makes for a scan.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import DataRangeError, PositionError, ShapeError
from pinn_data.scan.positions import Canvas, split_subpixel, validate_positions
from pinn_data.stitching.canvas_sum import phase_factors, stitch

__all__ = ["LARGEST_IMAGE", "PositionsOnObject", "reassemble_position"]

LARGEST_IMAGE = 2**26
"""Most pixels of an image: 8192 x 8192."""

_BLOCK = 512  # patches that are worked on at once


class PositionsOnObject(np.ndarray):
    """Positions that remember the object that they are positions on; else an array like any other.

    object_shape : (rows, columns) of that object, or None

    A part of them remembers it too; what is calculated from them does not. They cannot be written to.
    """

    object_shape: tuple[int, int] | None

    def __new__(cls, positions: ArrayLike, object_shape: tuple[int, int] | None = None) -> PositionsOnObject:
        copied = np.array(positions)
        # float32 stays what it is; whole numbers become float64.
        made = copied.astype(np.result_type(copied, np.float32), copy=False).view(cls)
        made.object_shape = object_shape
        made.flags.writeable = False  # else they might move, and still be taken for places on the object
        return made

    def __array_finalize__(self, other: Any) -> None:
        self.object_shape = getattr(other, "object_shape", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            options["out"] = tuple(_plain(value) for value in options["out"])
        return getattr(ufunc, method)(*map(_plain, inputs), **options)


def _plain(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, PositionsOnObject) else value


def reassemble_position(
    obj: ArrayLike, global_offsets: ArrayLike, M: int | None = 20
) -> NDArray[np.complex64]:
    """One image of the central ``M x M`` pixels of every patch, each at its own sub-pixel position.

    Pixel ``(N/2, N/2)`` of patch k lies exactly on ``global_offsets[k]``. Patches are brought to one global
    phase (:func:`pinn_data.stitching.canvas_sum.phase_factors`; the phase that stays free makes the mean real
    and positive), and the image is their mean where they overlap, bilinear between pixels
    (:func:`pinn_data.stitching.canvas_sum.stitch`). Pixels that none of them reaches are 0.

    Parameters
    ----------
    obj : (patch, N, N, 1) complex
        Arrays and tensors of any framework that NumPy can read.
    global_offsets : (patch, 1, 2, 1) or (patch, 1, 1, 2) float, object pixels, as (x, y)
        With `PositionsOnObject` the image is centred on that object, if all positions lie on it.
    M : 1 to N; None or 0: all of each patch
        An odd number of pixels lies symmetrically about pixel (N/2, N/2).

    Returns
    -------
    (rows, columns, 1) complex64
        As large as the positions ask for on either side of the centre, which is the middle ``(H - 1) / 2``,
        ``(W - 1) / 2`` of the object, or that of the positions. It has the index ``rows / 2``,
        ``columns / 2``, half a pixel beyond the array's own middle: as much as pixel ``N/2`` lies beyond the
        middle ``(N - 1) / 2`` of a patch, from which clients count.

    Raises
    ------
    ShapeError
        Arrays that do not fit together, or M is not 0 to N.
    PositionError
        Positions are not finite, or so far apart that the image would have more than `LARGEST_IMAGE` pixels.
    DataRangeError
        A patch holds NaN or infinity.
    """
    patches, positions = _checked(obj, global_offsets)
    N = patches.shape[-1]
    size = N if M is None or M == 0 else M
    if not 1 <= size <= N:
        raise ShapeError(
            f"M={M} was given, but the patches are {N} x {N}: give 1 to {N}, or 0 for all of each patch"
        )
    shape, origin = _frame(positions, _centre(global_offsets, positions), size)
    window = patches[:, *_central(N, size + size % 2)]
    # Beyond the central half no light falls, as a rule, and what a network says there has no phase to go by.
    lit = patches[:, *_central(N, min(size + size % 2, max(2, N // 2)))]
    if not np.isfinite(window).all():
        raise DataRangeError(
            "the patches hold NaN or infinity, so they give no image: check the model and its input"
        )
    counts = np.ones(window.shape[1:])
    if size % 2:
        counts[0], counts[:, 0] = 0, 0
    image, _ = stitch(
        window,
        positions - origin,
        weights=counts,
        factors=phase_factors(_on_whole_pixels(lit, positions), positions),
        canvas=Canvas((0, 0), shape),
    )
    return image.astype(np.complex64)[..., None]


def _checked(obj: ArrayLike, global_offsets: ArrayLike) -> tuple[NDArray, NDArray[np.float64]]:
    """Patches (patch, N, N) complex64 and positions (patch, 2) as (y, x)."""
    patches = np.asarray(obj)
    if patches.ndim != 4 or patches.shape[1] != patches.shape[2] or patches.shape[3] != 1 or not len(patches):
        raise ShapeError(
            f"patches of shape {patches.shape} were given, but (patch, N, N, 1) is needed: one complex patch "
            "for each group, as diffraction_to_obj predicts them"
        )
    if patches.shape[1] % 2:
        raise ShapeError(
            f"the patches are {patches.shape[1]} x {patches.shape[1]}, but N must be even: crop them"
        )
    offsets = np.asarray(global_offsets)
    if offsets.shape not in ((len(patches), 1, 2, 1), (len(patches), 1, 1, 2)):
        raise ShapeError(
            f"global_offsets has shape {offsets.shape}, but one (x, y) for each patch is needed, "
            f"({len(patches)}, 1, 2, 1): give those of the same groups"
        )
    xy = validate_positions(offsets.reshape(-1, 2))
    return patches[..., 0].astype(np.complex64, copy=False), xy[:, ::-1]


def _central(N: int, size: int) -> tuple[slice, slice]:
    """The central `size` rows and columns, an even number: pixel N/2 becomes pixel size/2."""
    part = slice(N // 2 - size // 2, N // 2 + size // 2)
    return part, part


def _on_whole_pixels(windows: NDArray, positions: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Windows (position, m - 1, m - 1) of the image's pixels, so that those of two windows can be compared.

    Without it two windows would be up to a pixel apart, and a slope of the object's phase would be taken for
    a difference of theirs.
    """
    fraction = split_subpixel(positions)[1].astype(np.float32)
    n, m = windows.shape[:2]
    aligned = np.empty((n, m - 1, m - 1), np.complex64)
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        w, (fy, fx) = windows[block], fraction[block].T[..., None, None]
        w = (1 - fy) * w[:, 1:] + fy * w[:, :-1]
        aligned[block] = (1 - fx) * w[:, :, 1:] + fx * w[:, :, :-1]
    return aligned


def _centre(global_offsets: ArrayLike, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(y, x) of the point on which the image is centred."""
    shape = getattr(global_offsets, "object_shape", None)
    if shape is not None:
        last = np.asarray(shape) - 1
        if (positions >= 0).all() and (positions <= last).all():
            return last / 2
    return (positions.min(0) + positions.max(0)) / 2


def _frame(
    positions: NDArray[np.float64], centre: NDArray[np.float64], size: int
) -> tuple[tuple[int, int], NDArray[np.float64]]:
    """Shape of the image, and its origin: ``position - origin == position - centre + shape / 2``.

    An odd number of pixels moves that by half of one. It is chosen along an axis where it makes positions
    whole numbers, for then nothing is interpolated.
    """
    distance = positions - centre
    reach = np.ceil(np.abs(distance).max(0)).astype(np.int64) + -(-size // 2)
    halves = np.abs(distance - np.rint(distance)).mean(0) > 0.25
    rows, columns = (int(n) for n in 2 * reach + halves)
    if rows * columns > LARGEST_IMAGE:
        far = int(np.argmax(np.abs(positions - np.median(positions, axis=0)).max(1)))
        y, x = positions[far]
        raise PositionError(
            f"the positions need an image of {rows} x {columns} pixels, but it may have {LARGEST_IMAGE}: "
            f"leave out positions far from the rest (number {far}, at x, y = {x:g}, {y:g}, is farthest), or "
            "check that positions are object pixels"
        )
    return (rows, columns), centre - np.array([rows, columns]) / 2
