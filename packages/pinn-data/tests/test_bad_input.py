"""Bad files: each is refused with one sentence that says what was given, what is allowed and what to do."""

import io
import os
import pickle
import struct
import zipfile

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data import errors
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.files.product import read_product
from pinn_data.scan.scan import Scan
from pinn_data.testing import scans

N, FRAMES = 8, 5


def entries(**changes):
    """The arrays of a small valid file; a value of None leaves the entry out."""
    rng = np.random.default_rng(0)
    arrays = {
        "diff3d": rng.poisson(30.0, (FRAMES, N, N)).astype(np.int32),
        "xcoords": rng.uniform(10, 20, FRAMES),
        "ycoords": rng.uniform(30, 60, FRAMES),
        "probeGuess": (rng.normal(size=(N, N)) + 1j * rng.normal(size=(N, N))).astype(np.complex64),
        "objectGuess": np.ones((70, 40), np.complex64),
        "scan_index": np.zeros(FRAMES, np.int64),
    }
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def stack(value=None, where=(2, 1, 1), dtype=np.float32, shape=(FRAMES, N, N)):
    array = np.random.default_rng(1).uniform(1, 9, shape).astype(dtype)
    if value is not None:
        array[where] = value
    return array


def long(n):
    return np.arange(n, dtype=float)


BAD_ENTRIES = {
    "no patterns": (
        {"diff3d": None},
        errors.DataKeyError,
        "no entry 'diff3d' or 'diffraction' .it holds xcoords",
    ),
    "no x": ({"xcoords": None}, errors.DataKeyError, "no entry 'xcoords' .* add it to the file"),
    "no y": ({"ycoords": None}, errors.DataKeyError, "no entry 'ycoords'"),
    "no probe": ({"probeGuess": None}, errors.DataKeyError, "no entry 'probeGuess'"),
    "half a pair of start positions": (
        {"xcoords_start": long(FRAMES)},
        errors.DataKeyError,
        "no entry 'ycoords_start'",
    ),
    "one pattern": (
        {"diff3d": stack()[0]},
        errors.ShapeError,
        r"shape \(8, 8\), but three axes \(frames, N, N\)",
    ),
    "five axes": ({"diff3d": stack()[:, None, None]}, errors.ShapeError, "three axes"),
    "two channels": (
        {"diff3d": np.stack([stack()] * 2, -1)},
        errors.ShapeError,
        r"\(5, 8, 8, 2\), but three axes",
    ),
    "not square": (
        {"diff3d": stack(shape=(FRAMES, 8, 10))},
        errors.ShapeError,
        "are 8 x 10, but square .* crop or pad",
    ),
    "odd": (
        {"diff3d": stack(shape=(FRAMES, 9, 9))},
        errors.ShapeError,
        "are 9 x 9, but an even size of at least 4 is needed .*64, 128 or 256.: crop or pad",
    ),
    "tiny": ({"diff3d": stack(shape=(FRAMES, 2, 2))}, errors.ShapeError, "are 2 x 2, but an even size"),
    "negative amplitude": (
        {"diff3d": stack(-0.5)},
        errors.DataRangeError,
        r"pattern 2 holds -0.5, but .* \(-1, -2\) that mark bad pixels: store the patterns",
    ),
    "complex patterns": (
        {"diff3d": stack() * 1j},
        errors.DataRangeError,
        "dtype complex64, but real numbers",
    ),
    "flags for patterns": ({"diff3d": stack() > 3}, errors.DataRangeError, "dtype bool, but real numbers"),
    "text for patterns": (
        {"diff3d": stack().astype(str)},
        errors.DataRangeError,
        "dtype <U.*, but real numbers",
    ),
    "fewer positions": (
        {"xcoords": long(3), "ycoords": long(3)},
        errors.ShapeError,
        r"'diff3d' has shape \(5, 8, 8\) but there are 3 positions .* each pattern needs exactly one",
    ),
    "more positions": (
        {"xcoords": long(6), "ycoords": long(6)},
        errors.ShapeError,
        "but there are 6 positions",
    ),
    "x and y differ": (
        {"xcoords": long(4)},
        errors.ShapeError,
        "'xcoords' has 4 entries and 'ycoords' 5, but both need",
    ),
    "positions as a table": (
        {"xcoords": np.ones((FRAMES, 1))},
        errors.ShapeError,
        r"'xcoords' is float64 of shape \(5, 1\)",
    ),
    "positions in text": (
        {"ycoords": long(FRAMES).astype(str)},
        errors.ShapeError,
        "'ycoords' is <U.*one real number per frame",
    ),
    "NaN position": (
        {"xcoords": np.array([1, 2, np.nan, 4, 5])},
        errors.PositionError,
        "1 of 5 scan positions are NaN or infinite .the first is number 2., .* drop those frames",
    ),
    "NaN start position": (
        {"xcoords_start": np.full(FRAMES, np.nan), "ycoords_start": long(FRAMES)},
        errors.PositionError,
        "5 of 5 scan positions are NaN",
    ),
    "start positions of another scan": (
        {"xcoords_start": long(3), "ycoords_start": long(3)},
        errors.ShapeError,
        "3 scan positions for 5 diffraction patterns",
    ),
    "no frames": (
        {"diff3d": stack(shape=(0, N, N)), "xcoords": long(0), "ycoords": long(0)},
        errors.EmptyScanError,
        "holds no position, but at least one is needed",
    ),
    "positions without frames": (
        {"diff3d": stack(shape=(0, N, N))},
        errors.EmptyScanError,
        "no diffraction pattern, but at least one is needed",
    ),
    "a cube": (
        {"diff3d": stack(shape=(N, N, N)), "xcoords": long(N), "ycoords": long(N), "scan_index": None},
        errors.ShapeError,
        "is not clear which axis counts the frames: pass frames_axis=0",
    ),
    "two stacks that differ": (
        {"diffraction": stack()},
        errors.DataFormatError,
        "both 'diff3d' and 'diffraction' and they differ, .*: keep one of them",
    ),
    "two stacks of different length": (
        {"diff3d": stack(), "diffraction": stack()[:3]},
        errors.ShapeError,
        r"'diffraction' has shape \(3, 8, 8\) but there are 5 positions",
    ),
    "two stacks that differ in one late pixel": (
        {"diff3d": stack(), "diffraction": stack(2.0, (4, 7, 7)).astype(np.float64)},
        errors.DataFormatError,
        "they differ",
    ),
    "unknown unit": (
        {"diffraction_unit": np.array("photons")},
        errors.UnitError,
        "'photons' is unknown: use 'counts'",
    ),
    "unit that is a number": (
        {"diffraction_unit": np.array(3)},
        errors.DataFormatError,
        "'diffraction_unit' is int64",
    ),
    "mislabelled": (
        {"diff3d": stack(), "diffraction_unit": np.array("counts")},
        errors.UnitError,
        "labelled 'counts' but hold fractions",
    ),
    "probe of another size": (
        {"probeGuess": np.ones((16, 16), complex)},
        errors.ShapeError,
        r"probe \(probeGuess\) has shape \(16, 16\), but the patterns are 8 x 8: give a probe of that size",
    ),
    "probe in a row": (
        {"probeGuess": np.ones(64, complex)},
        errors.ShapeError,
        r"shape \(64,\), but \(height, width\) or",
    ),
    "dark probe": (
        {"probeGuess": np.zeros((N, N), complex)},
        errors.DataRangeError,
        "zero everywhere, .* give a real probe",
    ),
    "NaN probe": (
        {"probeGuess": np.full((N, N), np.nan * 1j)},
        errors.DataRangeError,
        "probe .* NaN or infinity, but must",
    ),
    "text for probe": (
        {"probeGuess": np.full((N, N), "a")},
        errors.DataRangeError,
        "probe .* <U1, but complex numbers",
    ),
    "object of layers": (
        {"objectGuess": np.ones((2, 9, 9), complex)},
        errors.ShapeError,
        "object .* but .height, width. is",
    ),
    "NaN object": (
        {"objectGuess": np.full((9, 9), np.nan)},
        errors.DataRangeError,
        "object .* NaN or infinity",
    ),
    "scan_index of fractions": (
        {"scan_index": long(FRAMES) / 2},
        errors.DataRangeError,
        "scan_index .* whole numbers",
    ),
    "scan_index too short": (
        {"scan_index": np.arange(3)},
        errors.ShapeError,
        r"scan_index has shape \(3,\), but one number",
    ),
    "metadata of another kind": (
        {"metadata": np.array("[1]")},
        errors.DataFormatError,
        "JSON list, but one object",
    ),
    "metadata that is no JSON": (
        {"metadata": np.array("{a}")},
        errors.DataFormatError,
        "'metadata' is not JSON",
    ),
    "metadata that is no text": (
        {"metadata": np.array(b"\xff")},
        errors.DataFormatError,
        "'metadata' is not UTF-8",
    ),
    "pickled patterns": (
        {"diff3d": stack().astype(object)},
        errors.DataFormatError,
        "'diff3d' .* pickled Python object, which could run code and is never opened: store it as a plain",
    ),
    "pickled probe": (
        {"probeGuess": np.ones((N, N), object)},
        errors.DataFormatError,
        "pickled Python object",
    ),
    "pickled positions": (
        {"xcoords": long(FRAMES).astype(object)},
        errors.DataFormatError,
        "pickled Python object",
    ),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_a_bad_entry_is_refused_in_one_sentence(tmp_path, only_sentence, case):
    changes, error, sentence = BAD_ENTRIES[case]
    path = tmp_path / "scan.npz"
    np.savez(path, **entries(**changes))
    with pytest.raises(error, match=sentence) as caught:
        read_scan(path)
    only_sentence(caught, path)


def test_the_file_of_these_tests_is_good_when_nothing_is_changed(tmp_path):
    np.savez(tmp_path / "scan.npz", **entries())
    assert len(read_scan(tmp_path / "scan.npz")) == FRAMES


@pytest.mark.parametrize("axis", [0, 2])
def test_a_cube_is_read_when_the_caller_names_the_axis(tmp_path, axis):
    cube = stack(shape=(N, N, N))
    np.savez(tmp_path / "a.npz", **entries(diff3d=cube, xcoords=long(N), ycoords=long(N), scan_index=None))
    read = read_scan(tmp_path / "a.npz", frames_axis=axis)
    np.testing.assert_array_equal(read.diffraction, np.moveaxis(cube, axis, 0))


def test_an_impossible_frames_axis_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", **entries())
    with pytest.raises(errors.ShapeError, match="frames_axis = 1 is not possible: use 0"):
        read_scan(tmp_path / "a.npz", frames_axis=1)


# --- files that are no NPZ --------------------------------------------------------------------------


def an_npy():
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"is empty \(0 bytes\): copy or save"),
        (b"x,y\n1,2\n", "is not an NPZ file: give a file written by numpy.savez"),
        (an_npy(), "is a single NPY array, .* save it with numpy.savez"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "is an HDF5 file, but an NPZ file is needed"),
        (pickle.dumps({"diff3d": 1}), "is not an NPZ file"),
        (b"PK\x03\x04" + bytes(99), "is a truncated or damaged NPZ file"),
    ],
)
def test_a_foreign_file_is_refused_in_one_sentence(tmp_path, only_sentence, content, sentence):
    path = tmp_path / "scan.npz"
    path.write_bytes(content)
    with pytest.raises(errors.DataFormatError, match=sentence) as caught:
        read_scan(path)
    only_sentence(caught, path)


@pytest.mark.parametrize("read", [read_scan, read_product])
def test_a_missing_file_and_a_folder_are_file_not_found(tmp_path, only_sentence, read):
    with pytest.raises(FileNotFoundError, match="does not exist: check the path") as caught:
        read(tmp_path / "nothing.npz")
    only_sentence(caught, tmp_path / "nothing.npz")
    with pytest.raises(FileNotFoundError, match="is a folder: give the ") as caught:
        read(tmp_path)
    only_sentence(caught, tmp_path)


@given(data=st.data())
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_truncated_file_is_refused(tmp_path, only_sentence, save, data):
    path = tmp_path / "scan.npz"
    save(path, **entries())
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(errors.DataFormatError) as caught:
        read_scan(path)
    only_sentence(caught, path)


@given(data=st.data())
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_gives_the_same_scan_or_a_sentence(tmp_path, save, data):
    """Most bytes are guarded by a CRC; what is not (dates, attributes of zip entries) carries no data."""
    path = tmp_path / "scan.npz"
    save(path, **entries())
    original = read_scan(path)
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        read = read_scan(path)
    except errors.PinnDataError:
        return
    # A flip in the name of an optional entry makes that entry another one, which is left alone.
    assert read.equals(original) or (read.object is None and attrs.evolve(original, object=None).equals(read))


# --- headers that lie -------------------------------------------------------------------------------


def npy_header(shape, dtype="<f4"):
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def save_raw(path, key, content, method=zipfile.ZIP_STORED):
    np.savez(path, **entries(**{key: None}))
    with zipfile.ZipFile(path, "a", method) as file:
        file.writestr(f"{key}.npy", content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("shape", [(FRAMES, 2**20, 2**20), (2**62, N, N), (FRAMES, N + 2, N + 2)])
def test_a_header_that_declares_more_than_the_file_holds_allocates_nothing(
    tmp_path, only_sentence, monkeypatch, method, shape
):
    path = save_raw(tmp_path / "bomb.npz", "diff3d", npy_header(shape) + bytes(4 * FRAMES * N * N), method)
    allocated = []
    empty = np.empty
    monkeypatch.setattr(np, "empty", lambda shape, *a, **k: allocated.append(shape) or empty(shape, *a, **k))
    with pytest.raises(errors.DataFormatError, match="truncated or forged") as caught:
        read_scan(path)
    only_sentence(caught, path)
    assert shape not in allocated


def test_a_zip_directory_that_lies_about_the_size_allocates_nothing(tmp_path, monkeypatch):
    """Deflate expands by at most 1032: no terabyte comes out of a kilobyte."""
    shape = (FRAMES, 2**18, 2**18)
    content = npy_header(shape) + bytes(4096)
    path = save_raw(tmp_path / "bomb.npz", "diff3d", content, zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"diff3d.npy") - 46  # its record in the central directory
    assert raw[at : at + 4] == b"PK\x01\x02"
    raw[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)  # uncompressed size: 4 GB, the most without ZIP64
    path.write_bytes(raw)
    monkeypatch.setattr(
        np, "empty", lambda shape, *a, **k: np.zeros(shape, *a, **k) if np.prod(shape) < 1e6 else 1 / 0
    )
    with pytest.raises(errors.DataFormatError, match=r"can hold at most .* truncated or forged"):
        read_scan(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is damaged"),
        (b"no header at all", "is damaged"),
        (b"\x93NUMPY\x09\x00" + bytes(99), "unknown NPY version"),
        (npy_header((-FRAMES, N, N)), "impossible shape"),
        (npy_header((FRAMES, 100_000, 100_000), "|S0"), "50000000000 values of size zero"),
        (npy_header((FRAMES, N, N)).replace(b"shape", b"shope"), "is damaged"),
        (npy_header((FRAMES, N, N)).replace(b"8)", b"8+"), "is damaged"),
        (npy_header((FRAMES, N, N), "<f4" + " " * 20_000), "is damaged"),
        (npy_header((FRAMES, N, N)) + bytes(4 * FRAMES * N * N + 1), "longer than its header says: save"),
    ],
)
def test_a_broken_entry_is_refused_in_one_sentence(tmp_path, only_sentence, content, sentence):
    path = save_raw(tmp_path / "scan.npz", "diff3d", content)
    with pytest.raises(errors.DataFormatError, match=sentence) as caught:
        read_scan(path)
    only_sentence(caught, path)


@pytest.mark.parametrize("text", ["diff3d", "diffraction"])
def test_patterns_beside_the_same_as_text_are_refused(tmp_path, only_sentence, text):
    patterns = stack()
    both = {"diff3d": patterns, "diffraction": patterns} | {text: patterns.astype(str)}
    np.savez(tmp_path / "scan.npz", **entries(**both))
    with pytest.raises(
        errors.DataFormatError, match="both 'diff3d' and 'diffraction' and they differ"
    ) as caught:
        read_scan(tmp_path / "scan.npz")
    only_sentence(caught, tmp_path / "scan.npz")


def test_nothing_in_a_file_can_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    evil = np.empty((), object)
    evil[()] = Evil()
    for key in ("diff3d", "objectGuess", "metadata", "diffraction_unit", "_metadata"):
        np.savez(tmp_path / "scan.npz", **entries(**{key: evil}))
        if key == "diff3d":
            with pytest.raises(errors.PinnDataError):
                read_scan(tmp_path / "scan.npz")
        else:
            read_scan(tmp_path / "scan.npz")
    assert not (tmp_path / "ran").exists()


def test_two_entries_of_one_name_are_refused(tmp_path):
    np.savez(tmp_path / "scan.npz", **entries())
    with zipfile.ZipFile(tmp_path / "scan.npz", "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("diff3d.npy", an_npy())
    with pytest.raises(errors.DataFormatError, match="two entries with the same name"):
        read_scan(tmp_path / "scan.npz")


def test_an_odd_compression_is_refused(tmp_path):
    path = save_raw(tmp_path / "scan.npz", "diff3d", npy_header((1,)), zipfile.ZIP_LZMA)
    with pytest.raises(
        errors.DataFormatError,
        match=r"encrypted or compressed in an unsupported way: save it with numpy.savez",
    ):
        read_scan(path)


# --- scans in memory --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "error", "sentence"),
    [
        (np.zeros(FRAMES, bool), errors.EmptyScanError, "no frame of the scan is chosen"),
        ([], errors.EmptyScanError, "no frame of the scan is chosen"),
        (np.ones(3, bool), errors.ShapeError, r"mask has shape \(3,\), but the scan has 5 frames"),
        ([0, FRAMES], errors.PositionError, "frames 0 to 5 are chosen, but the scan has 5"),
        ([-6], errors.PositionError, "frames -6 to -6 are chosen"),
        ([0.5], errors.ShapeError, "a mask or a list of whole numbers, not by float64"),
        ([[1]], errors.ShapeError, "a mask or a list of whole numbers"),
    ],
)
def test_selections_that_make_no_sense_are_refused(which, error, sentence):
    scan = Scan(stack(), "amplitude", np.ones((FRAMES, 2)), np.eye(N) * 1j)
    with pytest.raises(error, match=sentence):
        scan.select(which)


# --- the exceptions themselves ----------------------------------------------------------------------


def test_every_exception_is_a_value_error_and_says_its_sentence_unquoted_and_survives_pickling():
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.PinnDataError)]
    assert len(kinds) >= 9
    for kind in kinds:
        error = pickle.loads(pickle.dumps(kind("a sentence")))  # noqa: S301 our own bytes
        assert type(error) is kind
        assert isinstance(error, ValueError)
        assert str(error) == "a sentence"
    assert issubclass(errors.DataKeyError, KeyError)
    assert issubclass(errors.DataFileNotFoundError, FileNotFoundError)
    assert issubclass(errors.DataWriteError, OSError)


@given(scan=scans())
def test_valid_scans_are_never_refused(tmp_path, scan):
    for unit in ("amplitude", "intensity"):
        assert len(read_scan(write_scan(tmp_path / "scan.npz", scan, unit=unit))) == len(scan)
