"""Bad input: one sentence that says what to do, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

EDITS = {
    "without its probe": lambda e: e.pop("probeGuess"),
    "without its patterns": lambda e: e.pop("diff3d"),
    "without positions": lambda e: e.pop("xcoords"),
    "patterns with two axes": lambda e: e.update(diff3d=e["diff3d"][0]),
    "patterns that are not square": lambda e: e.update(diff3d=e["diff3d"][:, :, :-2]),
    "patterns of odd size": lambda e: e.update(
        diff3d=e["diff3d"][:, 1:, 1:], probeGuess=e["probeGuess"][1:, 1:]
    ),
    "a probe of another size": lambda e: e.update(probeGuess=e["probeGuess"][2:, 2:]),
    "a subtracted dark": lambda e: _set(e, -0.25),
    "a NaN position": lambda e: e["ycoords"].__setitem__(2, np.nan),
    "more patterns than positions": lambda e: e.update(xcoords=e["xcoords"][:-1], ycoords=e["ycoords"][:-1]),
    "x and y of different lengths": lambda e: e.update(xcoords=e["xcoords"][:-1]),
    "no frame": lambda e: e.update(
        diff3d=e["diff3d"][:0], xcoords=e["xcoords"][:0], ycoords=e["ycoords"][:0]
    ),
    "a pickled array": lambda e: e.update(diff3d=np.array([{"a": 1}, None], dtype=object)),
    "fractions called counts": lambda e: e.update(diff3d=e["diff3d"] + 0.5),
}


def _set(entries, value):
    entries["diff3d"] = entries["diff3d"].astype(np.float32)
    entries["diff3d"][3, 5, 6] = value


@pytest.fixture
def entries(scan):
    """The entries of a good file, to be spoiled."""
    return {
        "diff3d": scan.diffraction.copy(),
        "diffraction_unit": np.array("counts"),
        "xcoords": scan.positions[:, 1].copy(),
        "ycoords": scan.positions[:, 0].copy(),
        "probeGuess": scan.probe.copy(),
        "objectGuess": scan.object.copy(),
    }


@pytest.fixture
def archive(pinn, backend, scan_file, tmp_path):
    """A good archive."""
    assert pinn("train", "--data", scan_file, "--output", tmp_path / "good", "--quiet")[0] == 0
    return tmp_path / "good" / "wts.h5.zip"


@pytest.fixture
def refused(pinn, tmp_path):
    """refused(words, *arguments): the command ends as it must, and its sentence contains the words."""

    def check(words, *arguments):
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
        code, out, err = pinn(*arguments, "--quiet")
        assert code == 2, err
        assert out == ""
        assert err.startswith("pinn: error: ") and err.endswith("\n") and err.count("\n") == 1
        assert "Traceback" not in err and "Error:" not in err
        sentence = err.removeprefix("pinn: error: ").strip()
        assert all(word in sentence for word in words), sentence
        assert len(sentence.split()) > 5
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
        debug = pinn(*arguments, "--debug")
        assert debug[0] == 2 and "Traceback" in debug[2]

    return check


@pytest.mark.parametrize("what", EDITS)
def test_a_spoiled_scan(what, entries, archive, refused, tmp_path):
    EDITS[what](entries)
    path = tmp_path / "spoiled.npz"
    np.savez(path, **entries)
    refused([str(path)], "train", "--data", path, "--output", tmp_path / "out" / "deep")
    refused([str(path)], "infer", "--model", archive, "--data", path, "--output", tmp_path / "out")
    refused([str(path)], "info", path)


def test_a_missing_or_foreign_scan(archive, refused, tmp_path):
    (tmp_path / "text.npz").write_text("not a scan")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "folder").mkdir()
    for name in ("missing.npz", "text.npz", "empty.npz", "folder"):
        refused([name], "train", "--data", tmp_path / name, "--output", tmp_path / "out")
        refused([name], "infer", "--model", archive, "--data", tmp_path / name, "--output", tmp_path / "out")


def test_every_truncation_of_a_scan(scan_file, backend, refused, tmp_path):
    data = scan_file.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path = tmp_path / "cut.npz"
        path.write_bytes(data[: int(len(data) * share)])
        refused(["cut.npz"], "train", "--data", path, "--output", tmp_path / "out")


def test_a_truncated_archive(archive, scan_file, refused, tmp_path):
    data = archive.read_bytes()
    for share in (0.0, 0.2, 0.7, 0.995):
        path = tmp_path / "cut.zip"
        path.write_bytes(data[: int(len(data) * share)])
        refused(["cut.zip"], "infer", "--model", path, "--data", scan_file, "--output", tmp_path / "out")


def test_a_zip_file_with_a_damaged_directory(scan_file, refused, tmp_path):
    """Its end says that it is one, its directory is none."""
    whole = scan_file.read_bytes()
    for name in ("damaged.npz", "wts.h5.zip"):
        path = tmp_path / name
        path.write_bytes(whole.replace(b"PK\1\2", b"PK\1\3"))
        assert zipfile.is_zipfile(path)
        refused([name], "info", path)


def test_a_foreign_or_missing_archive(scan_file, backend, refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as file:
        file.writestr("custom_objects.dill", b"\x80\x04.")
        buffer = io.BytesIO()
        np.savez(buffer, a=np.ones(3))
        file.writestr("weights.npz", buffer.getvalue())
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name in ("foreign.zip", "text.zip", "empty", "missing.zip"):
        refused(
            [name], "infer", "--model", tmp_path / name, "--data", scan_file, "--output", tmp_path / "out"
        )


def test_a_flipped_byte_in_an_archive(archive, scan_file, refused, tmp_path):
    data = bytearray(archive.read_bytes())
    for place in (40, len(data) // 3, len(data) // 2, len(data) - 30):
        spoiled = bytearray(data)
        spoiled[place] ^= 0x10
        path = tmp_path / "flipped.zip"
        path.write_bytes(spoiled)
        refused(["flipped.zip"], "infer", "--model", path, "--data", scan_file, "--output", tmp_path / "out")


def test_an_output_folder_that_cannot_be_written(archive, scan_file, refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "sub"
    refused(["file/sub", "choose a folder"], "train", "--data", scan_file, "--output", out)
    refused(
        ["file/sub", "choose a folder"], "infer", "--model", archive, "--data", scan_file, "--output", out
    )
    refused(["file/sub", "choose a folder"], "demo", "--output", out)
    refused(["file/sub", "choose a folder"], "simulate", "--output", out / "s.npz")
    refused(["file/sub", "choose a folder"], "evaluate", scan_file, "--reference", scan_file, "--output", out)


def test_the_folder_is_proven_before_the_work(backend, scan_file, refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(["file"], "train", "--data", scan_file, "--output", tmp_path / "file")
    assert backend.CALLS == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--output", "OUT"], ["--data"]),
        (["train", "--data", "SCAN", "--output", "OUT", "--region", "y!3"], ["y<238"]),
        (["train", "--data", "SCAN", "--output", "OUT", "--region", "y<-99"], ["leaves none of the"]),
        (["train", "--data", "SCAN", "--output", "OUT", "--config", "nowhere.yaml"], ["nowhere.yaml"]),
        (["train", "--data", "SCAN", "--output", "OUT", "--config", "SCAN"], ["scan.npz"]),
        (["train", "--data", "SCAN", "--output", "OUT", "--nepochs", "0"], ["nepochs must be >= 1"]),
        (
            ["train", "--data", "SCAN", "--output", "OUT", "--architecture", "cathedral"],
            ["architecture", "unrolled"],
        ),
        (
            ["train", "--data", "SCAN", "--output", "OUT", "--learning-rate", "0"],
            ["learning_rate must be > 0"],
        ),
        (["train", "--data", "SCAN", "--output", "OUT", "--num_workers=-1"], ["num_workers must be >= 0"]),
        (["train", "--data", "SCAN", "--output", "OUT", "--max-seconds", "0"], ["--max-seconds"]),
        (["train", "--data", "SCAN", "--output", "OUT", "--backend", "jax"], ["tensorflow", "pytorch"]),
        (["train", "--data", "SCAN"], ["--output"]),
        (["evaluate", "SCAN", "--reference", "nowhere.npz"], ["nowhere.npz"]),
        (["evaluate", "SCAN", "--against", "SCAN"], ["no positions"]),
        (["evaluate", "SCAN", "--reference", "SCAN", "--roi", "1,2"], ["R0,R1,C0,C1"]),
        (["evaluate", "SCAN", "--reference", "SCAN", "--roi", "0,900,0,900"], ["region of interest"]),
        (["simulate", "--output", "OUT/s.npz", "--amplitude", "mona_lisa"], ["mona_lisa", "camera"]),
        (["simulate", "--output", "OUT/s.npz", "--size", "32"], ["too small"]),
        (["simulate", "--output", "OUT/s.npz", "-N", "63"], ["63", "even"]),
        (["simulate", "--output", "OUT/s.npz", "--seed=-1"], ["--seed"]),
        (["simulate", "--output", "OUT/s.npz", "--photons", "0"], ["photons"]),
        (["demo", "--output", "OUT", "--side", "2"], ["--side"]),
        (["infer", "--model", "m", "--data", "SCAN", "--output", "OUT", "--frames", "some"], ["even", "odd"]),
    ],
)
def test_wrong_arguments(arguments, words, backend, scan_file, refused, tmp_path):
    place = {
        "SCAN": str(scan_file),
        "OUT": str(tmp_path / "out"),
        "OUT/s.npz": str(tmp_path / "out" / "s.npz"),
    }
    refused(words, *(place.get(a, a) for a in arguments))
    assert backend.CALLS == []
