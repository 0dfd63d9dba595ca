"""Laws of pixels that were not measured and of the background: what lies under a bad pixel is never read."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.checks.scan_summary import summarise_scan
from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.grouping.groups import group, grouped_dict
from pinn_data.grouping.labels import ObjectLabels
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.learning.fingerprint import fingerprint
from pinn_data.optics.forward_model import diffraction_amplitude, diffraction_intensity, poisson_nll, residual
from pinn_data.run.run_record import input_of
from pinn_data.scan.geometry import Geometry
from pinn_data.scan.scan import Scan
from pinn_data.testing import bad_pixels, complex_objects, complex_probes, scan_positions, scans

N, SHAPE = 8, (29, 33)
JUNK = (np.nan, -1.0, 2.0**32 - 1, 7.0, np.inf)


def spoilt(scan, junk):
    """The patterns with `junk` under the bad pixels, or the nearest that their dtype can hold."""
    stack = np.array(scan.diffraction)
    if stack.dtype.kind in "iu":
        limits = np.iinfo(stack.dtype)
        junk = limits.max if not np.isfinite(junk) else int(np.clip(junk, limits.min, limits.max))
    stack[np.broadcast_to(scan.bad_pixels, stack.shape)] = junk
    return stack


masked_scans = scans(N, shape=SHAPE).filter(
    lambda scan: scan.bad_pixels is not None and scan.nphotons > 0 and not scan.bad_pixels.all((-2, -1)).any()
)


def everything_of(scan):
    """What the consumers in this package make of a scan, as bytes, texts and numbers."""
    rows = np.arange(len(scan))[:, None]
    found = [scan.amplitude().tobytes(), scan.counts().tobytes(), scan.nphotons, scan.holds_counts]
    found += [a.tobytes() for a in PatternStack(scan).batch(rows).values()]
    grouped = grouped_dict(scan, group(scan.positions, 1, n_groups=len(scan), seed=1), truth=False)
    found += [np.asarray(grouped[key]).tobytes() for key in ("diffraction", "X_full")]
    run = {"config": TrainingConfig(model=ModelConfig()), "execution": PyTorchExecutionConfig(), "seed": 1}
    found += [fingerprint(scan, **run), input_of(attrs.evolve(scan, source=None))["sha256"]]
    if scan.object is not None:
        found.append(ObjectLabels(scan, "a test").scale)
    found += [scan.select([-1]).amplitude().tobytes(), scan.select([-1]).nphotons]
    return found


@given(scan=masked_scans, junk=st.sampled_from(JUNK))
def test_what_lies_under_bad_pixels_changes_no_bit(tmp_path, scan, junk):
    dirty = attrs.evolve(scan, diffraction=spoilt(scan, junk))
    assert dirty.equals(scan)
    assert everything_of(dirty) == everything_of(scan)
    clean_file = write_scan(tmp_path / "clean.npz", scan, unit=scan.unit)
    assert write_scan(tmp_path / "dirty.npz", dirty, unit=scan.unit).read_bytes() == clean_file.read_bytes()


@given(scan=masked_scans, junk=st.sampled_from(JUNK), labelled=st.booleans())
def test_nothing_under_bad_pixels_of_a_file_is_read(tmp_path, scan, junk, labelled):
    summaries = []
    for name, stack in (("clean", scan.diffraction), ("dirty", spoilt(scan, junk))):
        np.savez(
            tmp_path / f"{name}.npz",
            diff3d=stack,
            xcoords=scan.positions[:, 1],
            ycoords=scan.positions[:, 0],
            probeGuess=scan.probe,
            bad_pixels=scan.bad_pixels,
            **({"diffraction_unit": scan.unit} if labelled else {}),
        )
        summaries.append(summarise_scan(tmp_path / f"{name}.npz", frames_axis=0))
    clean = read_scan(tmp_path / "clean.npz", frames_axis=0)
    for above in (None, 0):
        dirty = read_scan(tmp_path / "dirty.npz", in_file_above=above, frames_axis=0)
        assert dirty.equals(clean)
        assert everything_of(dirty) == everything_of(clean)
    for part in ("unit", "holds_counts", "largest", "frames"):
        assert getattr(summaries[0], part) == getattr(summaries[1], part)
    for part in ("photons", "mean_pattern", "bad_pixels"):
        np.testing.assert_array_equal(getattr(summaries[0], part), getattr(summaries[1], part))


@given(scan=masked_scans, data=st.data())
def test_the_mask_of_each_frame_goes_with_it(tmp_path, scan, data):
    numbers = st.lists(st.integers(0, len(scan) - 1), min_size=1, max_size=6)
    some, fewer = data.draw(numbers), None
    fewer = data.draw(st.lists(st.integers(0, len(some) - 1), min_size=1, max_size=4))
    stored = read_scan(write_scan(tmp_path / "scan.npz", scan, unit=scan.unit), in_file_above=0)
    for part in (scan.select(some).select(fewer), stored.select(some).select(fewer)):
        chosen = np.array(some)[fewer]
        whole = np.zeros((len(scan), N, N), bool) if scan.bad_pixels is None else scan.bad_pixels
        expected = np.broadcast_to(whole, (len(scan), N, N))[chosen]
        found = np.zeros((N, N), bool) if part.bad_pixels is None else part.bad_pixels
        np.testing.assert_array_equal(np.broadcast_to(found, expected.shape), expected)
        np.testing.assert_array_equal(part.diffraction[:], scan.diffraction[chosen])


def test_no_bad_pixel_and_no_background_are_none_and_nothing_is_copied():
    stack = np.ones((2, N, N), np.uint16)
    probe = np.ones((N, N), complex)
    scan = Scan(stack, "counts", np.ones((2, 2)), probe, bad_pixels=np.zeros((N, N)), background=0.0)
    assert (scan.bad_pixels, scan.background) == (None, None)
    assert scan.diffraction is stack
    stack[:, 0, 0] = 0
    assert attrs.evolve(scan, bad_pixels=stack[0] == 0).diffraction is stack


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({"bad_pixels": np.ones((N, N))}, DataRangeError),
        ({"bad_pixels": np.eye(N + 1)}, ShapeError),
        ({"bad_pixels": np.ones(N)}, ShapeError),
        ({"bad_pixels": np.full((N, N), np.nan)}, DataRangeError),
        ({"background": -1.0}, DataRangeError),
        ({"background": np.full((N, N), np.inf)}, DataRangeError),
        ({"background": np.ones((2, N, N))}, ShapeError),
        ({"background": np.ones((N, N + 1))}, ShapeError),
    ],
)
def test_parts_that_cannot_be_are_refused(part, error):
    with pytest.raises(error):
        Scan(np.ones((2, N, N)), "counts", np.ones((2, 2)), np.ones((N, N), complex), **part)


# --- the oracle -------------------------------------------------------------------------------------

measurements = {
    "image": complex_objects(SHAPE),
    "probe": complex_probes(N, 2),
    "positions": scan_positions(SHAPE, N),
    "seed": st.integers(0, 2**32 - 1),
}


@given(**measurements, each=st.booleans(), data=st.data())
def test_rate_is_measured_pixels_times_diffraction_and_background(image, probe, positions, seed, each, data):
    n = len(positions)
    bad = data.draw(bad_pixels((n, N, N) if each else (N, N)).filter(lambda mask: not mask.all()))
    background = np.random.default_rng(seed).exponential(3.0, (N, N))
    plain = diffraction_intensity(image, probe, positions)
    rate = diffraction_intensity(image, probe, positions, background=background, bad_pixels=bad)
    np.testing.assert_array_equal(rate, ~bad * (plain + background))
    amplitude = diffraction_amplitude(image, probe, positions, background=background, bad_pixels=bad)
    np.testing.assert_array_equal(amplitude, np.sqrt(rate))
    np.testing.assert_array_equal(diffraction_intensity(image, probe, positions, background=0.0), plain)


@given(**measurements, junk=st.sampled_from(JUNK), each=st.booleans(), data=st.data())
def test_misfits_are_those_of_the_data_without_the_bad_pixels(
    image, probe, positions, seed, junk, each, data
):
    rng = np.random.default_rng(seed)
    bad = data.draw(bad_pixels((len(positions), N, N) if each else (N, N)).filter(lambda m: not m.all()))
    everywhere = np.broadcast_to(bad, (len(positions), N, N))
    background = float(rng.exponential(2.0))
    rate = diffraction_intensity(image, probe, positions)
    counts = rng.poisson(rate + background).astype(float) + 1
    expected = rate[~everywhere] + background
    likelihood = np.mean(expected - counts[~everywhere] * np.log(np.maximum(expected, 1e-2)))
    R = np.sqrt(np.sum((np.sqrt(expected) - np.sqrt(counts[~everywhere])) ** 2) / counts[~everywhere].sum())
    found = []
    for under in (1.0, junk):
        dirty_rate, dirty = np.where(everywhere, under, rate), np.where(everywhere, under, counts)
        with np.errstate(invalid="ignore"):
            amplitudes = np.sqrt(dirty_rate), np.sqrt(dirty)
        parts = {"background": background, "bad_pixels": bad}
        found.append((poisson_nll(dirty_rate, dirty, **parts), residual(*amplitudes, **parts)))
    assert found[0] == found[1]
    np.testing.assert_allclose(found[0], (likelihood, R), rtol=1e-12)


# --- geometry ---------------------------------------------------------------------------------------

lengths = st.none() | st.floats(1e-12, 1e6)


@given(
    pixel=st.none() | st.tuples(st.floats(1e-12, 1e-3), st.floats(1e-12, 1e-3)),
    energy=lengths,
    distance=lengths,
)
def test_metadata_keep_a_geometry(pixel, energy, distance):
    geometry = Geometry(pixel, energy, distance)
    assert Geometry.of(geometry.metadata()) == geometry


@pytest.mark.parametrize("value", ["20 nm", None, True, -1.0, 0, float("nan"), [1e-9]])
def test_what_is_no_length_tells_nothing(value):
    keys = ("pixel_size_m", "photon_energy_eV", "detector_distance_m")
    assert Geometry.of(dict.fromkeys(keys, value)) == Geometry()
