"""Checks of a scan: silent on good ones of any probe, size and dose; each fault is named, with what to do."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_data.checks.scan_checks import check_scan
from pinn_data.checks.scan_summary import summarise_scan
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.optics.probe import defocused_probe
from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan
from pinn_data.testing import small_scan

_IMAGE = picture_object("coins", "camera", 101)


@given(
    N=st.sampled_from([16, 32, 64]),
    photons=st.sampled_from([50.0, 1e3, 1e5, 1e7]),
    step=st.floats(1.5, 9),
    aperture=st.floats(0.04, 0.3),
    radius=st.floats(0.0, 9.0),
    tilt=st.floats(0, 0.9),
    stop=st.floats(0.0, 0.5),
    background=st.sampled_from([0.0, 0.0, 2.0]),
    gap=st.booleans(),
    unit=st.sampled_from(["counts", "amplitude", "intensity"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25)
def test_a_good_scan_is_not_blamed(
    N, photons, step, aperture, radius, tilt, stop, background, gap, unit, seed
):
    rng = np.random.default_rng(seed)
    shape = (N + 30, N + 37)
    probe = defocused_probe(N, radius_px=radius, aperture=aperture, central_stop=stop, tilt=tilt)
    positions = jittered_raster(shape, N, step, 0.3 * step, rng)[:60]
    scan = simulate_scan(_IMAGE, probe, positions, photons=photons, rng=rng)
    counts = scan.diffraction + rng.poisson(background, scan.diffraction.shape)
    bad = np.zeros((N, N), bool)
    bad[N // 2 + 3 : N // 2 + 5] = gap
    patterns = {
        "counts": counts.astype(np.uint32),
        "amplitude": np.sqrt(counts).astype(np.float32),
        "intensity": (counts / 1.037).astype(np.float32),
    }[unit]
    scan = attrs.evolve(scan, diffraction=patterns, unit=unit, bad_pixels=bad)
    assert check_scan(scan) == []


@pytest.fixture(scope="module")
def good():
    """80 frames, 7 and 9 pixels apart."""
    scan = small_scan(64, rows=10, columns=8, photons=2e5)
    assert check_scan(scan) == []
    return scan


def _hot(counts):
    counts[:, 5, 9] += 4000
    return counts


def _stuck(counts):
    counts[:, 40, 41] = 77
    return counts


def _changed(scan, change):
    return attrs.evolve(scan, diffraction=change(scan.diffraction.copy()))


def _moved(scan, change):
    return attrs.evolve(scan, positions=change(scan.positions))


FAULTS = {
    "equal": (lambda s: _moved(s, lambda p: np.full_like(p, 3.5)), "bad", "all 80 positions are equal"),
    "metres": (lambda s: _moved(s, lambda p: p * 20e-9), "bad", "metres, not object pixels"),
    "micrometres": (lambda s: _moved(s, lambda p: p * 20e-3), "bad", "micrometres, not object pixels"),
    "nanometres": (lambda s: _moved(s, lambda p: p * 20), "bad", "nanometres?"),
    "corner": (lambda s: _changed(s, lambda c: np.fft.ifftshift(c, axes=(1, 2))), "bad", "--zero-frequency"),
    "centre": (
        lambda s: _changed(s, lambda c: np.roll(c, (5, -4), (1, 2))),
        "warning",
        "(37, 28), but the probe at (32, 32): move the patterns by (-5, 4)",
    ),
    "hot": (lambda s: _changed(s, _hot), "warning", "brightest neighbour ([5, 9])"),
    "stuck": (lambda s: _changed(s, _stuck), "warning", "same number in every frame ([40, 41])"),
    "saturated": (
        lambda s: _changed(s, lambda c: np.minimum(c, np.quantile(c, 0.995).astype(c.dtype))),
        "warning",
        "seems to saturate",
    ),
    "gain": (lambda s: _changed(s, lambda c: c * 37), "warning", "divide them by 37"),
    "intensities": (
        lambda s: attrs.evolve(s, diffraction=(s.diffraction / 1.037).astype("f4"), unit="amplitude"),
        "bad",
        "likely intensities",
    ),
    "counts as amplitudes": (lambda s: attrs.evolve(s, unit="amplitude"), "warning", "likely counts"),
    "fractions": (lambda s: _changed(s, lambda c: c / 1.037), "warning", "hold fractions"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_alone(good, fault):
    spoil, level, words = FAULTS[fault]
    (finding,) = check_scan(spoil(good))
    assert finding.level == level and words in finding.sentence


def test_the_summary_of_a_file_finds_the_same(good, tmp_path):
    scan = _changed(_moved(good, lambda p: p * 20e-9), _hot)
    path = write_scan(tmp_path / "scan.npz", scan)
    assert list(summarise_scan(path).findings) == check_scan(scan)


def test_a_measured_scan_is_not_blamed(siemens_star):
    assert check_scan(read_scan(siemens_star)) == []
