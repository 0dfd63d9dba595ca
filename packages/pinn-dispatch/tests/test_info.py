"""`pinn info`: the right words for everything that the packages write, one sentence for everything else."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from pinn_archive import ModelPayload, write_archive
from pinn_data.files.cxi_writer import write_cxi
from pinn_data.files.npz import write_scan
from pinn_data.files.product import read_product, write_product
from pinn_data.scan.far_field import FarField
from pinn_data.scan.positions import Canvas
from pinn_dispatch.info.description import Picture
from pinn_dispatch.info.half_blocks import show
from pinn_dispatch.info.kinds import KINDS, Signs
from pinn_dispatch.info.rasters import raster
from pinn_dispatch.reconstruction import Reconstruction, write_reconstruction


@pytest.fixture
def files(scan, scan_file, tmp_path):
    """One of each kind, by the name of its kind."""
    run = tmp_path / "run"
    run.mkdir()
    found = Reconstruction(
        scan.object,
        np.ones(scan.object.shape, np.float32),
        Canvas((-2, 3), scan.object.shape),
        scan.positions,
        scan.probe,
        {"R": 0.125, "gridsize": 2, "backend": "tensorflow", "region": "y<30", "seconds_total": 4.0},
    )
    npz, product = write_reconstruction(run, found, scan)
    write_product(product, attrs.evolve(read_product(product), loss_epochs=[0, 1], loss_values=[4.0, 1.5]))
    archive = write_archive(
        run,
        models={"diffraction_to_obj": ModelPayload({"conv/kernel": np.ones((2, 1, 3, 3), np.float32)})},
        params={"config": {"nepochs": 7, "model": {"N": 16, "gridsize": 2, "architecture": "unrolled"}}},
        arrays={"probe": scan.probe},
        backend="pytorch",
        provenance={
            "torch": "2.9",
            "training_data": "a.npz",
            "training_frames": 49,
            "seed": 3,
            "where": "here",
        },
    )
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "unpacked")
    (run / "losses.csv").write_text("step,epoch,seconds,train_loss,val_loss\n0,0,0.5,2.5,\n1,0,1.0,1.25,\n")
    np.savez(tmp_path / "object.npz", objectGuess=scan.object)
    told = read_product(product)
    np.savez(
        tmp_path / "product.npz",
        detector_object_distance_m=1.0,
        photon_energy_eV=told.photon_energy_eV,
        probe_position_indexes=told.position_indexes,
        probe_position_x_m=told.positions_m[:, 1],
        probe_position_y_m=told.positions_m[:, 0],
        probe=told.probe,
        object=told.object,
        object_pixel_height_m=1e-8,
        object_pixel_width_m=1e-8,
        object_center_x_m=told.object_center_m[1],
        object_center_y_m=told.object_center_m[0],
    )
    return {
        "CXI file, training data or patterns": write_cxi(
            tmp_path / "scan.cxi", scan, FarField(1.2, 1.55e-10, 55e-6)
        ),
        "ptychodus product in NPZ": tmp_path / "product.npz",
        "folder of a run": run,
        "model archive, unpacked": tmp_path / "unpacked",
        "model archive": archive,
        "ptychodus product": product,
        "reconstruction": npz,
        "object": tmp_path / "object.npz",
        "scan": scan_file,
    }


WORDS = {
    "CXI file, training data or patterns": [
        "49 of 16 x 16 pixels (uint16)",
        "spanning y",
        "7998.98 eV",
        "55 x 55 um",
        "1 mode of 16 x 16",
        "'pinn convert'",
    ],
    "ptychodus product in NPZ": ["of 10 x 10 nm", "8000 eV", "49, y 1"],
    "folder of a run": ["losses.csv", "model archive, format 3.0", "at the end", "train_loss 1.25", "0.1250"],
    "model archive, unpacked": ["SHA-256 of"],
    "model archive": [
        "pytorch (torch 2.9)",
        "SHA-256 of 4 entries",
        "unrolled, N 16, gridsize 2",
        "(18 parameters)",
        "a.npz, 49 patterns, seed 3",
        "nepochs=7",
        "1 mode of 16 x 16",
        "here",
    ],
    "ptychodus product": ["of 10 x 10 nm", "2, from 4 to 1.5", "8000 eV", "49, y 1"],
    "reconstruction": [
        "56 x 56",
        "y -2, x 3",
        "100 %",
        "0.1250",
        "gridsize 2, tensorflow",
        "4.0 from",
        "y<30",
    ],
    "object": ["56 x 56 pixels", "no patterns"],
    "scan": [
        "49 of 16 x 16 pixels, taken as counts (as labelled)",
        "per pattern",
        "centred at y",
        "% of the probe's diameter",
        "hold every pattern",
        "1 mode of 16 x 16",
        "56 x 56 pixels (complex64)",
    ],
}


@pytest.mark.parametrize("kind", WORDS)
def test_the_words(kind, files, pinn):
    code, out, err = pinn("info", files[kind])
    assert (code, err) == (0, "")
    for words in WORDS[kind]:
        assert words in out, words
    assert "\x1b" not in out and not set(out) & set("▀▄█")  # no picture in a pipe


def test_every_kind_takes_its_own_files_and_no_others_before_it(files):
    for name, path in files.items():
        assert next(kind.name for kind in KINDS if kind.fits(Signs.of(path))) == name
    assert {kind.name for kind in KINDS} == set(files) == set(WORDS)


def test_json_holds_numbers(files, pinn):
    code, out, _ = pinn("info", *files.values(), "--json")
    assert code == 0
    told = {entry["kind"]: entry for entry in json.loads(out)}
    assert [entry["file"] for entry in json.loads(out)] == [str(path) for path in files.values()]
    scan = told["scan"]
    assert (scan["patterns"], scan["N"], scan["unit"], scan["dead_pixels"]) == (49, 16, "counts", 0)
    assert scan["photons_mean"] == pytest.approx(1e5, rel=0.05) and 0 < scan["overlap"] < 1
    assert told["ptychodus product"]["costs"] == [4.0, 1.5]
    assert told["reconstruction"]["residual"] == 0.125
    assert told["model archive, format 3.0"]["provenance"]["seed"] == 3
    parts = told["folder of a run"]["parts"]
    assert [part["kind"].split(",")[0] for part in parts] == [
        "model archive",
        "course of the training",
        "reconstruction",
    ]
    assert parts[1]["last"] == {"step": 1.0, "epoch": 0.0, "seconds": 1.0, "train_loss": 1.25}


def test_what_looks_wrong_is_said(scan, pinn, tmp_path):
    counts = np.roll(scan.diffraction, 8, axis=(1, 2))
    counts[4] = 0
    counts[0, 3, 3] = np.iinfo(counts.dtype).max
    counts[:, 1, 1] = 0
    path = write_scan(tmp_path / "odd.npz", attrs.evolve(scan, diffraction=counts), unit="counts")
    _, out, _ = pinn("info", path)
    assert "1 of 49 frames are empty" in out and "they hold 65535" in out
    shifted = write_scan(
        tmp_path / "b.npz",
        attrs.evolve(scan, diffraction=np.roll(scan.diffraction, 5, axis=1)),
        unit="counts",
    )
    assert "is centred at (y, x) = (13, 8)" in pinn("info", shifted)[1]
    (told,) = json.loads(pinn("info", shifted, "--json")[1])
    assert [(f["level"], f["name"]) for f in told["findings"]] == [("warning", "centre")]


def test_foreign_and_damaged_files_are_one_sentence_each(files, pinn, tmp_path):
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "none").touch()
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "public.zip", "w") as file:
        file.writestr("manifest.dill", pickle.dumps({"models": ["autoencoder"], "version": "1.0"}))
    np.savez(tmp_path / "foreign.npz", a=np.ones(3))
    np.savez(tmp_path / "pickled.npz", objectGuess=np.array([{}, 1], dtype=object))
    archive, product = files["model archive"].read_bytes(), files["ptychodus product"].read_bytes()
    (tmp_path / "cut.zip").write_bytes(archive[: len(archive) // 2])
    (tmp_path / "flipped.zip").write_bytes(archive[:400] + bytes([archive[400] ^ 1]) + archive[401:])
    (tmp_path / "cut.npz").write_bytes(files["scan"].read_bytes()[:9000])
    (tmp_path / "cut.h5").write_bytes(product[: len(product) // 2])
    wrong = {
        "text.txt": "is neither a scan",
        "none": "is neither a scan",
        "folder": "holds neither a model",
        "missing": "check the path",
        "foreign.npz": "no entry 'xcoords'",
        "pickled.npz": "never opened",
        "public.zip": "by the backend 'tensorflow' of the public implementation",
        "cut.zip": "cut.zip",
        "flipped.zip": "flipped.zip",
        "cut.npz": "damaged",
        "cut.h5": "truncated or damaged",
    }
    for name, words in wrong.items():
        code, out, err = pinn("info", tmp_path / name)
        assert (code, out) == (2, ""), name
        assert err.startswith("pinn: error: ") and err.count("\n") == 1 and words in err and name in err, err


def test_the_others_are_described_all_the_same(files, pinn, tmp_path):
    (tmp_path / "text.txt").write_text("hello")
    arguments = ("info", tmp_path / "text.txt", files["object"], tmp_path / "missing")
    code, out, err = pinn(*arguments)
    assert code == 2 and "object without a scan" in out
    assert (
        "2 of 3 could not be described" in err
        and "text.txt" in err
        and "missing" in err
        and err.count("\n") == 1
    )
    code, out, _ = pinn(*arguments, "--json")
    assert code == 2
    described, *failed = json.loads(out)
    assert described["kind"] == "object without a scan"
    assert [f["file"] for f in failed] == [str(tmp_path / "text.txt"), str(tmp_path / "missing")]
    assert all("error" in f for f in failed)


def test_the_figure(files, pinn, tmp_path):
    figure = tmp_path / "thumb.png"
    code, out, _ = pinn("info", files["scan"], "--thumbnail", figure)
    assert code == 0 and str(figure) in out
    one = imread(figure)
    several = (files["folder of a run"], files["ptychodus product"])
    assert pinn("info", *several, "--json", "--thumbnail", figure)[0] == 0
    many = imread(figure)
    assert (
        many.shape[0] > 1.5 * one.shape[0]
        and many.shape[1] > one.shape[1]
        and 0.05 < np.mean(one[..., :3].min(axis=-1) < 0.9) < 0.9
    )
    assert not (many[[0, -1], :, :3] < 0.9).any() and not (many[:, [0, -1], :3] < 0.9).any()


def test_a_figure_never_replaces_what_it_shows(files, pinn, tmp_path):
    scan = files["scan"]
    before = scan.read_bytes()
    for arguments, words in (
        ((scan, "--thumbnail", scan), "must end in .png"),
        (("--thumbnail", scan, scan), "must end in .png"),
        ((scan, "--thumbnail", tmp_path / "no" / "a.png"), "does not exist"),
        ((scan, "--thumbnail", "-", "--json"), "cannot print a picture"),
        ((scan, "--thumbnail", "-", "--no-thumbnail"), "not allowed with"),
    ):
        code, out, err = pinn("info", *arguments)
        assert (code, out) == (2, "") and words in err and err.count("\n") == 1
    assert scan.read_bytes() == before


def test_the_picture_among_the_words(files, pinn, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, _ = pinn("info", files["scan"], "--thumbnail", "-")
    assert code == 0 and "mean pattern" in out and set("▀▄█") <= set(out) and "\x1b" not in out
    assert max(len(line) for line in out.splitlines()[-10:]) <= 120


class _Terminal(io.StringIO):
    def __init__(self, encoding):
        super().__init__()
        self._encoding = encoding

    encoding = property(lambda self: self._encoding)

    def isatty(self):
        return True


def test_a_terminal_gets_a_picture_in_its_colours_unless_it_cannot(files, monkeypatch):
    from pinn_dispatch.cli import main

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    said = {}
    for name, encoding, arguments in (
        ("colour", "utf-8", []),
        ("words", "utf-8", ["--no-thumbnail"]),
        ("ascii", "ascii", []),
    ):
        stream = _Terminal(encoding)
        monkeypatch.setattr("sys.stdout", stream)
        assert main(["info", str(files["scan"]), *arguments]) == 0
        said[name] = stream.getvalue()
    assert "\x1b[38;2;" in said["colour"] and "▀" in said["colour"]
    assert said["words"] == said["ascii"] and "\x1b" not in said["words"]
    assert said["colour"].startswith(said["words"])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 30))
def test_a_raster_keeps_proportions_and_the_mean(rows, columns, size):
    values = np.random.default_rng(rows * 41 + columns).random((rows, columns))
    image = raster(Picture("a", "amplitude", values), size, size)
    assert max(image.shape[:2]) == size and image.shape[2] == 3
    assert abs(image.shape[0] - max(1, size * rows / max(rows, columns))) <= 0.5
    turned = raster(Picture("a", "amplitude", values.T), size, size)
    assert np.allclose(turned, image.swapaxes(0, 1))
    assert image.min() >= 0 and image.max() <= 1


def test_a_raster_shows_what_is_there():
    image = np.zeros((40, 40))
    image[10:20, 30:40] = 5.0
    known = np.ones((40, 40), bool)
    known[:10] = False
    colours = raster(Picture("a", "amplitude", image, known=known), 4, 4)
    assert (
        np.allclose(colours[1, 3], 1)
        and np.allclose(colours[2:], 0)
        and np.allclose(colours[0], colours[0, 0])
    )
    out = io.StringIO()
    show([Picture("a", "amplitude", image), Picture("b", "curve", np.arange(9.0))], out)
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["a", "b"] and len(lines) == 14 and any("█" in line for line in lines[3:7])


@pytest.mark.parametrize("kind", ["complex", "curve", "pattern", "phase", "amplitude"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e308, 1e38, 0.0])
@pytest.mark.parametrize("share", ["all", "one"])
def test_a_raster_of_odd_numbers_is_one_of_colours(kind, odd, share):
    image = np.ones((5, 7), complex if kind == "complex" else float)
    image[(...) if share == "all" else (2, 3)] = odd
    if kind == "curve":
        image = image[2]
    with np.errstate(all="ignore"):
        colours = raster(Picture("a", kind, image), 4, 4)
    assert np.isfinite(colours).all() and colours.min() >= 0 and colours.max() <= 1


def test_what_a_file_says_of_itself_does_not_reach_the_terminal_as_it_is(files, pinn, tmp_path):
    """Its texts may hold the codes by which a terminal is told to do something."""
    odd = "a star\x1b[2J\x1b]0;title\x07\nresidual R  0.0001 \u202e\ud800"
    product = attrs.evolve(
        read_product(files["ptychodus product"]), comments="x" * 10**5, name=odd.replace("\ud800", "")
    )
    path = write_product(tmp_path / "odd.h5", product)
    code, out, err = pinn("info", path, "--no-thumbnail")
    assert code == 0, err
    assert "a star\\x1b[2J" in out and all(
        line.isprintable() and len(line) < 1100 for line in out.split("\n")
    )
    reconstruction = tmp_path / "reconstruction.npz"
    arrays = dict(np.load(files["reconstruction"]))
    facts = {
        "backend": odd,
        "a\nb\x1b": odd,
        "patterns": float("inf"),
        "gridsize": 10**400,
        "R": float("nan"),
    }
    np.savez(reconstruction, **{**arrays, "metadata": np.array(json.dumps(facts))})
    code, out, err = pinn("info", reconstruction, "--no-thumbnail")
    assert code == 0, err
    assert "network" in out and all(line.isprintable() for line in out.split("\n"))


@pytest.mark.parametrize(
    ("entry", "value", "sentence"),
    [
        ("probeGuess", np.array([b"a"]), "the probe .* complex numbers are needed"),
        ("probeGuess", np.full((16, 16), np.nan + 0j), "holds NaN or infinity"),
        ("xcoords", np.nan, "NaN or infinite"),
        ("metadata", np.array(["{}", "{}"]), "one text is needed"),
        ("metadata", np.array([], "U1"), "one text is needed"),
    ],
)
def test_a_reconstruction_of_odd_parts_is_refused(files, pinn, tmp_path, entry, value, sentence):
    arrays = dict(np.load(files["reconstruction"]))
    value = np.full(arrays[entry].shape, value) if entry == "xcoords" else value
    np.savez(tmp_path / "a.npz", **{**arrays, entry: value})
    code, _, err = pinn("info", tmp_path / "a.npz")
    assert code == 2 and len(err.strip().splitlines()) == 1 and re.search(sentence, err), err


def test_the_brightest_is_the_mean_of_a_pattern_of_one_photon():
    pattern = np.full((8, 8), 0.01)
    pattern[4, 4] = 100.0
    pattern[0, 0] = 0.0
    colours = raster(Picture("a", "pattern", pattern), 8, 8)
    assert colours.sum(axis=-1).argmax() == 4 * 8 + 4
    assert np.isfinite(colours).all()
