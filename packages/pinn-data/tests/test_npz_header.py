"""The size of a scan before it is read: what `read_scan` finds, or the same complaint."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_data.errors import DataFileNotFoundError, PinnDataError, ShapeError
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.files.npz_header import ScanHeader, read_scan_header
from pinn_data.testing import scans


@settings(deadline=None, max_examples=25)
@given(scan=scans(), photons=st.none() | st.floats(1, 1e9))
def test_the_header_says_what_the_scan_is(tmp_path_factory, scan, photons):
    metadata = {"operator": "nobody"} | ({} if photons is None else {"nphotons": photons})
    path = tmp_path_factory.mktemp("h") / "scan.npz"
    write_scan(path, attrs.evolve(scan, metadata=metadata))
    header = read_scan_header(path)
    whole = read_scan(path)
    assert (header.frames, header.N) == (len(whole), whole.N)
    assert header.metadata == metadata and header.nphotons == photons


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"nphotons": True}, None),
        ({"nphotons": -1}, None),
        ({"physics_parameters": {"nphotons": 5}}, 5.0),
        ({"physics_parameters": [1]}, None),
        ({"nphotons": 3, "physics_parameters": {"nphotons": 5}}, 3.0),
    ],
)
def test_photons_are_those_of_the_metadata(metadata, expected):
    assert ScanHeader(1, 8, metadata).nphotons == expected


def _arrays(n=5, N=8):
    rng = np.random.default_rng(0)
    return {
        "xcoords": rng.random(n),
        "ycoords": rng.random(n),
        "diff3d": rng.random((n, N, N)),
        "probeGuess": np.ones((N, N), complex),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"diff3d": None},
        {"probeGuess": None},
        {"xcoords": None},
        {"diff3d": np.zeros((5, 8, 6))},
        {"diff3d": np.zeros((4, 8, 8))},
        {"diff3d": np.zeros((5, 7, 7))},
        {"probeGuess": np.ones((6, 6))},
        {"xcoords": np.zeros((5, 2))},
        {"metadata": np.array("no json")},
    ],
)
def test_what_the_whole_file_is_refused_for_its_header_is_refused_for(tmp_path, change):
    arrays = {key: value for key, value in (_arrays() | change).items() if value is not None}
    path = tmp_path / "scan.npz"
    np.savez(path, **arrays)
    for read in (read_scan, read_scan_header):
        with pytest.raises(PinnDataError, match=r"scan\.npz") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_frames_last_are_recognised(tmp_path):
    arrays = _arrays() | {"diff3d": np.zeros((8, 8, 5))}
    np.savez(tmp_path / "scan.npz", **arrays)
    assert read_scan_header(tmp_path / "scan.npz").frames == 5
    cube = _arrays(n=8) | {"diff3d": np.zeros((8, 8, 8))}
    np.savez(tmp_path / "cube.npz", **cube)
    with pytest.raises(ShapeError, match="pass frames_axis=0"):
        read_scan_header(tmp_path / "cube.npz")
    assert read_scan_header(tmp_path / "cube.npz", frames_axis=2).frames == 8


def test_no_file_is_told():
    with pytest.raises(DataFileNotFoundError, match=r"nowhere\.npz does not exist"):
        read_scan_header("nowhere.npz")


def test_patterns_are_not_read(tmp_path):
    """A damaged pattern is found when it is read, not before."""
    path = tmp_path / "scan.npz"
    np.savez(path, **_arrays(n=500))
    data = bytearray(path.read_bytes())
    start = data.find(b"diff3d.npy") + 100_000
    data[start : start + 64] = bytes(64)
    path.write_bytes(bytes(data))
    assert read_scan_header(path).frames == 500
    with pytest.raises(PinnDataError):
        read_scan(path)
