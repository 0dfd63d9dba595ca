"""Laws of units and scale factors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pinn_data.errors import DataRangeError, EmptyScanError, ShapeError, UnitError
from pinn_data.scan.diffraction import (
    detect_unit,
    frame_energies,
    holds_counts,
    intensity_scale,
    measured_nphotons,
    normalisation,
    to_amplitude,
    to_counts,
)

counts = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int32, np.uint32]),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=6),
    elements={"min_value": 0, "max_value": 255},
)
seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, largest=st.integers(1, 2**22 - 1))
def test_counts_to_amplitude_and_back_is_exact(seed, largest):
    stack = np.random.default_rng(seed).integers(0, largest, (3, 8, 8), endpoint=True)
    np.testing.assert_array_equal(to_counts(to_amplitude(stack, "counts"), "amplitude"), stack)


@given(seed=seeds)
def test_squares_of_amplitudes_that_are_no_counts_are_left_alone(seed):
    amplitude = np.random.default_rng(seed).uniform(0.1, 9.0, (2, 8, 8))
    np.testing.assert_allclose(to_counts(amplitude, "amplitude"), amplitude**2, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float16])
def test_squares_do_not_overflow_the_dtype(dtype):
    stack = np.full((2, 8, 8), 200, dtype=dtype)
    assert measured_nphotons(stack, "amplitude") == 64 * 200**2
    np.testing.assert_array_equal(to_counts(stack, "amplitude"), np.full((2, 8, 8), 200.0**2))


@given(stack=counts)
def test_the_energy_of_a_frame_is_its_number_of_photons_in_every_unit(stack):
    photons = stack.astype(np.float64).sum(axis=(1, 2))
    np.testing.assert_array_equal(frame_energies(stack, "counts"), photons)
    np.testing.assert_array_equal(frame_energies(stack.astype(np.float32), "intensity"), photons)
    np.testing.assert_allclose(frame_energies(to_amplitude(stack, "counts"), "amplitude"), photons, rtol=1e-6)
    assert measured_nphotons(stack, "counts") == pytest.approx(photons.mean())


def test_energies_do_not_depend_on_how_the_frames_fall_into_blocks():
    stack = np.random.default_rng(3).poisson(4.0, (700, 64, 64)).astype(np.uint8)  # three blocks
    np.testing.assert_array_equal(frame_energies(stack, "counts"), stack.sum(axis=(1, 2)))


@given(seed=seeds, scale=st.floats(1e-3, 1e3), N=st.sampled_from([8, 16, 32]))
def test_normalisation_brings_the_mean_energy_to_a_quarter_of_n_squared(seed, scale, N):
    amplitude = scale * np.random.default_rng(seed).uniform(0, 1, (4, N, N))
    normalised = normalisation(amplitude) * amplitude
    assert np.mean(np.sum(normalised**2, axis=(1, 2))) == pytest.approx((N / 2) ** 2)


@given(seed=seeds, N=st.sampled_from([8, 16, 32]))
def test_intensity_scale_undoes_normalisation(seed, N):
    stack = np.random.default_rng(seed).poisson(50.0, (4, N, N))
    amplitude = to_amplitude(stack, "counts")
    scale = intensity_scale(measured_nphotons(stack, "counts"), N)
    np.testing.assert_allclose(scale * normalisation(amplitude) * amplitude, amplitude, rtol=1e-5)


@pytest.mark.parametrize(
    ("N", "nphotons", "expected"), [(64, 1e9, 988.21), (128, 1e9, 494.11), (64, 1e6, 31.25)]
)
def test_intensity_scale_has_the_published_values(N, nphotons, expected):
    assert intensity_scale(nphotons, N) == pytest.approx(expected, abs=5e-3)


@given(stack=counts)
def test_whole_numbers_are_counts_in_any_dtype(stack):
    assert detect_unit(stack) == "counts"
    assert detect_unit(stack.astype(np.float32)) == "counts"


def test_one_fraction_anywhere_makes_amplitudes():
    stack = np.zeros((600, 64, 64), np.float32)  # more than one block
    stack[-1, -1, -1] = 1.5
    assert detect_unit(stack) == "amplitude"


@pytest.mark.parametrize("label", ["counts", "Intensity ", "AMPLITUDE"])
def test_a_label_wins_over_the_rule(label):
    assert detect_unit(np.ones((1, 4, 4)), label) == label.strip().lower()


@given(st.integers(0, 2**32 - 1), st.sampled_from([20, 2**16, 2**21]))
def test_counts_are_recognised_in_every_unit_and_what_is_scaled_is_not(seed, largest):
    counts = np.random.default_rng(seed).integers(0, largest, size=(3, 4, 4))
    counts[0, 0, 0] = 3
    assert holds_counts(counts, "counts") and holds_counts(counts.astype(np.float64), "intensity")
    for dtype in (np.float32, np.float64):
        assert holds_counts(np.sqrt(counts).astype(dtype), "amplitude")
        assert not holds_counts((0.9 * np.sqrt(counts)).astype(dtype), "amplitude")
        assert not holds_counts((0.9 * counts).astype(dtype), "intensity")
    with pytest.raises(UnitError):
        holds_counts(counts, "photons")


def test_a_wrong_label_is_refused():
    with pytest.raises(UnitError, match=r"labelled 'counts' but hold fractions, .* label them 'intensity'"):
        detect_unit(np.full((1, 4, 4), 0.5), "counts")
    with pytest.raises(UnitError, match="'photons' is unknown: use 'counts', 'intensity' or 'amplitude'"):
        detect_unit(np.ones((1, 4, 4)), "photons")


def test_scales_that_do_not_exist_are_refused():
    with pytest.raises(DataRangeError, match="every diffraction pattern is zero"):
        normalisation(np.zeros((3, 8, 8)))
    with pytest.raises(EmptyScanError, match="no frame"):
        measured_nphotons(np.zeros((0, 8, 8)), "counts")
    with pytest.raises(ShapeError, match=r"\(8, 8\), but \(frames, N, N\) is needed"):
        frame_energies(np.zeros((8, 8)), "counts")
    for nphotons in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(DataRangeError, match="give a finite number above 0"):
            intensity_scale(nphotons, 64)
