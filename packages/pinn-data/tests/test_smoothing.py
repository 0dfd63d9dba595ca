"""Laws of the smoothing of exit waves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.optics.forward_model import diffraction_intensity, exit_wave, far_field
from pinn_data.optics.smoothing import smoothed, smoothing_kernel
from pinn_data.testing import complex_objects, complex_probes, scan_positions
from scipy import ndimage
from scipy.special import softmax

sigmas = st.floats(0.05, 20)
images = complex_objects((7, 11))
SHAPE, N = (23, 29), 8


@given(sigmas)
def test_the_kernel_is_the_softmax_of_the_specification(sigma):
    side, middle = smoothing_kernel(sigma)
    expected = softmax(-(np.array([-1.0, 0.0, 1.0]) ** 2) / (2 * sigma**2))
    np.testing.assert_allclose([side, middle, side], expected, atol=1e-15)


@given(images, sigmas)
def test_smoothing_is_a_convolution_with_mirrored_edges(a, sigma):
    side, middle = smoothing_kernel(sigma)
    kernel = np.outer([side, middle, side], [side, middle, side])
    # scipy's 'mirror' is what others call 'reflect': the edge pixel is not repeated.
    parts = [ndimage.convolve(part, kernel, mode="mirror") for part in (a.real, a.imag)]
    np.testing.assert_allclose(smoothed(a, sigma), parts[0] + 1j * parts[1], atol=1e-12)


@given(images, images, sigmas, st.complex_numbers(max_magnitude=3))
def test_it_is_linear_and_acts_on_every_image_alone(a, b, sigma, factor):
    np.testing.assert_allclose(
        smoothed(a + factor * b, sigma), smoothed(a, sigma) + factor * smoothed(b, sigma), atol=1e-12
    )
    np.testing.assert_array_equal(
        smoothed(np.stack([a, b]), sigma), np.stack([smoothed(a, sigma), smoothed(b, sigma)])
    )


@given(images, sigmas)
def test_transposing_commutes_and_a_constant_stays(a, sigma):
    np.testing.assert_allclose(smoothed(a.T, sigma), smoothed(a, sigma).T, atol=1e-12)
    np.testing.assert_allclose(smoothed(np.full((5, 4), 2 - 3j), sigma), 2 - 3j, atol=1e-12)


@given(images)
def test_no_width_is_no_smoothing_and_the_limit_of_small_ones(a):
    np.testing.assert_array_equal(smoothed(a, 0.0), a)
    np.testing.assert_allclose(smoothed(a, 0.1), a, atol=1e-12)
    np.testing.assert_array_equal(smoothed(a, 1e-200), a)
    assert np.abs(smoothed(a, 0.5) - a).max() > 1e-3


@given(complex_objects(SHAPE), complex_probes(N, 2), scan_positions(SHAPE, N, max_size=4), sigmas)
def test_the_pattern_is_that_of_the_smoothed_wave(o, probe, p, sigma):
    field = far_field(smoothed(exit_wave(o, probe, p), sigma))
    expected = np.sum(np.abs(field) ** 2, axis=1)
    np.testing.assert_allclose(diffraction_intensity(o, probe, p, smoothing_sigma=sigma), expected)
    np.testing.assert_array_equal(
        diffraction_intensity(o, probe, p, smoothing_sigma=0.0), diffraction_intensity(o, probe, p)
    )


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_a_width_that_is_none_is_refused(sigma):
    with pytest.raises(DataRangeError, match="finite number >= 0"):
        smoothed(np.ones((4, 4)), sigma)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4, 1)])
def test_waves_without_neighbours_are_refused(shape):
    with pytest.raises(ShapeError, match="at least two of each"):
        smoothed(np.ones(shape), 1.0)
