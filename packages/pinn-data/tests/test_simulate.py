"""What a simulated scan must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import PinnDataError, PositionError
from pinn_data.optics.forward_model import diffraction_intensity, residual
from pinn_data.optics.patches import extract
from pinn_data.optics.probe import defocused_probe
from pinn_data.simulation.simulate import PICTURES, jittered_raster, picture, picture_object, simulate_scan
from pinn_data.testing import bad_pixels, complex_objects, complex_probes, scan_positions

SHAPE, N = (23, 29), 8
objects = complex_objects(SHAPE)
probes = st.sampled_from([None, 2]).flatmap(lambda modes: complex_probes(N, modes))
positions = scan_positions(SHAPE, N, max_size=5)


@given(objects, probes, positions, st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_counts(o, probe, p, seed):
    first, second = (simulate_scan(o, probe, p, photons=1e4, rng=seed) for _ in range(2))
    assert first.equals(second)
    assert first.unit == "counts" and first.diffraction.dtype == np.uint16


@given(objects, probes, positions, st.sampled_from([1e3, 1e5]))
def test_counts_scatter_about_the_forward_model_as_poisson_does(o, probe, p, photons):
    scan = simulate_scan(o, probe, p, photons=photons, rng=7)
    rate = diffraction_intensity(scan.object, scan.probe, scan.positions)
    assert rate.sum() / len(p) == pytest.approx(
        photons, rel=0.5
    )  # fractions on the probe change the light a little
    deviation = (scan.diffraction - rate) / np.sqrt(np.maximum(rate, 1))
    assert abs(scan.nphotons - rate.sum() / len(p)) < 6 * np.sqrt(rate.sum()) / len(p)
    assert np.mean(deviation**2) < 2.0


@given(objects, probes, positions, st.data())
def test_background_is_counted_and_bad_pixels_are_not(o, probe, p, data):
    bad = data.draw(bad_pixels((N, N)).filter(lambda mask: not mask.all()))
    background = np.arange(64.0).reshape(N, N)
    scan = simulate_scan(o, probe, p, photons=1e3, rng=7, background=background, bad_pixels=bad)
    whole = simulate_scan(o, probe, p, photons=1e3, rng=7, background=background)
    np.testing.assert_array_equal(scan.background, background)
    np.testing.assert_array_equal(scan.diffraction, np.where(bad, 0, whole.diffraction))
    rate = diffraction_intensity(scan.object, scan.probe, p, background=background)
    deviation = (whole.diffraction - rate) / np.sqrt(rate + 1e-3)
    assert abs(deviation.mean()) < 6 / np.sqrt(deviation.size)


def test_the_dose_is_what_was_asked_for_and_noise_falls_with_it():
    o, probe = picture_object("camera", "moon", 96), defocused_probe(32)
    p = jittered_raster(o.shape, 32, 6, 2, 0)
    errors = []
    for photons in (1e3, 1e5):
        scan = simulate_scan(o, probe, p, photons=photons, rng=0)
        assert scan.nphotons == pytest.approx(photons, rel=0.02)
        rate = diffraction_intensity(scan.object, scan.probe, scan.positions)
        errors.append(residual(np.sqrt(rate), scan.amplitude()))
    assert errors[1] < 0.15 * errors[0]


def test_without_photons_the_probe_is_left_as_it_is():
    o, p = np.ones((32, 32)), [[16.0, 16.0], [15.5, 16.25]]
    probe = defocused_probe(16, photons=5000.0)
    scan = simulate_scan(o, probe, p, rng=0)
    np.testing.assert_allclose(scan.probe, probe, rtol=1e-6)
    assert scan.nphotons == pytest.approx(5000, rel=0.05)


def test_counts_above_16_bits_get_32():
    scan = simulate_scan(np.ones((32, 32)), np.ones((16, 16)), [[16, 16]], photons=1e6, rng=0)
    assert scan.diffraction.dtype == np.uint32
    assert scan.diffraction[0, 8, 8] == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("photons", [0.0, -1.0, np.nan, np.inf])
def test_no_photons_are_refused(photons):
    with pytest.raises(PinnDataError, match="positive"):
        simulate_scan(np.ones((32, 32)), np.ones((16, 16)), [[16, 16]], photons=photons, rng=0)


def test_darkness_is_refused():
    with pytest.raises(PinnDataError, match="no light"):
        simulate_scan(np.zeros((32, 32)), np.ones((16, 16)), [[16, 16]], photons=1e4, rng=0)


@given(
    st.tuples(st.integers(20, 70), st.integers(20, 70)),
    st.floats(1.5, 9.0),
    st.floats(0.0, 1.5),
    st.floats(0.0, 2.0),
    st.integers(0, 99),
)
def test_every_position_of_a_raster_can_be_served(shape, step, jitter, margin, seed):
    p = jittered_raster(shape, N, step, jitter, seed, margin)
    assert extract(np.ones(shape), p, N).shape == (len(p), N, N)
    assert (p >= N / 2 + margin - 1e-9).all() and (p <= np.array(shape) - N / 2 - 1 - margin + 1e-9).all()
    regular = jittered_raster(shape, N, step, 0.0, seed, margin + jitter)
    assert regular.shape == p.shape and np.abs(regular - p).max() <= jitter + 1e-9
    np.testing.assert_allclose(regular.mean(axis=0), (np.array(shape) - 1) / 2)


def test_a_raster_goes_row_by_row_with_its_step():
    p = jittered_raster((40, 50), N, 5, 0, 0)
    columns = len(np.unique(p[:, 1]))
    np.testing.assert_allclose(np.diff(p[:columns, 1]), 5)
    np.testing.assert_allclose(p[:columns, 0], p[0, 0])
    assert len(np.unique(p[:, 0])) == 7 and columns == 9


@pytest.mark.parametrize("arguments", [((12, 40), N, 5, 2), ((40, 40), N, 0, 1), ((40, 40), N, 5, -1)])
def test_rasters_that_do_not_fit_are_refused(arguments):
    with pytest.raises(PositionError):
        jittered_raster(*arguments, rng=0)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_come_with_scikit_image_and_use_their_whole_range(name):
    image = picture(name, 48)
    assert image.shape == (48, 48) and image.min() == 0 and image.max() == 1 and image.std() > 0.05


def test_objects_have_the_amplitudes_and_phases_asked_for():
    o = picture_object("coins", "camera", 64, amplitude=(0.5, 0.9), phase=(-1.0, 0.4), quarter_turns=(0, 1))
    assert np.abs(o).min() == pytest.approx(0.5) and np.abs(o).max() == pytest.approx(0.9)
    assert np.angle(o).min() == pytest.approx(-1.0) and np.angle(o).max() == pytest.approx(0.4)
    np.testing.assert_allclose((np.abs(o) - 0.5) / 0.4, picture("coins", 64), atol=1e-12)
    np.testing.assert_allclose((np.angle(o) + 1.0) / 1.4, picture("camera", 64, quarter_turns=1), atol=1e-12)


def test_unknown_pictures_and_tiny_ones_are_refused():
    with pytest.raises(PinnDataError, match="choose one of astronaut"):
        picture("skin", 64)
    with pytest.raises(PinnDataError, match="at least 8"):
        picture("moon", 4)
