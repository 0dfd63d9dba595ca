"""Masks: what their bits mean, and files of their own in every format that says the same pixels."""

import json

import attrs
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pinn_data import errors
from pinn_data.files.detector_masks import masked_scan, read_mask
from pinn_data.files.frame_stack import open_frames
from pinn_data.testing import bad_pixels, small_scan

SHAPE = (9, 14)
NEXUS = "entry/instrument/detector/pixel_mask"
CXI = "entry_1/instrument_1/detector_1/mask"


def npy(path, bad):
    with path.open("wb") as file:
        np.save(file, bad.astype(np.uint8) * 3)


def npz(path, bad):
    with path.open("wb") as file:
        np.savez(file, mask=bad.astype(float), other=np.ones(3))


def tiff(path, bad):
    Image.fromarray(bad.astype(np.uint8) * 255).save(path, format="TIFF")


def pixels(path, bad):
    path.write_text(json.dumps(np.argwhere(bad).tolist()))


def ptychodus_pixels(path, bad):
    listed = [{"Pixel": [int(x), int(y)], "Set": 0} for y, x in np.argwhere(bad)]
    path.write_text(json.dumps({"Bad pixels": listed}))


def hdf5(name, values):
    def write(path, bad):
        with h5py.File(path, "w") as file:
            file[name] = values(bad)

    return write


WRITERS = {
    "npy": npy,
    "npz": npz,
    "tiff": tiff,
    "json": pixels,
    "json of ptychodus": ptychodus_pixels,
    "bad_pixels": hdf5("bad_pixels", lambda bad: bad),
    "valid_pixel_mask": hdf5("valid_pixel_mask", lambda bad: (~bad).astype(np.uint8)),
    "the only one": hdf5("whatever", lambda bad: bad.astype(np.int16)),
    "cxi": hdf5(CXI, lambda bad: np.where(bad, 0x200, 0x1000).astype(np.uint32)),
    "nexus": hdf5(NEXUS, lambda bad: np.where(bad, 1 << 4, 1 << 31).astype(np.uint32)),
}


@pytest.mark.parametrize("kind", WRITERS)
@given(bad=bad_pixels(SHAPE), invert=st.booleans())
def test_a_mask_is_the_same_in_any_file(tmp_path, kind, bad, invert):
    path = tmp_path / "mask"  # what it is, its contents tell
    WRITERS[kind](path, bad)
    found = read_mask(path, shape=SHAPE, invert=invert)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, ~bad if invert else bad)


@given(bits=st.integers(0, 2**32 - 1))
def test_the_bits_of_nexus_and_cxi(tmp_path, bits):
    for name, ignored in ((NEXUS, 0xFFFF0000), (CXI, 0x1000)):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file[name] = np.full((2, 2), bits, np.uint32)
        assert read_mask(tmp_path / "a.h5").all() == bool(bits & ~ignored)


def test_the_mask_of_nexus_is_taken_with_the_frames(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = np.ones((3, *SHAPE), np.uint16)
        file[NEXUS] = np.eye(*SHAPE, dtype=np.uint32)
    np.testing.assert_array_equal(open_frames(tmp_path / "a.h5").mask, np.eye(*SHAPE))


@given(data=st.data())
def test_a_mask_is_added_to_what_a_scan_lacks(tmp_path, data):
    scan = small_scan(16)
    before = data.draw(st.none() | bad_pixels((16, 16)) | bad_pixels((len(scan), 16, 16)))
    more = data.draw(bad_pixels((16, 16)))
    scan = attrs.evolve(scan, bad_pixels=before)
    np.save(tmp_path / "m.npy", more)
    found = masked_scan(scan, tmp_path / "m.npy")
    expected = np.zeros(scan.diffraction.shape, bool) | more | (False if before is None else before)
    bad = np.zeros(scan.diffraction.shape, bool) | (False if found.bad_pixels is None else found.bad_pixels)
    np.testing.assert_array_equal(bad, expected)
    np.testing.assert_array_equal(found.diffraction, np.where(expected, 0, scan.diffraction))


BAD = {
    "nothing there": (None, errors.DataFileNotFoundError, "does not exist: check the path of the mask"),
    "text": (b"hello", errors.DataFormatError, "not a known mask format"),
    "not JSON": (b"[1, 2", errors.DataFormatError, "not a list of pixels"),
    "no pixels": (b"[[1, 2], [3]]", errors.DataFormatError, "not a list of pixels"),
    "fractions": (b"[[1, 2.5]]", errors.DataRangeError, "outside the detector of 9 x 14, or fractions"),
    "outside": (b"[[9, 0]]", errors.DataRangeError, "outside the detector"),
    "below 0": (b"[[-1, 0]]", errors.DataRangeError, "outside the detector"),
    "huge": (b"[[1e400, 0]]", errors.DataFormatError, "not a list of pixels"),
    "a torn TIFF": (b"II*\0\x08\0\0\0", errors.DataFormatError, "not a readable TIFF file"),
    "a torn NPY": (b"\x93NUMPY\x01", errors.DataFormatError, "damaged NPY"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_masks(tmp_path, only_sentence, case):
    content, error, sentence = BAD[case]
    path = tmp_path / "mask"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=sentence) as caught:
        read_mask(path, shape=SHAPE)
    only_sentence(caught, path)


def test_which_array_and_which_size(tmp_path, only_sentence):
    path = tmp_path / "a.npz"
    np.savez(path, one=np.eye(16), other=np.eye(16))
    with pytest.raises(errors.DataKeyError, match=r"holds one, other, .* name it as FILE:NAME") as caught:
        read_mask(path)
    only_sentence(caught, path)
    assert read_mask(path, "other").sum() == 16
    np.save(tmp_path / "b.npy", np.eye(9))
    with pytest.raises(errors.ShapeError, match=r"shape \(9, 9\), but the patterns are 16 x 16"):
        masked_scan(small_scan(16), tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", 1 - np.eye(16))
    with pytest.raises(errors.DataRangeError, match="240 of 256 pixels, more than half: give --invert-mask"):
        masked_scan(small_scan(16), tmp_path / "c.npy")
    assert masked_scan(small_scan(16), tmp_path / "c.npy", invert=True).bad_pixels.sum() == 16
