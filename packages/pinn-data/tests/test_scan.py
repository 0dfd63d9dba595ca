"""Laws of positions and canvases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import EmptyScanError, PositionError, ShapeError
from pinn_data.scan.positions import (
    Canvas,
    canvas_for,
    from_ptychodus,
    reoriented,
    select_region,
    split_subpixel,
    to_ptychodus,
    validate_positions,
)
from pinn_data.testing import scan_positions

coordinates = st.floats(-300, 300)
milli = st.integers(-300_000, 300_000).map(lambda n: n / 1000)
positions_anywhere = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12).map(np.array)
# No fraction of these is lost when a canvas origin is taken away from them.
positions_in_milli = st.lists(st.tuples(milli, milli), min_size=1, max_size=12).map(np.array)
sizes = st.sampled_from([8, 16, 32])


@given(positions=positions_anywhere)
def test_a_position_is_its_whole_pixel_and_its_fraction(positions):
    whole, fraction = split_subpixel(positions)
    assert whole.dtype == np.int64
    np.testing.assert_allclose(whole + fraction, positions, rtol=0, atol=1e-12)
    assert ((fraction >= 0) & (fraction < 1)).all()


@given(positions=positions_in_milli, N=sizes)
def test_the_canvas_holds_every_patch_and_no_more(positions, N):
    canvas = canvas_for(positions, N)
    first = np.floor(canvas.local(positions)) - N // 2
    last = np.ceil(canvas.local(positions)) - N // 2 + N
    np.testing.assert_array_equal(first.min(axis=0), [0, 0])
    np.testing.assert_array_equal(last.max(axis=0), canvas.shape)


@given(positions=positions_in_milli, N=sizes, y=st.integers(-50, 50), x=st.integers(-50, 50))
def test_the_canvas_moves_with_the_scan(positions, N, y, x):
    still, moved = canvas_for(positions, N), canvas_for(np.round(positions + np.array([y, x]), 3), N)
    assert moved == Canvas((still.origin[0] + y, still.origin[1] + x), still.shape)


@given(positions=positions_anywhere, N=sizes)
def test_swapping_x_and_y_transposes_the_canvas(positions, N):
    canvas = canvas_for(positions, N)
    assert canvas_for(positions[:, ::-1], N) == Canvas(canvas.origin[::-1], canvas.shape[::-1])


@given(positions=scan_positions((41, 47), 16))
def test_drawn_positions_lie_inside_the_object(positions):
    canvas = canvas_for(positions, 16)
    assert min(canvas.origin) >= 0
    assert canvas.origin[0] + canvas.shape[0] <= 41
    assert canvas.origin[1] + canvas.shape[1] <= 47


def test_the_canvas_of_the_documented_example():
    assert canvas_for([[20, 30]], 16) == Canvas(origin=(12, 22), shape=(16, 16))
    assert canvas_for([[20.25, 30], [22, 41.5]], 16) == Canvas(origin=(12, 22), shape=(18, 28))


@given(positions=positions_anywhere, cut=coordinates, axis=st.sampled_from("yx"))
def test_a_cut_divides_the_scan_into_two_parts(positions, cut, axis):
    below, above = select_region(positions, axis, high=cut), select_region(positions, axis, low=cut)
    np.testing.assert_array_equal(below, ~above)
    np.testing.assert_array_equal(below, positions[:, "yx".index(axis)] < cut)


@given(positions=positions_anywhere, low=st.floats(-300, 0), width=st.floats(1, 300))
def test_a_band_is_what_both_its_sides_leave(positions, low, width):
    band = select_region(positions, "x", low, low + width)
    sides = select_region(positions, "x", low=low) & select_region(positions, "x", high=low + width)
    np.testing.assert_array_equal(band, sides)


@given(positions=positions_anywhere)
def test_ptychodus_positions_come_back(positions):
    np.testing.assert_allclose(from_ptychodus(to_ptychodus(positions)), positions, rtol=0, atol=1e-12)


@given(N=sizes, corner=st.integers(0, 40))
def test_both_conventions_name_the_same_patch(N, corner):
    """The patch object[corner : corner + N]: ptychodus names its middle, we name pixel N/2."""
    pixels = np.arange(corner, corner + N)
    assert from_ptychodus(pixels.mean()) == pixels[N // 2]


@pytest.mark.parametrize(
    ("positions", "error", "sentence"),
    [
        (np.zeros((3, 3)), ShapeError, r"shape \(3, 3\), but \(positions, 2\) .* numpy.stack"),
        (np.zeros(4), ShapeError, r"shape \(4,\), but \(positions, 2\)"),
        (np.zeros((0, 2)), EmptyScanError, "holds no position, but at least one"),
        ([[0, np.nan], [1, 1]], PositionError, "1 of 2 scan positions are NaN or infinite .* number 0"),
        ([[0, 0], [np.inf, 1]], PositionError, "1 of 2 scan positions are NaN or infinite .* number 1"),
        ([[1e15, 0]], PositionError, "1e\\+15 is out of range, but positions are object pixels"),
        ([["a", "b"]], PositionError, "dtype <U1, but real numbers"),
        (np.zeros((2, 2), complex), PositionError, "dtype complex128, but real numbers"),
    ],
)
def test_unusable_positions_are_refused_in_one_sentence(positions, error, sentence):
    with pytest.raises(error, match=sentence):
        validate_positions(positions)


def test_positions_and_frames_must_agree():
    with pytest.raises(ShapeError, match="3 scan positions for 5 diffraction patterns"):
        validate_positions(np.zeros((3, 2)), frames=5)


def test_an_outlier_does_not_blow_up_the_canvas():
    with pytest.raises(
        PositionError, match=r"span .* more than the 1073741824 pixels .* remove outlying positions"
    ):
        canvas_for([[0, 0], [1e5, 1e5]], 64)


def test_regions_that_make_no_sense_are_refused():
    with pytest.raises(PositionError, match="axis 'z' is not a scan axis: use 'y'"):
        select_region([[0, 0]], "z")
    with pytest.raises(PositionError, match="from 3 to 3 along y is empty"):
        select_region([[0, 0]], "y", 3, 3)


orientations = st.fixed_dictionaries(
    {"flip_x": st.booleans(), "flip_y": st.booleans(), "transpose": st.booleans()}
)


@given(p=positions_anywhere, options=orientations, scale=st.floats(0.1, 9))
def test_an_orientation_changes_differences_by_sign_order_and_scale_and_keeps_the_box(p, options, scale):
    turned = reoriented(p, **options, scale=scale)
    signs = np.array([-1 if options["flip_y"] else 1, -1 if options["flip_x"] else 1])
    expected = (p - p[0]) * signs * scale
    expected = expected[:, ::-1] if options["transpose"] else expected
    np.testing.assert_allclose(turned - turned[0], expected, atol=1e-6)
    for end in (np.min, np.max):
        box = end(p, axis=0)[::-1] if options["transpose"] else end(p, axis=0)
        np.testing.assert_allclose(end(turned, axis=0), box * scale, atol=1e-6)


@given(p=positions_anywhere, which=st.sampled_from(["flip_x", "flip_y", "transpose"]))
def test_each_orientation_undoes_itself_and_nothing_is_the_identity(p, which):
    before = p.copy()
    np.testing.assert_allclose(reoriented(reoriented(p, **{which: True}), **{which: True}), p, atol=1e-9)
    np.testing.assert_array_equal(reoriented(p), p)
    np.testing.assert_array_equal(p, before)  # the caller's array is left alone


def test_a_scale_of_positions_is_finite_and_positive():
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(PositionError, match="finite and above 0"):
            reoriented(np.zeros((2, 2)), scale=scale)
