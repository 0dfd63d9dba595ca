"""Pictures of a reconstruction: what lies where, and that colours tell values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pinn_data.errors import DataWriteError, ShapeError
from pinn_data.run.pictures import flat_phase, write_picture, write_pictures


def _pixels(path):
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


@settings(deadline=None, max_examples=30)
@given(
    values=arrays(np.float64, st.tuples(st.integers(2, 40), st.integers(2, 40)), elements=st.floats(-3, 3)),
    colours=st.sampled_from(["gray", "viridis"]),
)
def test_every_pixel_is_a_square_of_the_colour_of_its_value(tmp_path_factory, values, colours):
    path = write_picture(tmp_path_factory.mktemp("p") / "a.png", values, colours=colours)
    drawn = _pixels(path)
    rows, columns = values.shape
    side = drawn.shape[0] // rows
    assert drawn.shape[0] == side * rows and drawn.shape[1] > side * columns
    squares = drawn[:, : side * columns].reshape(rows, side, columns, side, 3)
    assert (squares == squares[:, :1, :, :1]).all()
    seen = squares[:, 0, :, 0]
    # Both scales grow lighter from one end to the other, so lightness sorts as the values do.
    light = (seen @ [0.2126, 0.7152, 0.0722]).ravel()
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(light[order]) >= -1.0).all()


def test_row_zero_is_at_the_top_and_column_zero_at_the_left(tmp_path):
    values = np.zeros((3, 5))
    values[0, 4] = 1.0
    drawn = _pixels(write_picture(tmp_path / "a.png", values))
    side = drawn.shape[0] // 3
    top_right = drawn[:side, 4 * side : 5 * side]
    assert (top_right == 255).all() and (drawn[side:, : 5 * side] == 0).all()


def test_what_was_not_seen_has_a_colour_of_its_own_and_no_say_in_the_range(tmp_path):
    values = np.tile(np.linspace(0, 1, 20), (20, 1))
    known = np.ones((20, 20), bool)
    known[3], values[3] = False, 1e9
    values[7, 7] = np.nan
    drawn = _pixels(write_picture(tmp_path / "a.png", values, known=known))
    side = drawn.shape[0] // 20
    unknown = drawn[3 * side, 0]
    assert len(set(unknown)) > 1 and (drawn[7 * side, 7 * side] == unknown).all()
    assert (drawn[0, 19 * side] == 255).all() and (drawn[0, 0] == 0).all()


def test_what_is_not_trusted_is_drawn_but_has_no_say_in_the_range(tmp_path):
    values = np.tile(np.linspace(0, 1, 20), (20, 1))
    values[3] = 1e9
    trusted = values < 2
    drawn = _pixels(write_picture(tmp_path / "a.png", values, trusted=trusted))
    side = drawn.shape[0] // 20
    assert (drawn[3 * side, : 20 * side] == 255).all()
    assert (drawn[0, 19 * side] == 255).all() and (drawn[0, 0] == 0).all()


@pytest.mark.parametrize("value", [0.0, 5.0, -2.0])
def test_an_image_without_structure_is_drawn_too(tmp_path, value):
    assert write_picture(tmp_path / "a.png", np.full((4, 9), value)).is_file()
    nothing = np.zeros((4, 9), bool)
    assert write_picture(tmp_path / "b.png", np.full((4, 9), value), known=nothing).is_file()


def test_amplitude_is_grey_and_phase_coloured(tmp_path):
    rng = np.random.default_rng(0)
    amplitude, phase = write_pictures(tmp_path, rng.random((8, 9)), rng.random((8, 9)))
    assert (amplitude.name, phase.name) == ("reconstructed_amplitude.png", "reconstructed_phase.png")
    assert (np.ptp(_pixels(amplitude)[:, :64], axis=-1) == 0).all()
    assert (np.ptp(_pixels(phase)[:, :64], axis=-1) > 20).any()


@settings(deadline=None, max_examples=30)
@given(turn=st.floats(-3.1, 3.1))
def test_a_global_phase_leaves_the_flat_phase_alone(turn):
    rng = np.random.default_rng(1)
    image = (1 + rng.random((6, 7))) * np.exp(0.9j * rng.random((6, 7)))
    np.testing.assert_allclose(flat_phase(image * np.exp(1j * turn)), flat_phase(image), atol=1e-9)


@pytest.mark.parametrize("values", [np.zeros((2, 2, 2)), np.zeros((0, 3)), np.zeros((3, 3), complex)])
def test_what_is_no_image_is_refused(tmp_path, values):
    with pytest.raises(ShapeError, match="rows and columns of real numbers: give one image"):
        write_picture(tmp_path / "a.png", values)


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(DataWriteError, match="does not exist: create it"):
        write_picture(tmp_path / "no" / "a.png", np.zeros((2, 2)))
