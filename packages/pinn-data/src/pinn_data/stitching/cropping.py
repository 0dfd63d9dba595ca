"""Images on canvases: brought from one rectangle of object pixels to another, and cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import ShapeError
from pinn_data.scan.positions import Canvas

__all__ = ["cut_to", "emptied_outside", "on_canvas", "without_border"]


def on_canvas(image: NDArray[Any], origin: ArrayLike, canvas: Canvas) -> NDArray[Any]:
    """The image whose pixel (0, 0) is the object pixel `origin`, on the pixels of `canvas`; 0 where it has
    none."""
    shift = np.asarray(canvas.origin) - np.asarray(origin)
    before, first = np.maximum(-shift, 0), np.maximum(shift, 0)
    part = image[first[0] :, first[1] :]
    part = part[: max(0, canvas.shape[0] - before[0]), : max(0, canvas.shape[1] - before[1])]
    whole = np.zeros(canvas.shape, image.dtype)
    whole[before[0] : before[0] + part.shape[0], before[1] : before[1] + part.shape[1]] = part
    return whole


def without_border(canvas: Canvas, border_px: int) -> Canvas:
    """The canvas without so many pixels all around.

    Raises ShapeError where nothing would be left.
    """
    rows, columns = canvas.shape
    if 2 * border_px >= min(rows, columns):
        raise ShapeError(
            f"border_px={border_px} was given, but that leaves nothing of the image of {rows} x {columns} "
            f"pixels: give at most {(min(rows, columns) - 1) // 2}"
        )
    y, x = canvas.origin
    return Canvas(
        origin=(y + border_px, x + border_px), shape=(rows - 2 * border_px, columns - 2 * border_px)
    )


def emptied_outside(image: NDArray[Any], canvas: Canvas, inner: Canvas) -> NDArray[Any]:
    """The image of a canvas with zeros outside `inner`, which lies in it: what is left predicts what
    `cut_to` predicts."""
    if canvas == inner:
        return image
    kept = np.zeros_like(image)
    kept[_inside(canvas, inner)] = image[_inside(canvas, inner)]
    return kept


def cut_to(image: NDArray[Any], canvas: Canvas, inner: Canvas) -> NDArray[Any]:
    """The part of the image of a canvas that lies on `inner`; contiguous."""
    return np.ascontiguousarray(image[_inside(canvas, inner)])


def _inside(canvas: Canvas, inner: Canvas) -> tuple[slice, slice]:
    first = [i - o for i, o in zip(inner.origin, canvas.origin, strict=True)]
    return slice(first[0], first[0] + inner.shape[0]), slice(first[1], first[1] + inner.shape[1])
