"""Laws of cutting patches and putting them back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import PositionError, ShapeError
from pinn_data.optics.patches import extract, place
from pinn_data.testing import complex_objects, scan_positions

SHAPE, N = (23, 29), 8
objects = complex_objects(SHAPE)
positions = st.one_of(scan_positions(SHAPE, N, whole=True), scan_positions(SHAPE, N))


@given(objects, scan_positions(SHAPE, N, whole=True))
def test_at_whole_positions_a_patch_is_a_slice_with_its_centre_on_the_position(o, p):
    for (y, x), patch in zip(p.astype(int), extract(o, p, N), strict=True):
        np.testing.assert_array_equal(patch, o[y - N // 2 : y + N // 2, x - N // 2 : x + N // 2])
        if y < SHAPE[0] and x < SHAPE[1]:
            assert patch[N // 2, N // 2] == o[y, x]


@given(objects, positions, st.integers(0, 2**32 - 1))
def test_place_is_the_adjoint_of_extract(o, p, seed):
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(len(p), N, N)) + 1j * rng.normal(size=(len(p), N, N))
    left, right = np.vdot(extract(o, p, N), q), np.vdot(o, place(q, p, SHAPE))
    assert abs(left - right) <= 1e-12 * np.linalg.norm(o) * np.linalg.norm(q)


@given(objects, objects, positions, st.complex_numbers(max_magnitude=10))
def test_extract_is_linear(o1, o2, p, c):
    np.testing.assert_allclose(
        extract(o1 + c * o2, p, N), extract(o1, p, N) + c * extract(o2, p, N), atol=1e-9
    )


@given(positions)
def test_fractional_positions_interpolate_a_plane_exactly(p):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plane = 2.0 * y - 3.0 * x + 1j * (x + 0.5 * y)
    r = np.arange(N) - N // 2
    Y, X = p[:, 0, None, None] + r[:, None], p[:, 1, None, None] + r
    np.testing.assert_allclose(extract(plane, p, N), 2 * Y - 3 * X + 1j * (X + 0.5 * Y), atol=1e-9)


@given(objects, positions)
def test_transposing_the_object_swaps_y_with_x(o, p):
    np.testing.assert_allclose(extract(o.T, p[:, ::-1], N), extract(o, p, N).transpose(0, 2, 1), atol=1e-12)


@given(objects, positions)
def test_place_adds_to_what_it_is_given(o, p):
    patches = extract(o, p, N)
    canvas = o.copy()
    assert place(patches, p, SHAPE, out=canvas) is canvas
    np.testing.assert_allclose(canvas, o + place(patches, p, SHAPE), atol=1e-12)


def test_dtype_is_kept_by_extract_and_double_in_place():
    o = np.ones(SHAPE, np.complex64)
    p = np.array([[10.0, 11.0], [10.5, 11.25]])
    patches = extract(o, p, N)
    assert patches.dtype == np.complex64
    assert place(patches, p, SHAPE).dtype == np.complex128
    assert place(patches.real, p, SHAPE).dtype == np.float64


@pytest.mark.parametrize("y, x", [(3.0, 10.0), (10.0, 3.9), (19.5, 10.0), (10.0, 25.1), (20.0, 10.0)])
def test_a_patch_outside_the_object_is_refused(y, x):
    with pytest.raises(PositionError, match="reach outside"):
        extract(np.ones(SHAPE), [[10.0, 10.0], [y, x]], N)
    with pytest.raises(PositionError, match="reach outside"):
        place(np.ones((1, N, N)), [[y, x]], SHAPE)


def test_the_last_whole_position_is_served():
    o = np.arange(23.0 * 29.0).reshape(SHAPE)
    np.testing.assert_array_equal(extract(o, [[19.0, 25.0]], N)[0], o[15:, 21:])
    np.testing.assert_allclose(extract(o, [[19.0, 24.5]], N)[0], o[15:, 20:28] + 0.5)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="even"):
        extract(np.ones(SHAPE), [[10.0, 10.0]], 7)
    with pytest.raises(ShapeError, match="each patch needs one position"):
        place(np.ones((2, N, N)), [[10.0, 10.0]], SHAPE)
    with pytest.raises(ShapeError, match="out has"):
        place(np.ones((1, N, N), complex), [[10.0, 10.0]], SHAPE, out=np.zeros(SHAPE))
