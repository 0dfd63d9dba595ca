"""Files appear whole or not at all, and what stood there before survives every failure."""

import os

import numpy as np
import pytest
from pinn_data import errors
from pinn_data.files.npz import write_scan
from pinn_data.files.product import Product, write_product
from pinn_data.scan.scan import Scan

N, FRAMES = 8, 5


def stack(value=None):
    array = np.random.default_rng(1).uniform(1, 9, (FRAMES, N, N)).astype(np.float32)
    if value is not None:
        array[2, 1, 1] = value
    return array


def a_scan(**changes):
    fields = {
        "diffraction": stack(),
        "unit": "amplitude",
        "positions": np.ones((FRAMES, 2)),
        "probe": np.eye(N) * 1j,
    }
    return Scan(**(fields | changes))


def a_product():
    return Product(
        np.ones((1, 2)), np.eye(4) * 1j, np.eye(6) * 1j, (1, 1), detector_distance_m=1, photon_energy_eV=1
    )


@pytest.mark.parametrize(
    ("changes", "unit", "error", "sentence"),
    [
        ({"diffraction": stack(np.nan)}, "amplitude", errors.DataRangeError, "pattern 2 holds NaN"),
        ({"diffraction": stack(-1.0)}, "amplitude", errors.DataRangeError, "negative value -1"),
        (
            {},
            "counts",
            errors.UnitError,
            "squares of these amplitudes are not whole numbers, .* write 'intensity'",
        ),
        (
            {"unit": "intensity"},
            "counts",
            errors.UnitError,
            "intensities hold fractions, .* write them as 'intensity'",
        ),
        ({}, "photons", errors.UnitError, "'photons' is unknown"),
        ({"metadata": {"a": 1j}}, "amplitude", errors.DataFormatError, "metadata cannot be written as JSON"),
        (
            {"metadata": {"a": np.nan}},
            "amplitude",
            errors.DataFormatError,
            "metadata cannot be written as JSON",
        ),
    ],
)
def test_a_scan_that_cannot_be_written_leaves_the_old_file(tmp_path, changes, unit, error, sentence):
    path = tmp_path / "scan.npz"
    path.write_bytes(b"the old one")
    with pytest.raises(error, match=sentence):
        write_scan(path, a_scan(**changes), unit=unit)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


WRITERS = {
    "npz": lambda path: write_scan(path, a_scan()),
    "product": lambda path: write_product(path, a_product()),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_is_not_there_is_named(tmp_path, only_sentence, writer):
    path = tmp_path / "missing" / "out"
    with pytest.raises(
        errors.DataWriteError, match=r"the folder .*missing does not exist: create it"
    ) as caught:
        WRITERS[writer](path)
    only_sentence(caught, path)
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_in_the_place_of_the_file_is_named(tmp_path, writer):
    with pytest.raises(errors.DataWriteError, match="is a folder: give the name of a file to write"):
        WRITERS[writer](tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", WRITERS)
def test_a_path_through_a_file_cannot_be_written(tmp_path, only_sentence, writer):
    """What the system refuses (here for every user, root too) arrives as one sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        errors.DataWriteError, match=r"cannot be written \(not a directory\): choose a folder"
    ) as caught:
        WRITERS[writer](tmp_path / "file" / "out")
    only_sentence(caught, tmp_path / "file" / "out")


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, writer):
    path = tmp_path / "out"
    path.write_bytes(b"the old one")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        errors.DataWriteError, match=r"cannot be written \(no space left on device\): choose a folder"
    ):
        WRITERS[writer](path)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writer", WRITERS)
def test_an_interruption_leaves_the_old_file(tmp_path, monkeypatch, writer):
    path = tmp_path / "out"
    path.write_bytes(b"the old one")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WRITERS[writer](path)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_files_get_the_permissions_that_the_umask_leaves(tmp_path):
    (tmp_path / "plain").write_text("")
    for name, write in WRITERS.items():
        assert write(tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode
