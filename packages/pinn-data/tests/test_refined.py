"""What the solver found is back after it was written, whatever file keeps it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import DataFormatError, DataRangeError, ShapeError
from pinn_data.files.product import product_from_reconstruction, read_product, write_product
from pinn_data.scan.positions import Canvas
from pinn_data.scan.refined import Refined

PARTS = (
    *("positions_start", "mode_shares", "background", "bad_pixels"),
    *("frame_intensity", "frame_misfit", "pixel_misfit"),
)


@st.composite
def refinements(draw, frames: int = 5, N: int = 8):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    misfit = rng.random((N, N)) + 0.5
    misfit[rng.random((N, N)) < 0.2] = np.nan
    bad = rng.random((frames, N, N) if draw(st.booleans()) else (N, N)) < 0.3
    return Refined(
        rng.normal(size=(frames, 2)) * 30,
        np.array([0.75, 0.25]),
        draw(st.sampled_from([np.zeros(()), np.array(1.5), rng.random((N, N))])),
        draw(st.sampled_from([None, bad])),
        draw(st.sampled_from([None, rng.random(frames)])),
        rng.random(frames),
        misfit,
        {
            "R": 0.1,
            "sentences": ["a β"],
            "history": [{"stage": "fine", "epoch": 0, "seconds": 0.5, "R": 0.3}],
        },
    )


def same(one: Refined, other: Refined) -> bool:
    return one.facts == other.facts and all(
        (a is None and b is None) or np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in ((getattr(one, part), getattr(other, part)) for part in PARTS)
    )


@given(refinements())
def test_read_is_the_inverse_of_entries(found):
    entries = found.entries()
    again = Refined.read(entries.__contains__, entries.__getitem__)
    assert same(again, found) and again.course == [("fine", 0.5, 0.3)]


@given(found=refinements())
def test_a_product_keeps_it(tmp_path_factory, found):
    image = np.ones((20, 21), np.complex64)
    product = product_from_reconstruction(
        image,
        found.positions_start + 0.25,
        np.ones((2, 8, 8), np.complex64),
        Canvas((-3, 4), image.shape),
        pixel_size_m=(2e-8, 3e-8),
        detector_distance_m=1.0,
        photon_energy_eV=8000.0,
        refined=found,
    )
    path = write_product(tmp_path_factory.mktemp("product") / "p.h5", product)
    assert same(read_product(path).refined, found)


def test_where_the_solver_had_no_part_there_is_nothing():
    assert Refined.read({"background": 1}.__contains__, {}.__getitem__) is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"solver": np.frombuffer(b"[1]", np.uint8)}, DataFormatError),
        ({"solver": np.frombuffer(b"{", np.uint8)}, DataFormatError),
        ({"solver": np.array("{}")}, DataFormatError),
        ({"frame_misfit": np.ones(4)}, ShapeError),
        ({"pixel_misfit": np.ones(8)}, ShapeError),
        ({"mode_shares": np.array(["a"])}, DataRangeError),
        ({"background": np.array(-1.0)}, DataRangeError),
        ({"xcoords_start": np.ones((5, 1))}, ShapeError),
    ],
)
def test_parts_that_cannot_be_are_refused(change, error):
    entries = Refined(np.ones((5, 2)), np.ones(1), 0.0, None, None, np.ones(5), np.ones((8, 8))).entries()
    entries |= change
    with pytest.raises(error):
        Refined.read(entries.__contains__, entries.__getitem__)


def test_a_course_of_somebody_else_is_no_course():
    rows = [{"R": "x"}, 3, {"stage": "a", "seconds": 1, "R": None}, {"stage": "b", "seconds": 1, "R": 0.5}]
    refined = Refined(np.ones((1, 2)), np.ones(1), 0.0, None, None, np.ones(1), np.ones((2, 2)))
    for history, course in ((rows, [("b", 1.0, 0.5)]), ("text", []), (None, [])):
        refined.facts["history"] = history
        assert refined.course == course
