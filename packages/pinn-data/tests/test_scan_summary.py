"""A summary says of a scan what the scan itself says, however its patterns lie in the file."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_data.checks.scan_summary import light_diameter, summarise_scan
from pinn_data.errors import DataRangeError, PinnDataError, UnitError
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.testing import scans, small_scan


@settings(max_examples=25)
@given(scans(), st.booleans())
def test_it_agrees_with_the_scan(tmp_path_factory, scan, as_stored):
    path = tmp_path_factory.mktemp("s") / "s.npz"
    write_scan(path, scan, unit=scan.unit if as_stored else "amplitude")
    whole, summary = read_scan(path), summarise_scan(path)
    assert (summary.frames, summary.N, summary.unit) == (len(whole), whole.N, whole.unit)
    assert (summary.dtype, summary.holds_counts) == (whole.diffraction.dtype, whole.holds_counts)
    assert summary.photons.mean() == pytest.approx(whole.nphotons)
    intensity = np.square(whole.amplitude().astype(np.float64))
    assert np.allclose(summary.photons, intensity.sum(axis=(1, 2)), rtol=1e-5)
    bad = np.zeros_like(intensity, bool) | (whole.bad_pixels if whole.bad_pixels is not None else False)
    measured = np.maximum(1, (~bad).sum(axis=0))
    assert np.allclose(summary.mean_pattern, intensity.sum(axis=0) / measured, rtol=1e-5)
    assert np.array_equal(summary.bad_pixels, bad.mean(axis=0))
    assert summary.largest == whole.diffraction.max()
    assert np.array_equal(summary.positions, whole.positions)
    assert np.array_equal(summary.probe, whole.probe)
    assert (summary.object is None) == (whole.object is None)
    assert dict(summary.metadata) == dict(whole.metadata)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("names", [("diff3d",), ("diffraction",), ("diff3d", "diffraction")])
def test_the_order_in_the_file_makes_no_difference(order, last, names, tmp_path, monkeypatch):
    monkeypatch.setattr("pinn_data.files.npz_archive._BLOCK_BYTES", 700)  # several pieces
    scan = small_scan(16)
    stack = np.moveaxis(scan.diffraction, 0, -1) if last else scan.diffraction
    path = tmp_path / "s.npz"
    np.savez(
        path,
        **{name: np.asarray(stack, order=order) for name in names},
        xcoords=scan.positions[:, 1],
        ycoords=scan.positions[:, 0],
        probeGuess=scan.probe,
    )
    summary = summarise_scan(path)
    assert np.array_equal(summary.mean_pattern, scan.diffraction.mean(axis=0))
    assert np.array_equal(summary.photons, scan.diffraction.sum(axis=(1, 2)))
    assert (summary.unit, summary.reason) == ("counts", "no label, uint16 values")


def _file(path, stack, **extra):
    n, N = stack.shape[:2]
    np.savez(
        path,
        diff3d=stack,
        xcoords=np.arange(n) * 3.0,
        ycoords=np.zeros(n),
        probeGuess=np.ones((N, N), np.complex64),
        **extra,
    )
    return path


def test_dead_pixels_lie_amid_light(tmp_path):
    stack = np.zeros((5, 16, 16), np.uint16)
    stack[:, 3:13, 3:13] = 50
    stack[:, 6, 7] = stack[:, 9:11, 4] = 0
    stack[2, 0, 0] = 1
    summary = summarise_scan(_file(tmp_path / "s.npz", stack))
    assert list(zip(*np.nonzero(summary.dead_pixels), strict=True)) == [(6, 7), (9, 4), (10, 4)]
    assert summary.silent_pixels.sum() == 256 - 100 + 3 - 1
    assert summary.spacing == 3.0
    dark = summarise_scan(_file(tmp_path / "dark.npz", 0 * stack))
    assert not dark.dead_pixels.any() and dark.silent_pixels.all()


def test_spoiled_patterns_are_refused_as_by_the_reader(tmp_path, monkeypatch):
    monkeypatch.setattr("pinn_data.files.npz_archive._BLOCK_BYTES", 700)
    stack = np.ones((9, 16, 16), np.float32)
    stack[7, 3, 4] = np.nan
    for unit, value in {"counts": 0.5, "amplitude": -0.25, "intensity": -1.5}.items():
        stack[7, 3, 4] = value
        path = _file(tmp_path / "s.npz", stack, diffraction_unit=np.array(unit))
        with pytest.raises((DataRangeError, UnitError)) as theirs:
            read_scan(path)
        with pytest.raises(PinnDataError) as ours:
            summarise_scan(path)
        assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


def test_the_memory_does_not_grow_with_the_scan(tmp_path):
    peaks = []
    for frames in (600, 1800):  # 10 and 30 MB, in blocks of 8
        path = _file(tmp_path / f"{frames}.npz", np.ones((frames, 128, 128), np.uint8))
        tracemalloc.start()
        summarise_scan(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_diameter_of_a_disc():
    y, x = np.mgrid[:64, :64]
    disc = (np.hypot(y - 30.2, x - 34.7) <= 12).astype(np.complex64)
    assert light_diameter(disc) == pytest.approx(2 * 12 * np.sqrt(0.9), abs=1.5)
    assert light_diameter(np.stack([disc, 2j * disc])) == light_diameter(disc)
