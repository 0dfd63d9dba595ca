"""Which pixels of a patch count, and which part of a canvas is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import ShapeError
from pinn_data.stitching.counting import Counting, Window

N = 16


@given(trim=st.integers(0, N), pad=st.booleans(), weighting=st.sampled_from(["probe", "uniform"]))
def test_a_counting_is_the_central_square_that_both_settings_leave(trim, pad, weighting):
    counting = Counting.of(N, weighting, trim, pad)
    assert counting.size == min(trim or N, N // 2 if pad else N)
    rows, columns = np.nonzero(counting.mask)
    assert len(rows) == counting.size**2
    assert rows.min() == columns.min() == N // 2 - counting.size // 2
    assert counting.mask[N // 2, N // 2] == 1
    assert counting.is_plain == (weighting == "probe" and counting.size == N)


def test_a_trim_larger_than_a_patch_gets_one_sentence():
    with pytest.raises(ShapeError, match=r"middle_trim=17 was given, but a patch has 16 x 16 pixels: give 1"):
        Counting.of(N, "probe", 17, False)


@pytest.mark.parametrize(
    "lit", [slice(0, 16), slice(3, 16), slice(4, 16), slice(0, 9), slice(5, 10), slice(6, 8)]
)
@pytest.mark.parametrize("canvas", [16, 24])
def test_a_window_holds_every_lit_pixel_and_has_an_even_size(lit, canvas):
    probe = np.zeros((2, N, N), np.complex64)
    probe[1, lit, 8] = 1j
    probe[0, 7, lit] = 2.0
    window = Window.of(probe, canvas)
    last = lit.stop + canvas - N
    assert window.size % 2 == 0
    assert 0 <= window.first <= lit.start and last <= window.first + window.size <= canvas
    assert window.cut(np.zeros((3, canvas, canvas))).shape == (3, window.size, window.size)


@pytest.mark.parametrize("size", [2, 5, 12])
def test_a_window_holds_what_is_lit_and_what_counts(size):
    probe = np.zeros((1, 16, 16), np.complex64)
    probe[0, 3:5, 4] = 1
    narrow, counting = Window.of(probe, 20), Counting(16, size, "uniform")
    wide = Window.of(probe, 20, counting)
    assert Window.of(probe, 20, Counting(16, size)) == narrow
    assert wide.first <= min(narrow.first, counting.centre.start)
    assert wide.first + wide.size >= max(narrow.first + narrow.size, counting.centre.stop + 4)
    assert wide.size % 2 == 0 and wide.first + wide.size <= 20
