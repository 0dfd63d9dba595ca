"""Laws of the reference optics, and the orientation test on a measured scan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import PositionError, ShapeError
from pinn_data.files.npz import read_scan
from pinn_data.optics.forward_model import (
    diffraction_amplitude,
    diffraction_intensity,
    exit_wave,
    far_field,
    intensity_blocks,
    poisson_nll,
    residual,
)
from pinn_data.optics.probe import fourier_shift
from pinn_data.testing import complex_objects, complex_probes, scan_positions

SHAPE, N = (23, 29), 8
objects = complex_objects(SHAPE)
probes = st.sampled_from([None, 2]).flatmap(lambda modes: complex_probes(N, modes))
positions = scan_positions(SHAPE, N, max_size=5)


@given(objects, probes, positions)
def test_parseval(o, probe, p):
    wave = exit_wave(o, probe, p)
    energy = np.sum(np.abs(wave) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(diffraction_intensity(o, probe, p).sum(axis=(1, 2)), energy, rtol=1e-10)
    np.testing.assert_allclose(np.sum(np.abs(far_field(wave)) ** 2, axis=(1, 2, 3)), energy, rtol=1e-10)


@given(objects, probes, positions, st.floats(-3, 3))
def test_global_phase_of_the_object_leaves_amplitudes_alone(o, probe, p, phase):
    expected = diffraction_amplitude(o, probe, p)
    np.testing.assert_allclose(diffraction_amplitude(np.exp(1j * phase) * o, probe, p), expected, atol=1e-9)


@given(objects, probes, positions, st.integers(0, 5), st.integers(0, 5))
def test_moving_object_and_positions_together_leaves_amplitudes_alone(o, probe, p, dy, dx):
    moved = np.pad(o, ((dy, 0), (dx, 0)))
    expected = diffraction_amplitude(o, probe, p)
    np.testing.assert_allclose(
        diffraction_amplitude(moved, probe, p + np.array([dy, dx])), expected, atol=1e-9
    )


@given(objects, probes, positions)
def test_transposing_everything_and_swapping_x_with_y_transposes_patterns(o, probe, p):
    turned = diffraction_amplitude(o.T, np.swapaxes(probe, -1, -2), p[:, ::-1])
    np.testing.assert_allclose(turned, diffraction_amplitude(o, probe, p).transpose(0, 2, 1), atol=1e-9)


@given(objects, probes, positions, st.complex_numbers(max_magnitude=5))
def test_scaling_the_probe_scales_amplitudes_by_its_modulus(o, probe, p, s):
    expected = abs(s) * diffraction_amplitude(o, probe, p)
    np.testing.assert_allclose(diffraction_amplitude(o, s * probe, p), expected, atol=1e-8)


@given(objects, complex_probes(N, 2), positions)
def test_modes_add_in_intensity(o, probe, p):
    apart = [diffraction_intensity(o, mode, p) for mode in probe]
    np.testing.assert_allclose(diffraction_intensity(o, probe, p), apart[0] + apart[1], atol=1e-9)


@given(objects, probes, positions)
def test_blocks_cover_every_position_once(o, probe, p):
    whole = diffraction_intensity(o, probe, p)
    joined = np.concatenate([block for _, block in intensity_blocks(o, probe, p)])
    np.testing.assert_array_equal(joined, whole)
    one_by_one = np.concatenate([diffraction_intensity(o, probe, p[i : i + 1]) for i in range(len(p))])
    np.testing.assert_allclose(one_by_one, whole, atol=1e-10)


@given(objects, probes, scan_positions(SHAPE, N, whole=True))
def test_whole_positions_need_no_sub_pixel_rule(o, probe, p):
    np.testing.assert_allclose(
        diffraction_amplitude(o, probe, p, subpixel="probe"),
        diffraction_amplitude(o, probe, p, subpixel="none"),
        atol=1e-9,
    )


@given(st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_fraction_on_the_probe_is_the_same_as_the_object_moved_back(fy, fx, seed):
    """psi = P(r - f) O(r) and P(r) O(r + f) differ by a shift, which amplitudes do not see.

    Exact where the product is band-limited, so probe and object are drawn from a quarter of the frequencies.
    """
    rng = np.random.default_rng(seed)

    def smooth():
        spectrum = np.zeros((16, 16), complex)
        k = np.abs(np.fft.fftfreq(16, 1 / 16)) <= 3
        spectrum[np.ix_(k, k)] = rng.normal(size=(7, 7)) + 1j * rng.normal(size=(7, 7))
        return np.fft.ifft2(spectrum)

    probe, patch = smooth(), smooth()
    o = np.pad(patch, ((3, 1), (2, 1)))
    by_rule = diffraction_amplitude(o, probe, [[11 + fy, 10 + fx]])[0]
    moved = fourier_shift(patch, (-fy, -fx))
    np.testing.assert_allclose(by_rule, np.abs(far_field(probe * moved)), atol=1e-10)


def test_far_field_has_the_direct_beam_in_the_middle_and_a_ramp_moves_it_up():
    y, x = np.mgrid[:N, :N]
    flat = np.abs(far_field(np.ones((N, N))))
    assert flat[N // 2, N // 2] == pytest.approx(N) and np.count_nonzero(flat > 1e-9) == 1
    tilted = np.abs(far_field(np.exp(2j * np.pi * (y + 2 * x) / N)))
    assert tilted[N // 2 + 1, N // 2 + 2] == pytest.approx(N)


def test_an_unknown_sub_pixel_rule_and_positions_outside_are_refused():
    o, probe = np.ones(SHAPE, complex), np.ones((N, N), complex)
    with pytest.raises(ValueError, match="'probe' or 'none'"):
        exit_wave(o, probe, [[10.0, 10.0]], subpixel="object")
    with pytest.raises(PositionError):
        diffraction_amplitude(o, probe, [[1.0, 10.0]])


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2.0).filter(lambda f: abs(f - 1) > 0.01))
def test_poisson_nll_is_smallest_at_the_counts(seed, factor):
    counts = np.random.default_rng(seed).poisson(20.0, size=(3, 4, 4)) + 1
    assert poisson_nll(counts * factor, counts) > poisson_nll(counts, counts)


def test_poisson_nll_by_hand_and_with_nothing_predicted():
    assert poisson_nll([2.0, 4.0], [1, 0]) == pytest.approx(((2 - np.log(2)) + 4) / 2)
    assert poisson_nll([0.0], [3], floor=1e-6) == pytest.approx(-3 * np.log(1e-6))
    with pytest.raises(ShapeError):
        poisson_nll(np.ones(3), np.ones(4))


@given(st.integers(0, 2**32 - 1), st.floats(0, 3))
def test_residual_of_a_scaled_prediction_is_the_relative_error_of_the_scale(seed, s):
    a = np.random.default_rng(seed).random((3, 4, 4)).astype(np.float32)
    assert residual(s * a, a) == pytest.approx(abs(s - 1), abs=1e-6)


def test_residual_refuses_shapes_that_differ_and_empty_frames():
    with pytest.raises(ShapeError):
        residual(np.ones((2, 4, 4)), np.ones((3, 4, 4)))
    with pytest.raises(ValueError, match="zero"):
        residual(np.ones((2, 4, 4)), np.zeros((2, 4, 4)))


def _wrong_positions(p):
    centre = (p.min(axis=0) + p.max(axis=0)) / 2
    mirrored = 2 * centre - p
    return {
        "swapped": p[:, ::-1],
        "both negated": mirrored,
        "rows negated": np.stack([mirrored[:, 0], p[:, 1]], axis=1),
        "columns negated": np.stack([p[:, 0], mirrored[:, 1]], axis=1),
    }


@pytest.mark.parametrize("subpixel", ["none", "probe"])
def test_orientation_on_the_measured_siemens_star(siemens_star, subpixel):
    """The file's object and probe explain all 516 measured patterns, and only the right way round."""
    scan = read_scan(siemens_star)
    measured = scan.amplitude()
    as_stored = diffraction_amplitude(scan.object, scan.probe, scan.positions, subpixel=subpixel)
    assert residual(as_stored, measured) <= 0.14
    for name, wrong in _wrong_positions(scan.positions).items():
        predicted = diffraction_amplitude(scan.object, scan.probe, wrong, subpixel=subpixel)
        assert residual(predicted, measured) >= 0.30, name


def test_the_siemens_star_was_reconstructed_at_the_floor(siemens_star):
    scan = read_scan(siemens_star)
    predicted = diffraction_amplitude(scan.object, scan.probe, scan.positions, subpixel="none")
    assert residual(predicted, scan.amplitude()) == pytest.approx(0.135, abs=5e-4)
