"""Positions in text, NPY and HDF5 files: which column is which is told or asked for, never guessed."""

import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pinn_data import errors
from pinn_data.files.position_file import read_positions

YX = np.array([[1.5, -20.0], [2.5, 30.0], [3.5, 4e1]])


@pytest.mark.parametrize(
    ("text", "columns", "unit"),
    [
        ("x_um,y_um\n-20,1.5\n30,2.5\n40,3.5\n", None, "um"),
        ("frame;y [µm];x [µm];dose\n0;1.5;-20;9\n1;2.5;30;9\n2;3.5;40;9\n", None, "um"),
        ("# y x\n1.5 -20\n2.5 30\n\n# a remark\n3.5 40\n", None, None),
        ("sample_x (m)\tsample_y (m)\n-20\t1.5\n30\t2.5\n40\t3.5\n", None, "m"),
        ("ycoords,xcoords\n1.5,-20\n2.5,30\n3.5,40\n", None, None),
        ("1.5,-20\n2.5,30\n3.5,40\n", ("y", "x"), None),
        ("0 -20 1.5\n1 30 2.5\n2 40 3.5\n", ("-", "x", "y"), None),
        ("# a remark\n# y_nm x_nm\n1.5 -20\n2.5 30\n3.5 40\n", None, "nm"),
        ("# a remark, with a comma\ny_m,x_m\n1.5,-20\n2.5,30\n3.5,40", None, "m"),
        ("y_m,x_m\r1.5,-20\r2.5,30\r3.5,40\r", None, "m"),
        ("\ufeffy_m,x_um\n1.5,-20\n2.5,30\n3.5,40\n", None, None),
    ],
)
def test_text(tmp_path, text, columns, unit):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    found, said = read_positions(path, None, columns)
    assert np.array_equal(found, YX) and said == unit


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 9), st.just(2)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from([",", ";", "\t", " "]),
)
def test_numbers_come_back_as_they_were_written(tmp_path, table, separator):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(separator.join(map(repr, row)) for row in table.tolist()))
    assert np.array_equal(read_positions(path, None, ("y", "x"))[0], table)


def test_a_table_takes_the_memory_of_its_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n" * 40_000)
    tracemalloc.start()
    read_positions(path, None, ("y", "x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * path.stat().st_size  # a list for each row would take 40 times


def test_arrays(tmp_path):
    np.save(tmp_path / "a.npy", YX[:, ::-1])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["motors/xy"] = YX[:, ::-1]
    assert np.array_equal(read_positions(tmp_path / "a.npy", None, ("x", "y"))[0], YX)
    assert np.array_equal(read_positions(tmp_path / "a.h5", "motors/xy", ("x", "y"))[0], YX)
    with pytest.raises(errors.DataKeyError, match="no dataset named for the positions"):
        read_positions(tmp_path / "a.h5", None, ("x", "y"))


@pytest.mark.parametrize(
    ("content", "columns", "error", "sentence"),
    [
        (b"1,2\n", None, errors.DataKeyError, "which of its columns are y and x.*--positions-columns"),
        (b"a,b\n1,2\n", None, errors.DataKeyError, "which of its columns"),
        (b"1,2\n", ("y", "z"), errors.PositionError, "columns y,z were given"),
        (b"1,2\n", ("y", "x", "-"), errors.ShapeError, "at least 3 columns"),
        (b"1,2\n1\n", ("y", "x"), errors.DataFormatError, "line 2 has 1 numbers"),
        (b"1,2\nx,y\n", ("y", "x"), errors.DataFormatError, "line 2 is 'x,y', which is not a row"),
        (
            b"# y,x\n# a remark\nz,w\n1,2\n",
            None,
            errors.DataFormatError,
            "line 3 is 'z,w', which is not a row",
        ),
        (b"1," * 2**16, ("y", "x"), errors.DataFormatError, "line 1 has 65536 characters or more"),
        (b"1,2\n\x00\x1b[2J,3\n", ("y", "x"), errors.DataFormatError, r"line 2 is '\\x00\\x1b\[2J,3'"),
        (b"y,x\n", None, errors.ShapeError, "a row for each frame"),
        (b"\xff\xfe\x00\x80", ("y", "x"), errors.DataFormatError, "neither text"),
        (b"\x93NUMPY\x01", ("y", "x"), errors.DataFormatError, "damaged NPY"),
    ],
)
def test_bad_files(tmp_path, only_sentence, content, columns, error, sentence):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=sentence) as caught:
        read_positions(path, None, columns)
    only_sentence(caught, path)


def test_a_missing_file(tmp_path):
    with pytest.raises(errors.DataFileNotFoundError, match="does not exist"):
        read_positions(tmp_path / "none.csv")
