"""The optics of a group against the NumPy oracle `pinn_data.optics.forward_model`, and the laws of its
gradient."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.optics import probe as oracle_probe
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.optics.patches import place
from pinn_data.optics.smoothing import smoothed
from pinn_data.scan.positions import split_subpixel
from pinn_data.testing import complex_objects, complex_probes, scan_positions
from pinn_tf.optics.physics import GroupOptics, fourier_shift
from tf_scenes import BACKGROUND, scene

SEEDS = st.integers(0, 2**32 - 1)
SIGMAS = st.sampled_from([0.0, 0.4, 1.5])
N, SHAPE = 16, (41, 47)
# Two groups look at two windows of the object, so that their canvases have different origins.
ORIGINS = np.array([[0, 6], [0, 0]])
CANVAS = 41


def _optics(probe, positions, dtype=tf.float32, sigma=0.0):
    """Optics of the same positions, counted from each origin, on a canvas of 41 x 41; and those positions."""
    complex_dtype = tf.complex64 if dtype == tf.float32 else tf.complex128
    absolute = positions[None] + ORIGINS[:, None]
    whole, fraction = split_subpixel(absolute.reshape(-1, 2))
    corners = tf.constant(whole.reshape(absolute.shape) - N // 2 - ORIGINS[:, None])
    fractions = tf.constant(fraction.reshape(absolute.shape), dtype)
    probes = fourier_shift(tf.constant(oracle_probe.probe_modes(probe), complex_dtype), fractions)
    blank = tf.zeros((*absolute.shape[:2], N, N), dtype)
    return GroupOptics(blank, probes, corners, CANVAS, 0.7, sigma), absolute


def _canvases(obj, dtype=tf.complex64):
    return tf.constant(np.stack([obj[y : y + CANVAS, x : x + CANVAS] for y, x in ORIGINS]), dtype)


@pytest.mark.parametrize("modes", [None, 1, 2])
@given(data=st.data())
def test_intensity_equals_the_numpy_oracle(modes, data):
    obj = data.draw(complex_objects(SHAPE))
    probe = data.draw(complex_probes(N, modes))
    positions = data.draw(scan_positions((CANVAS, CANVAS), N, max_size=5))
    sigma = data.draw(SIGMAS)
    optics, absolute = _optics(probe, positions, sigma=sigma)
    predicted = optics.intensity(_canvases(obj)).numpy()
    unshifted = optics.unshifted_intensity(_canvases(obj)).numpy()
    np.testing.assert_array_equal(np.fft.fftshift(unshifted, axes=(-2, -1)), predicted)
    for group in range(len(ORIGINS)):
        expected = diffraction_intensity(obj, probe, absolute[group], smoothing_sigma=sigma)
        np.testing.assert_allclose(predicted[group], expected, rtol=1e-4, atol=1e-4 * expected.max())


@given(
    complex_probes(N, 2),
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=4),
)
def test_fourier_shift_equals_the_numpy_oracle(probe, shifts):
    ours = fourier_shift(tf.constant(probe), tf.constant(shifts, tf.float64)).numpy()
    expected = oracle_probe.shifted_probes(probe, np.array(shifts))
    np.testing.assert_allclose(ours, expected, atol=1e-11 * np.abs(probe).max())


def test_a_positive_shift_moves_content_toward_larger_indices():
    probe = np.zeros((1, 8, 8), np.complex64)
    probe[0, 3, 5] = 1j
    moved = fourier_shift(tf.constant(probe), tf.constant([2.0, -1.0]))
    np.testing.assert_allclose(moved, np.roll(probe, (2, -1), (1, 2)), atol=1e-6)


@given(complex_objects(SHAPE), complex_probes(N, 2), scan_positions((CANVAS, CANVAS), N, max_size=4))
def test_parseval(obj, probe, positions):
    optics, _ = _optics(probe, positions, tf.float64)
    canvases = _canvases(obj, tf.complex128)
    predicted = optics.intensity(canvases).numpy().sum((-2, -1))
    waves = optics.probes * optics.patches(canvases)[:, :, None]
    np.testing.assert_allclose(predicted, (np.abs(waves) ** 2).sum((-3, -2, -1)), rtol=1e-10)


@given(complex_objects(SHAPE), complex_probes(N, 2), st.floats(0, 6.28), st.floats(0.1, 5))
def test_a_global_phase_changes_nothing_and_a_scale_goes_squared(obj, probe, phase, scale):
    optics, _ = _optics(probe, np.array([[9.25, 12.5], [20.0, 11.75]]), tf.float64)
    canvas = _canvases(obj, tf.complex128)
    changed = optics.intensity(canvas * (scale * np.exp(1j * phase)))
    np.testing.assert_allclose(changed, scale**2 * optics.intensity(canvas), rtol=1e-9, atol=1e-9)


@given(complex_objects((41, 41)), complex_probes(N, 2))
def test_transposing_object_probe_and_positions_transposes_the_patterns(obj, probe):
    positions = np.array([[9.25, 12.5], [20.0, 11.75]])
    here, _ = _optics(probe, positions, tf.float64)
    there, _ = _optics(probe.swapaxes(-1, -2), positions[:, ::-1], tf.float64)
    canvas = np.stack([obj, obj])
    turned = there.intensity(tf.constant(canvas.swapaxes(-1, -2))).numpy()
    np.testing.assert_allclose(turned.swapaxes(-1, -2), here.intensity(canvas), rtol=1e-9, atol=1e-9)


# The gradient step


def _empty(s):
    return np.full_like(s.canvas, BACKGROUND + 0.1j)


def _misfit(s, canvas, floor=1e-3):
    """``sum (sqrt(intensity + floor**2) - amplitude)**2``, by NumPy; of every group."""
    misfits = []
    for group in range(len(canvas)):
        padded = np.pad(canvas[group], ((0, 1), (0, 1)))
        positions = s.corners[group] + s.fractions[group] + s.amplitude.shape[-1] // 2
        intensity = diffraction_intensity(padded, s.probe, positions, smoothing_sigma=s.sigma)
        misfits.append(np.sum((np.sqrt(intensity + floor**2) - s.amplitude[group]) ** 2))
    return np.array(misfits)


@given(SEEDS, SIGMAS)
def test_gradient_step_vanishes_on_the_truth(seed, sigma):
    s = scene(seed, sigma=sigma)
    optics = s.optics(tf.float64)
    on_truth, on_empty = (np.abs(optics.gradient_step(c, 0.05)).max() for c in (s.canvas, _empty(s)))
    # Not exactly zero: a floor under the predicted amplitude keeps the step differentiable.
    assert on_truth < 2e-3 * on_empty


@given(SEEDS, SIGMAS)
def test_gradient_step_is_the_numerical_gradient_of_numpys_misfit(seed, sigma):
    """Negative and preconditioned: undone, its product with any direction is the slope of the misfit."""
    s = scene(seed, sigma=sigma)
    canvas, rng = _empty(s), np.random.default_rng(seed)
    optics = s.optics(tf.float64)
    peak = (np.abs(s.probes) ** 2).sum(2).max((1, 2, 3))[:, None, None]
    gradient = -2 * peak * (optics.coverage.numpy() + 0.05) * optics.gradient_step(canvas, 0.05).numpy()
    direction = rng.normal(size=canvas.shape) + 1j * rng.normal(size=canvas.shape)
    ahead, behind = (_misfit(s, canvas + sign * 1e-6 * direction) for sign in (1, -1))
    product = (gradient.conj() * direction).real.sum((1, 2))
    np.testing.assert_allclose(product, (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-4)


@given(SEEDS)
def test_a_small_gradient_step_lowers_the_misfit(seed):
    s = scene(seed)
    step = s.optics(tf.float64).gradient_step(_empty(s), 0.05).numpy()
    assert (_misfit(s, _empty(s) + 0.2 * step) < _misfit(s, _empty(s))).all()


@given(SEEDS)
def test_the_gradient_of_each_group_is_its_own(seed):
    s = scene(seed, groups=3)
    together = s.optics(tf.float64).gradient_step(_empty(s), 0.05)
    for g in range(3):
        alone = s.of(g).optics(tf.float64).gradient_step(_empty(s)[[g]], 0.05)
        np.testing.assert_allclose(together[g], alone[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_the_written_out_derivative_of_a_step_is_the_automatic_one(modes, sigma):
    """With a probe that does not learn a step has a derivative of its own: same value, same way back."""
    s = scene(modes, patterns=3, modes=modes, size=8, canvas=12, sigma=sigma)
    canvas, weight = tf.constant(s.canvas[:, ::-1]), tf.constant(s.canvas[:, :, ::-1] * 1j)
    results = []
    for probes_learn in (False, True):
        optics = s.optics(tf.float64, probes_learn=probes_learn)
        with tf.GradientTape() as tape:
            tape.watch(canvas)
            step = optics.gradient_step(canvas, 0.05)
        results.append((step, tape.gradient(step, canvas, output_gradients=weight)))
    assert np.abs(results[0][1]).max() > 0.01
    for own, automatic in zip(*results, strict=True):
        np.testing.assert_allclose(own, automatic, rtol=1e-9, atol=1e-12)


def test_a_step_and_its_derivative_compile():
    s = scene(size=8, canvas=12, sigma=0.7)
    canvas = tf.constant(s.canvas[:, ::-1], tf.complex64)

    def both():
        with tf.GradientTape() as tape:
            tape.watch(canvas)
            step = s.optics().gradient_step(canvas, 0.05)
        return step, tape.gradient(step, canvas)

    for ours, plain in zip(tf.function(both, jit_compile=True)(), both(), strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_derivatives_of_the_whole_physics_are_the_numerical_ones(sigma):
    """By the canvas and by the probe, each along a direction."""
    s = scene(5, groups=1, patterns=2, modes=2, size=4, canvas=6, sigma=sigma)
    rng = np.random.default_rng(0)

    def physics(canvas, probe):
        probes = fourier_shift(probe, tf.constant(s.fractions))
        optics = GroupOptics(s.amplitude, probes, s.corners, 6, BACKGROUND, sigma, probes_learn=True)
        parts = (
            optics.intensity(canvas),
            optics.gradient_step(canvas, 0.05),
            optics.canvas_estimate(0.05),
            optics.patch_estimate(0.05),
            optics.merge(optics.patches(canvas), 1e-3),
            optics.coverage,
        )
        return tf.concat([tf.reshape(tf.cast(p, tf.complex128), [-1]) for p in parts], 0)

    inputs = [tf.constant(s.canvas * 1.1j), tf.constant(s.probe)]
    directions = [tf.constant(rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape)) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = physics(*inputs)
        weights = rng.normal(size=values.shape) + 1j * rng.normal(size=values.shape)
        total = tf.reduce_sum(tf.math.real(values * weights))
    gradients = tape.gradient(total, inputs)
    for index, (gradient, direction) in enumerate(zip(gradients, directions, strict=True)):
        ends = []
        for sign in (1, -1):
            moved = [x + sign * 1e-6 * direction if i == index else x for i, x in enumerate(inputs)]
            ends.append(np.sum((physics(*moved).numpy() * weights).real))
        slope = (ends[0] - ends[1]) / 2e-6
        assert np.vdot(gradient, direction).real == pytest.approx(slope, rel=1e-5)


# Estimates and the canvas


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_both_estimates_of_an_empty_object_are_the_empty_object(modes, sigma):
    s = scene(2, modes=modes, sigma=sigma)
    empty = np.full_like(s.canvas, BACKGROUND)
    amplitude = np.sqrt(s.optics(tf.float64).intensity(empty))
    optics = GroupOptics(amplitude, tf.constant(s.probes), s.corners, empty.shape[-1], BACKGROUND, sigma)
    for estimate in (optics.canvas_estimate(0.05), optics.patch_estimate(0.05)):
        np.testing.assert_allclose(estimate, BACKGROUND, rtol=2e-3, atol=2e-3)


@given(SEEDS, st.sampled_from([0.0, 0.7]))
def test_an_estimate_is_one_step_from_an_empty_object(seed, sigma):
    s = scene(seed, sigma=sigma)
    optics, empty = s.optics(tf.float64), np.full_like(s.canvas, BACKGROUND)
    stepped = empty + optics.gradient_step(empty, 0.05)
    np.testing.assert_allclose(optics.canvas_estimate(0.05), stepped, rtol=2e-3, atol=2e-3)


@given(SEEDS)
def test_both_estimates_equal_numpys(seed):
    s = scene(seed, sigma=0.7)
    probes, measured = s.probes, np.fft.ifftshift(s.amplitude, axes=(-2, -1))[:, :, None]
    light = smoothed(probes, 0.7)
    field = np.fft.fft2(light, norm="ortho")
    predicted = np.sqrt((np.abs(field) ** 2).sum(2, keepdims=True) + 1e-6)
    change = np.fft.ifft2(field * measured / predicted, norm="ortho") - BACKGROUND * light
    # The adjoint of a smoothing: the transpose of the matrix that it is along each axis.
    matrix = smoothed(np.eye(N)[:, None].repeat(N, 1), 0.7)[:, N // 2].real
    back = matrix @ change @ matrix.T
    peak = (np.abs(probes) ** 2).sum(2).max((1, 2, 3))[:, None, None, None]
    light = s.relative_intensity
    waves = (probes.conj() * back).sum(2) / peak + BACKGROUND * light
    optics = s.optics()
    expected = (waves + 0.05 * BACKGROUND) / (light + 0.05)
    np.testing.assert_allclose(optics.patch_estimate(0.05), expected, rtol=1e-4, atol=1e-4)
    canvas = []
    for w, i, c in zip(waves, light, s.corners + N // 2, strict=True):
        shape = s.canvas.shape[1:]
        canvas.append((place(w, c, shape) + 0.05 * BACKGROUND) / (place(i, c, shape) + 0.05))
    np.testing.assert_allclose(optics.canvas_estimate(0.05), canvas, rtol=1e-4, atol=1e-4)


@given(SEEDS)
def test_merging_the_patches_of_a_canvas_gives_it_back_where_the_probe_shone(seed):
    s = scene(seed)
    optics = s.optics(tf.float64)
    merged = optics.merge(optics.patches(s.canvas), floor=1e-12).numpy()
    coverage = optics.coverage.numpy()
    lit = coverage > 1e-4
    assert lit.any()
    np.testing.assert_allclose(merged[lit], s.canvas[lit], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(merged[coverage == 0], BACKGROUND, rtol=1e-6)


@pytest.mark.parametrize("probes_learn", [False, True])
def test_a_step_with_bad_pixels_and_stray_light_is_the_gradient_over_what_was_measured(probes_learn):
    s = scene(3)
    rng = np.random.default_rng(3)
    measured = (rng.random(s.amplitude.shape) > 0.2).astype(float)
    stray = rng.random((1, 1, *s.amplitude.shape[-2:]))
    known = {
        "measured_pixels": tf.constant(measured),
        "stray": tf.constant(stray),
        "probes_learn": probes_learn,
    }
    junk = attrs.evolve(s, amplitude=np.where(measured > 0, s.amplitude, 7 * rng.random(measured.shape)))
    canvas = tf.constant(np.full_like(s.canvas, BACKGROUND + 0.1j))
    direction = tf.constant(rng.normal(size=canvas.shape) + 1j * rng.normal(size=canvas.shape))
    step, of_junk = (scene_.optics(tf.float64, **known).gradient_step(canvas, 0.05) for scene_ in (s, junk))
    np.testing.assert_array_equal(step, of_junk)

    def misfit(objects):
        predicted = tf.sqrt(s.optics(tf.float64).intensity(objects) + stray + 1e-6)
        return tf.reduce_sum(measured * (predicted - s.amplitude) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(canvas)
        value = misfit(canvas)
    gradient = tape.gradient(value, canvas).numpy()
    optics = s.optics(tf.float64, **known)
    peak = (np.abs(s.probes) ** 2).sum(2).max((1, 2, 3))[:, None, None]
    expected = -gradient / (2 * peak * (optics.coverage.numpy() + 0.05))
    np.testing.assert_allclose(step, expected, rtol=1e-8, atol=1e-11)

    def along(objects):
        return tf.reduce_sum(tf.math.real(optics.gradient_step(objects, 0.05) * tf.math.conj(direction)))

    with tf.GradientTape() as tape:
        tape.watch(canvas)
        value = along(canvas)
    slope = (along(canvas + 1e-6 * direction) - along(canvas - 1e-6 * direction)) / 2e-6
    assert np.vdot(tape.gradient(value, canvas), direction).real == pytest.approx(float(slope), rel=1e-5)
