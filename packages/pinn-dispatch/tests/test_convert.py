"""`pinn convert`: any file to a scan, as it was measured; and what cannot be, in one sentence."""

from __future__ import annotations

import json
import re
import zipfile

import attrs
import h5py
import numpy as np
import pytest
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.files.product import read_product, write_product
from pinn_dispatch.cli.shared.quantities import energy, length, pixel, point
from pinn_dispatch.conversion import Request
from pinn_dispatch.errors import UsageError
from pinn_dispatch.reconstruction import (
    Reconstruction,
    product_of,
    read_reconstruction,
    write_reconstruction_npz,
)
from pinn_dispatch.source_kinds import source_kind

FAR = {"pixel_size_m": 2e-8, "detector_distance_m": 1.2, "photon_energy_eV": 8000.0}


@pytest.fixture
def measured(scan):
    """The scan with the geometry that it was measured in."""
    return attrs.evolve(scan, metadata=FAR)


@pytest.fixture
def cxi(pinn, measured, tmp_path):
    """That scan as a CXI file, converted by the command."""
    source = write_scan(tmp_path / "measured.npz", measured, unit="counts")
    assert pinn("convert", source, "--output", tmp_path / "scan.cxi", "--quiet")[0] == 0
    return tmp_path / "scan.cxi"


@pytest.fixture
def reconstruction(scan):
    from pinn_data.scan.positions import canvas_for

    canvas = canvas_for(scan.positions, scan.N)
    rng = np.random.default_rng(0)
    image = (rng.normal(size=canvas.shape) + 1j * rng.normal(size=canvas.shape)).astype(np.complex64)
    return Reconstruction(image, np.ones(canvas.shape, np.float32), canvas, scan.positions, scan.probe, FAR)


def steps(positions):
    return positions - positions[0]


def test_a_scan_becomes_a_cxi_file_and_comes_back(pinn, cxi, measured, tmp_path):
    code, out, err = pinn("convert", cxi, "--output", tmp_path / "back.npz")
    assert code == 0, err
    assert "is read as: a CXI file" in out and "sample motion" in out and "probe as in the file" in out
    back = read_scan(tmp_path / "back.npz")
    assert np.array_equal(back.diffraction, measured.diffraction) and back.unit == "counts"
    assert back.diffraction.dtype == measured.diffraction.dtype and np.array_equal(back.probe, measured.probe)
    np.testing.assert_allclose(steps(back.positions), steps(measured.positions), atol=1e-9)
    for key, value in FAR.items():
        assert back.metadata[key] == pytest.approx(value)
    assert any("sample motion" in s for s in back.metadata["conversion"]["said"])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--probe-motion"], lambda p: -p),
        (["--swap-xy"], lambda p: p[:, ::-1]),
        (["--negate-y"], lambda p: p * [-1, 1]),
        (["--swap_xy", "--negate_x"], lambda p: p[:, ::-1] * [1, -1]),
        (["--positions-unit", "mm", "--object-pixel", "20pm"], lambda p: p),
    ],
)
def test_flags_say_what_positions_mean(pinn, cxi, measured, tmp_path, flags, expected):
    assert pinn("convert", cxi, "--output", tmp_path / "a.npz", "--quiet", *flags)[0] == 0
    back = read_scan(tmp_path / "a.npz")
    np.testing.assert_allclose(steps(back.positions), expected(steps(measured.positions)), atol=1e-9)


def test_raw_counts_with_their_geometry(pinn, measured, tmp_path):
    frames, table = tmp_path / "frames.npy", tmp_path / "motors.csv"
    np.save(frames, np.pad(measured.diffraction, ((0, 0), (3, 2), (1, 6))))
    metres = measured.positions * FAR["pixel_size_m"] * 1e6
    table.write_text("x_um,y_um\n" + "".join(f"{-x!r},{-y!r}\n" for y, x in metres.tolist()))
    np.save(tmp_path / "probe.npy", measured.probe)
    detector_pixel = 1.2 * 1.549802480415004e-10 / (16 * 2e-8)
    flags = ["--sample-motion", "--distance", "120cm", "--energy", "8keV", "--detector-pixel", detector_pixel]
    code, out, err = pinn(
        "convert", frames, "--positions", table, "--size", 16, "--centre", "11,9", *flags,
        "--probe", tmp_path / "probe.npy", "--output", tmp_path / "a.npz",
    )  # fmt: skip
    assert code == 0, err
    assert "cropped to 16 x 16" in out and "as given" in out
    back = read_scan(tmp_path / "a.npz")
    assert np.array_equal(back.diffraction, measured.diffraction)
    np.testing.assert_allclose(steps(back.positions), steps(measured.positions), atol=1e-6)
    assert back.metadata["pixel_size_m"] == pytest.approx(2e-8)


def test_masks_are_added_inverted_and_left_out(pinn, measured, scan_file, tmp_path):
    bad = np.zeros((16, 16), bool)
    bad[3, 5] = True
    (tmp_path / "bad.json").write_text("[[3, 5]]")
    np.save(tmp_path / "good.npy", ~bad)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["patterns"], file["bad_pixels"] = measured.diffraction, np.eye(16) > 0
    (tmp_path / "xy.csv").write_text("x_px,y_px\n" + "".join(f"{x},{y}\n" for y, x in measured.positions))
    raw = [tmp_path / "frames.h5", "--positions", tmp_path / "xy.csv", "--guess-probe"]
    good = ["--mask", tmp_path / "good.npy", "--invert-mask"]
    for source, flags, expected in (
        (raw, [], np.eye(16) > 0),
        (raw, ["--mask", tmp_path / "bad.json"], bad | (np.eye(16) > 0)),
        (raw, good, bad | (np.eye(16) > 0)),
        (raw, ["--mask", "none"], None),
        ([scan_file], good, bad),
    ):
        code, _, err = pinn("convert", *source, *flags, "--output", tmp_path / "a.npz")
        assert code == 0, err
        found = read_scan(tmp_path / "a.npz").bad_pixels
        assert (found is None) == (expected is None) and np.array_equal(found, expected)


@pytest.mark.parametrize("probe_axes", [3, 4, 5])
def test_a_probe_as_others_store_it(pinn, measured, tmp_path, probe_axes):
    """(modes, N, N), (OPR, modes, N, N) of ptychodus, (1, 1, modes, N, N) of tike."""
    one = measured.probe
    modes = np.stack([one, 0.3 * np.roll(one, 3, 0), 0.2 * np.roll(one, 2, 1)])
    np.save(tmp_path / "probe.npy", modes.reshape((1,) * (probe_axes - 3) + modes.shape))
    np.save(tmp_path / "frames.npy", measured.diffraction)
    (tmp_path / "xy.csv").write_text("x_px,y_px\n" + "".join(f"{x},{y}\n" for y, x in measured.positions))
    flags = ["--positions", tmp_path / "xy.csv", "--probe", tmp_path / "probe.npy"]
    assert pinn("convert", tmp_path / "frames.npy", *flags, "--output", tmp_path / "a.npz")[0] == 0
    assert np.array_equal(read_scan(tmp_path / "a.npz").probe, modes)


@pytest.mark.parametrize("unit", ["counts", "intensity", "amplitude"])
def test_a_scan_in_another_unit_and_axis_order_holds_the_same_counts(pinn, scan, tmp_path, unit):
    source = tmp_path / "odd.npz"
    np.savez(
        source,
        diffraction=np.sqrt(scan.diffraction.astype(float)).transpose(1, 2, 0),
        xcoords=scan.positions[:, 1],
        ycoords=scan.positions[:, 0],
        probeGuess=scan.probe,
    )
    flags = ["--unit", "amplitude", "--frames-axis", 2, "--write-unit", unit]
    assert pinn("convert", source, "--output", tmp_path / "a.npz", "--quiet", *flags)[0] == 0
    back = read_scan(tmp_path / "a.npz")
    assert back.unit == unit and np.array_equal(back.counts(), scan.diffraction)


def test_a_reconstruction_and_its_product_are_one(pinn, reconstruction, tmp_path):
    write_reconstruction_npz(tmp_path / "reconstruction.npz", reconstruction)
    assert pinn("convert", tmp_path, "--output", tmp_path / "p.h5")[0] == 0  # the folder of it, too
    product = read_product(tmp_path / "p.h5")
    assert product.photon_energy_eV == 8000 and "nominal" not in product.comments
    assert pinn("convert", tmp_path / "p.h5", "--output", tmp_path / "back.npz")[0] == 0
    back = read_reconstruction(tmp_path / "back.npz")
    assert np.array_equal(back.object, reconstruction.object) and back.canvas == reconstruction.canvas
    np.testing.assert_allclose(back.positions, reconstruction.positions, atol=1e-6)
    assert np.array_equal(back.probe, reconstruction.probe) and back.metadata["pixel_size_m"] == 2e-8
    # The light of all patches, none of which reaches outside.
    light = len(reconstruction.positions) * np.sum(np.abs(reconstruction.probe.astype(complex)) ** 2)
    assert back.coverage.sum() == pytest.approx(light, rel=1e-3)


def test_a_geometry_that_nobody_tells_is_called_nominal(pinn, reconstruction, tmp_path):
    path = write_reconstruction_npz(tmp_path / "r.npz", attrs.evolve(reconstruction, metadata={}))
    code, out, _ = pinn("convert", path, "--distance", "2m", "--output", tmp_path / "p.h5")
    assert code == 0 and "nominal" in out and "pixel_size_m = 1e-08, photon_energy_eV = 8000" in out
    product = read_product(tmp_path / "p.h5")
    assert product.detector_distance_m == 2 and "nominal" in product.comments


def test_a_product_with_its_patterns_is_the_scan(pinn, scan, reconstruction, tmp_path):
    write_product(tmp_path / "p.h5", product_of(reconstruction, {}))
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["raw/frames"] = scan.diffraction
    flags = ["--patterns", f"{tmp_path / 'd.h5'}:raw/frames", "--output", tmp_path / "a.npz"]
    code, _, err = pinn("convert", tmp_path / "p.h5", *flags)
    assert code == 0, err
    back = read_scan(tmp_path / "a.npz")
    assert np.array_equal(back.diffraction, scan.diffraction)
    np.testing.assert_allclose(steps(back.positions), steps(scan.positions), atol=1e-6)


def test_the_kind_is_told_from_the_contents(pinn, cxi, scan, scan_file, reconstruction, tmp_path):
    """Whatever the files are called."""

    def renamed(path, name):
        return path.rename(tmp_path / name)

    training = tmp_path / "t.npz"
    with h5py.File(training, "w") as file:
        file["patterns"], file["probe_position_x_px"] = scan.diffraction, scan.positions[:, 1]
    np.savez(tmp_path / "stack.cxi.npz", patterns=scan.diffraction)
    written = write_reconstruction_npz(tmp_path / "r.npz", reconstruction)
    product = write_product(tmp_path / "p.h5", product_of(reconstruction, {}))
    assert source_kind(renamed(cxi, "a.npz")) == "cxi"
    assert source_kind(training) == "training"
    assert source_kind(tmp_path / "stack.cxi.npz") == "raw"
    assert source_kind(renamed(written, "r.h5")) == "reconstruction"
    assert source_kind(renamed(product, "p.cxi")) == "product"
    assert source_kind(scan_file) == "scan"


@pytest.fixture
def files(cxi, scan_file, reconstruction, scan, tmp_path):
    """A file of every kind."""
    np.save(tmp_path / "raw.npy", scan.diffraction)
    (tmp_path / "xy.csv").write_text("1,2\n")
    (tmp_path / "text.txt").write_text("hello")
    with h5py.File(cxi, "r") as source, h5py.File(tmp_path / "dark.cxi", "w") as dark:
        source.copy("entry_1", dark)
        del dark["entry_1/instrument_1/source_1/illumination"]
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["something"] = [1.0]
    with zipfile.ZipFile(tmp_path / "wts.h5.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
    return {
        "archive": tmp_path / "wts.h5.zip",
        "other": tmp_path / "other.h5",
        "cxi": cxi,
        "dark": tmp_path / "dark.cxi",
        "scan": scan_file,
        "raw": tmp_path / "raw.npy",
        "xy": tmp_path / "xy.csv",
        "text": tmp_path / "text.txt",
        "product": write_product(tmp_path / "p.h5", product_of(reconstruction, {})),
        "none": tmp_path / "none.npz",
        "folder": tmp_path,
    }


_RAW = ["--positions", "{xy}", "--positions-columns", "y,x", "--positions-unit", "px", "--guess-probe"]

BAD = {
    "nothing there": ("none", [], "is missing: check the path"),
    "a folder": ("folder", [], "is a folder"),
    "no known kind": ("text", [], "has no known format"),
    "an archive": ("archive", [], "a ZIP file without arrays, such as a model archive"),
    "no stack in HDF5": ("other", [], "has no dataset patterns or .*name their dataset as FILE:DATASET"),
    "no probe": ("dark", [], "has no probe, but a scan needs one: give --probe FILE, or --guess-probe"),
    "a missing probe": ("dark", ["--probe", "none.npy"], "no probe at none.npy"),
    "raw without positions": ("raw", ["--guess-probe"], "give the positions with --positions FILE"),
    "which column": ("raw", ["--positions", "{xy}"], "--positions-columns"),
    "which unit": ("raw", ["--positions", "{xy}", "--positions-columns", "y,x"], "give --positions-unit"),
    "half a geometry": (
        "raw",
        ["--positions", "{xy}", "--positions-columns", "y,x", "--positions-unit", "um", "--distance", "1"],
        "the geometry lacks --energy or --wavelength, --detector-pixel",
    ),
    "too few positions": (
        "raw",
        ["--positions", "{xy}", "--positions-columns", "y,x", "--positions-unit", "px"],
        "1 positions for 49 frames",
    ),
    "an idle flag": ("scan", ["--size", "32"], "--size has no effect on a scan"),
    "a mask that is none": ("raw", ["--mask", "{text}", *_RAW], "not a known mask format"),
    "a mask of too many": ("scan", ["--mask", "{raw}"], "pixels, more than half: give --invert-mask"),
    "no mask to invert": ("scan", ["--invert-mask"], "--invert-mask needs a mask"),
    "neither mask": ("cxi", ["--mask", "none", "--invert-mask"], "so there is none to invert"),
    "an idle motion": ("scan", ["--probe-motion"], "--probe-motion has no effect on a scan"),
    "no patterns": ("product", ["--size", "32"], "--size applies to patterns, .* give --patterns"),
    "an idle defocus": ("cxi", ["--defocus", "1um"], "--defocus needs a guessed probe"),
    "an array of a scan": ("scan:x", ["--from", "scan"], "names an array"),
    "no length": ("cxi", ["--distance", "1parsec"], "'1parsec' is not a length"),
    "no distance": ("cxi", ["--distance", "-1"], "--distance is -1, but a number above 0"),
    "an odd size": ("cxi", ["--size", "7"], "7 x 7 pixels were asked for, but an even size"),
    "taken for a scan": ("cxi", ["--from", "scan"], "is an HDF5 file, but an NPZ file is needed"),
    "taken for training data": ("cxi", ["--from", "training"], "is missing, but training data needs it"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(pinn, files, tmp_path, case):
    name, flags, sentence = BAD[case]
    name, _, entry = name.partition(":")
    source = f"{files[name]}:{entry}" if entry else files[name]
    code, _, err = pinn(
        "convert",
        source,
        "--output",
        tmp_path / "new" / "a.npz",
        "--quiet",
        *[f.format(**files) for f in flags],
    )
    lines = err.strip().splitlines()
    assert code == 2 and len(lines) == 1 and lines[0].startswith("pinn: error: "), err
    assert re.search(sentence, lines[0])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("source", "output", "sentence"),
    [
        ("cxi", "a.h5", r"a CXI file becomes a file named \*\.npz or \*\.cxi"),
        ("product", "a.cxi", r"a ptychodus product becomes a file named \*\.npz or \*\.h5"),
        ("scan", "a.cxi", r"does not state detector_distance_m \(--distance\)"),
        ("cxi", "scan.cxi", "is .*scan.cxi itself, which would be overwritten"),
    ],
)
def test_what_cannot_be_written(pinn, files, tmp_path, source, output, sentence):
    before = files["cxi"].read_bytes()
    code, _, err = pinn("convert", files[source], "--output", tmp_path / output, "--quiet")
    assert code == 2 and re.search(sentence, err), err
    assert files["cxi"].read_bytes() == before


def test_geometry_of_a_scan_can_be_given(pinn, scan_file, tmp_path):
    flags = ["--distance", "1.2", "--energy", "8000", "--object-pixel", "20nm"]
    assert pinn("convert", scan_file, *flags, "--output", tmp_path / "a.cxi")[0] == 0
    assert pinn("convert", scan_file, *flags, "--output", tmp_path / "a.npz")[0] == 0
    metadata = read_scan(tmp_path / "a.npz").metadata
    assert {key: metadata[key] for key in FAR} == pytest.approx(FAR)
    assert Request(scan_file).metadata(16) == {}


def test_info_describes_what_convert_reads(pinn, cxi, scan, tmp_path):
    code, out, _ = pinn("info", cxi)
    assert code == 0
    for words in ("CXI file", f"{len(scan)} of 16 x 16 pixels", "8000 eV", "1.2 m", "20 nm in the far field"):
        assert words in out
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["patterns"] = scan.diffraction
    code, out, _ = pinn("info", tmp_path / "stack.h5")
    assert code == 0 and "stack of patterns" in out and "'pinn convert'" in out
    code, out, _ = pinn("info", "--json", cxi, tmp_path / "stack.h5")
    told, stack = json.loads(out)
    assert code == 0 and told["kind"] == "CXI file" and stack["patterns"] == told["patterns"] == len(scan)
    assert told["detector_distance_m"] == pytest.approx(1.2) and told["probe_shape"] == [16, 16]
    np.testing.assert_allclose(told["positions_span"], np.ptp(scan.positions, axis=0) * 2e-8, rtol=1e-6)


def test_quantities_have_units():
    assert length("55um") == pytest.approx(55e-6) and length("1.12") == 1.12 and length("1e-3 m") == 1e-3
    assert energy("8.3keV") == pytest.approx(8300) and energy("8300") == 8300
    assert pixel("55um") == pytest.approx((55e-6, 55e-6)) and pixel("1mm,2mm") == pytest.approx((1e-3, 2e-3))
    assert point("3,4.5") == (3, 4.5)
    for parse, text in ((length, "8keV"), (energy, "1m"), (pixel, "1,2,3"), (point, "1"), (point, "nan,1")):
        with pytest.raises(UsageError, match=text):
            parse(text)
