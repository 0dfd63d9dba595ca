"""Laws of the sub-pixel shift, and what a simulated probe must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.architecture import BACKGROUND
from pinn_data.errors import ShapeError
from pinn_data.optics.probe import (
    defocused_probe,
    fourier_shift,
    normalised_probe,
    probe_modes,
    shifted_probes,
)
from pinn_data.testing import complex_objects, complex_probes, small_scan

moves = st.tuples(st.floats(-5, 5), st.floats(-5, 5)).map(np.array)
images = complex_objects((12, 16))


@given(images, st.integers(-9, 9), st.integers(-9, 9))
def test_whole_shift_moves_content_toward_larger_indices(a, dy, dx):
    np.testing.assert_allclose(fourier_shift(a, (dy, dx)), np.roll(a, (dy, dx), axis=(0, 1)), atol=1e-12)


@given(images, moves, moves)
def test_shifts_add_up_and_keep_the_energy(a, s, t):
    twice = fourier_shift(fourier_shift(a, s), t)
    np.testing.assert_allclose(twice, fourier_shift(a, s + t), atol=1e-12)
    assert np.sum(np.abs(twice) ** 2) == pytest.approx(np.sum(np.abs(a) ** 2))


@given(images, images, moves)
def test_shift_is_unitary(a, b, t):
    assert np.vdot(fourier_shift(a, t), b) == pytest.approx(np.vdot(a, fourier_shift(b, -t)))


@given(images, moves)
def test_transposing_swaps_y_with_x(a, t):
    np.testing.assert_allclose(fourier_shift(a.T, t[::-1]), fourier_shift(a, t).T, atol=1e-12)


def test_fractional_shift_moves_a_smooth_spot_by_exactly_that():
    y, x = np.mgrid[:32, :32]

    def spot(cy, cx):
        return np.exp(-((y - cy) ** 2) / 9 - (x - cx) ** 2 / 14 + 1j * 0.2 * (x - cx))

    np.testing.assert_allclose(fourier_shift(spot(15, 14), (0.3, -0.6)), spot(15.3, 13.4), atol=1e-6)


@given(complex_probes(12, 3), st.lists(moves, min_size=1, max_size=4).map(np.array))
def test_every_mode_is_moved_to_every_fraction(probe, fractions):
    shifted = shifted_probes(probe, fractions)
    assert shifted.shape == (len(fractions), 3, 12, 12)
    for i, fraction in enumerate(fractions):
        for m in range(3):
            np.testing.assert_allclose(shifted[i, m], fourier_shift(probe[m], fraction), atol=1e-12)


@pytest.mark.parametrize("image, shift", [((8,), (2,)), ((8, 8), (3,)), ((3, 8, 8), (2, 2))])
def test_shapes_that_do_not_fit_are_refused(image, shift):
    with pytest.raises(ShapeError):
        fourier_shift(np.ones(image), np.zeros(shift))


def test_probe_modes_accepts_one_image_or_a_stack():
    one = np.ones((8, 8), np.complex64)
    assert probe_modes(one).shape == (1, 8, 8) and probe_modes(one).dtype == np.complex64
    assert probe_modes(np.stack([one, one])).shape == (2, 8, 8)
    for wrong in (np.ones(8), np.ones((8, 9)), np.ones((0, 8, 8)), np.ones((1, 1, 8, 8))):
        with pytest.raises(ShapeError):
            probe_modes(wrong)


@pytest.mark.parametrize("N", [32, 64, 128])
def test_defocused_probe_is_a_centred_ring_that_fits_its_window(N):
    probe = defocused_probe(N, photons=1234.5)
    power = np.abs(probe) ** 2
    assert power.sum() == pytest.approx(1234.5)
    y, x = np.mgrid[:N, :N] - N // 2
    r = np.hypot(y, x)
    assert power[r < 0.3 * N].sum() > 0.97 * power.sum()
    assert abs((power * y).sum()) < 0.05 * N * power.sum() and abs((power * x).sum()) < 0.05 * N * power.sum()
    far = np.abs(np.fft.fftshift(np.fft.fft2(probe))) ** 2
    assert far[r < 0.05 * N].mean() < 0.05 * far[(r > 0.15 * N) & (r < 0.2 * N)].mean()  # the central stop
    assert far[r > 0.35 * N].sum() < 0.01 * far.sum()  # the aperture


def test_defocused_probe_has_no_symmetry_to_hide_a_wrong_axis():
    probe = defocused_probe(32)
    others = [probe.T, probe[::-1], probe[:, ::-1], probe[::-1, ::-1], probe.conj()]
    for other in others:
        assert abs(np.vdot(probe, other)) < 0.975


@pytest.mark.parametrize("radius_px", [5.0, -5.0, 9.0])
def test_the_far_field_of_a_defocused_probe_is_curved_to_the_side_of_its_focus(radius_px):
    """Its phase grows outward for a positive radius and falls for a negative one, by what the radius says."""
    N, edge = 64, 16  # pixels of the aperture's radius, a quarter of N
    probe = defocused_probe(N, radius_px=radius_px, astigmatism=0.0)
    far = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe)))[N // 2]
    q = np.arange(8, 16)  # between the central stop and the aperture's edge
    phase = np.unwrap(np.angle(far[N // 2 + q]))
    wanted = np.pi * radius_px * edge / N * (q / edge) ** 2
    np.testing.assert_allclose(phase - phase[0], wanted - wanted[0], atol=1e-9)


@pytest.mark.parametrize(
    "wrong", [{"N": 15}, {"aperture": 0.6}, {"central_stop": 1.0}, {"photons": 0.0}, {"tilt": -1.0}]
)
def test_defocused_probe_refuses_what_makes_no_probe(wrong):
    with pytest.raises(ValueError, match=r"needed|must be"):
        defocused_probe(**{"N": 16, **wrong})


@pytest.mark.parametrize("probe_scale", [4.0, 1.0])
def test_the_normalised_probe_explains_the_mean_energy_with_an_empty_object(probe_scale):
    probe = normalised_probe(7 * probe_modes(small_scan(modes=2).probe), 64, probe_scale)
    assert probe.dtype == np.complex64
    energy = (np.abs(probe) ** 2).sum()
    assert energy * BACKGROUND**2 == pytest.approx(32**2 * (4 / probe_scale) ** 2, rel=1e-5)
    with pytest.raises(ShapeError, match=r"but \(modes, 32, 32\) is needed"):
        normalised_probe(probe, 32, probe_scale)
