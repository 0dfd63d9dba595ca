"""What a file says of itself is quoted in one short line, and takes no more memory than it should."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from pinn_data.errors import DataFormatError, DataKeyError, PinnDataError, UnitError, listed
from pinn_data.files.npz import read_scan
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.npz_header import read_scan_header

N, FRAMES = 8, 3
MEBI = 2**20


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def scan_file(path, method=zipfile.ZIP_STORED, **entries):
    """A good file, with other bytes for some entries; None leaves one out."""
    arrays = {
        "diff3d": npy(np.ones((FRAMES, N, N), np.uint16)),
        "xcoords": npy(np.arange(3.0)),
        "ycoords": npy(np.arange(3.0)),
        "probeGuess": npy(np.ones((N, N), np.complex64)),
    }
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in (arrays | entries).items():
            if data is not None:
                file.writestr(f"{name}.npy", data)
    return path


def test_names_are_listed_up_to_a_number():
    assert listed([]) == "nothing"
    assert listed(["a", "b"]) == "a, b"
    assert listed("abcd", most=2) == "a, b and 2 more"


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Jcleared", "x" * 5000, "é\u2028"])
@pytest.mark.parametrize("missing", ["diff3d", "xcoords"])
def test_names_of_entries_do_not_spoil_a_message(tmp_path, name, missing):
    path = scan_file(tmp_path / "scan.npz", **{missing: None, name: b""})
    for read in (read_scan, read_scan_header):
        with pytest.raises(DataKeyError, match=f"no entry '{missing}'") as caught:
            read(path)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_a_thousand_entries_are_not_listed(tmp_path):
    path = scan_file(tmp_path / "scan.npz", diff3d=None, **{f"entry{n}": b"" for n in range(1000)})
    with pytest.raises(DataKeyError, match="and 983 more"):
        read_scan(path)


def test_an_odd_unit_is_quoted_in_short(tmp_path):
    path = scan_file(tmp_path / "scan.npz", diffraction_unit=npy("photons\n" * 5000))
    with pytest.raises(UnitError, match=r"diffraction unit 'photons\\nphotons") as caught:
        read_scan(path)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000])
def test_metadata_that_are_nested_too_deep_are_refused(tmp_path, text):
    path = scan_file(tmp_path / "scan.npz", metadata=npy(text))
    for read in (read_scan, read_scan_header):
        with pytest.raises(DataFormatError, match="'metadata' is not JSON"):
            read(path)


@pytest.mark.parametrize("shape", ["(0, 4611686018427387904, 4)", "(" + "1, " * 70 + ")"])
@pytest.mark.parametrize("name", ["diff3d", "xcoords", "probeGuess"])
def test_a_shape_that_no_array_can_have_is_refused(tmp_path, name, shape):
    text = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(2)
    path = scan_file(tmp_path / "scan.npz", **{name: data})
    with pytest.raises(PinnDataError) as caught:
        read_scan(path, frames_axis=2)
    assert str(caught.value).isprintable()
    with NpzReader(path) as file, pytest.raises(DataFormatError, match="is damaged"):
        file.read(name)


BOMBS = {
    "a text": ("metadata", npy(np.array(b"{" + b'"a":1,' * (5 * MEBI) + b'"b":1}'))),
    "a header": (
        "xcoords",
        b"\x93NUMPY\x02\x00"
        + (30 * MEBI).to_bytes(4, "little")
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }".ljust(30 * MEBI - 1)
        + b"\n"
        + bytes(24),
    ),
}


@pytest.mark.parametrize("where", BOMBS)
def test_what_unpacks_to_far_too_much_is_refused_with_little_memory(tmp_path, where):
    name, data = BOMBS[where]
    path = scan_file(tmp_path / "scan.npz", zipfile.ZIP_DEFLATED, **{name: data})
    assert path.stat().st_size < MEBI
    for read in (read_scan, read_scan_header):
        tracemalloc.start()
        try:
            with pytest.raises(PinnDataError):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 4 * MEBI
        finally:
            tracemalloc.stop()
