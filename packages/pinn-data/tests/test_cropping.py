"""An image keeps its pixels where they are, on whatever canvas it lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pinn_data.errors import ShapeError
from pinn_data.scan.positions import Canvas
from pinn_data.stitching.cropping import cut_to, emptied_outside, on_canvas, without_border

_SIDES, _PLACES = st.tuples(*(st.integers(1, 9),) * 2), st.tuples(*(st.integers(-6, 6),) * 2)


def _pixels(canvas: Canvas) -> np.ndarray:
    """(row, column, 2): which pixel of the object each one is, from 1000 on, so that none is 0."""
    return np.stack(np.indices(canvas.shape), -1) + canvas.origin + 1000


@example((0, 0), (7, 9), (3, 1), (6, 6))  # begins further inside along y than along x
@example((2, 4), (5, 6), (0, 1), (8, 8))  # and has room before it
@given(_PLACES, _SIDES, _PLACES, _SIDES)
def test_an_image_on_another_canvas_keeps_every_pixel_that_both_have(first, shape, second, other):
    here, there = Canvas(first, shape), Canvas(second, other)
    moved = np.stack([on_canvas(_pixels(here)[..., axis], first, there) for axis in (0, 1)], -1)
    wanted = _pixels(there)
    y, x = np.indices(other)[0] + second[0] - first[0], np.indices(other)[1] + second[1] - first[1]
    both = (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
    np.testing.assert_array_equal(moved, np.where(both[..., None], wanted, 0))


@example((3, -2), (7, 9), 2)
@given(_PLACES, _SIDES, st.integers(0, 6))
def test_a_border_leaves_the_pixels_inside_it_or_nothing(origin, shape, border):
    canvas = Canvas(origin, shape)
    if 2 * border >= min(shape):
        with pytest.raises(ShapeError, match=rf"border_px={border} .* {shape[0]} x {shape[1]} pixels"):
            without_border(canvas, border)
        return
    inner = without_border(canvas, border)
    image = _pixels(canvas)
    cut = cut_to(image, canvas, inner)
    np.testing.assert_array_equal(cut, _pixels(inner))
    assert cut.flags.c_contiguous
    emptied = emptied_outside(image, canvas, inner)
    assert emptied.sum() == cut.sum() and emptied.shape == image.shape
    np.testing.assert_array_equal(cut_to(emptied, canvas, inner), cut)
