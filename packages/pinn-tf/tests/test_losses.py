"""The losses are the numbers of the NumPy oracle, and their derivatives are finite in the dark."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from loss_oracle import TERMS
from pinn_data.optics.forward_model import RATE_FLOOR
from pinn_tf.model.losses import LOSSES

amplitude_error = LOSSES.amplitude_error
amplitude_mae = LOSSES.amplitude_mae
phase_error = LOSSES.phase_error
poisson_deviance = LOSSES.poisson_deviance
poisson_nll = LOSSES.poisson_nll
saturated_nll = LOSSES.saturated_nll
without_mean_phase = LOSSES.without_mean_phase

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from([1e-3, 0.1, 1.0, 30.0, 1e4])
_OF_CANVASES = [name for name in TERMS if name.endswith(("variation", "deviation"))]
_OF_PATCHES = ["amplitude_error", "phase_error"]


def _gradient(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)


# Of patterns


def _draw(seed, scale):
    rng = np.random.default_rng(seed)
    rate = rng.exponential(scale, size=(2, 3, 8, 8))
    return rate, rng.poisson(rng.exponential(scale, size=rate.shape)).astype(np.float64)


@given(SEEDS, SCALES)
def test_poisson_nll_and_mae_equal_the_numpy_oracle(seed, scale):
    rate, counts = _draw(seed, scale)
    for name, ours in (("poisson_nll", poisson_nll), ("amplitude_mae", amplitude_mae)):
        theirs = TERMS[name](rate, counts)
        np.testing.assert_allclose(ours(tf.constant(rate), tf.constant(counts)), theirs, rtol=1e-10)
        single = ours(tf.constant(rate, tf.float32), tf.constant(counts, tf.float32))
        np.testing.assert_allclose(single, theirs, rtol=2e-5, atol=1e-4)


@given(SEEDS, SCALES)
def test_deviance_is_zero_on_equal_and_positive_otherwise(seed, scale):
    _, counts = _draw(seed, scale)
    k = tf.constant(counts, tf.float32)
    assert poisson_deviance(k, k) == 0
    assert poisson_deviance(1.5 * k + 0.1, k) > 0
    np.testing.assert_allclose(poisson_nll(k, k), saturated_nll(k), rtol=1e-6, atol=1e-6)


@given(SEEDS, SCALES)
def test_nll_and_deviance_have_the_derivative_of_the_likelihood(seed, scale):
    rate, counts = map(tf.constant, _draw(seed, scale))
    a = _gradient(lambda r: poisson_nll(r, counts), rate)
    b = _gradient(lambda r: poisson_deviance(r, counts), rate)
    np.testing.assert_allclose(a, b, rtol=1e-12)
    above = rate.numpy() > RATE_FLOOR
    theirs = (1 - counts / rate).numpy() / rate.numpy().size
    np.testing.assert_allclose(a.numpy()[above], theirs[above], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_are_finite_where_nothing_is_predicted_or_counted(compiled):
    rate = tf.constant([0.0, 0.0, 1e-30, 3e4, 1e9])
    counts = tf.constant([0.0, 7.0, 0.0, 0.0, 3.0])
    both = tf.function(
        lambda r: _gradient(lambda r: poisson_nll(r, counts) + amplitude_mae(r, counts), r),
        jit_compile=compiled,
    )
    assert np.isfinite(both(rate)).all()


# Of objects


def _objects(seed, shape):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape), rng.uniform(0, 1, shape) ** 4


@pytest.mark.parametrize("name", _OF_CANVASES)
@given(seed=SEEDS)
def test_terms_of_canvases_equal_the_numpy_oracle(name, seed):
    canvas, light = _objects(seed, (3, 5, 6))
    ours = getattr(LOSSES, name)(tf.constant(canvas), tf.constant(light))
    np.testing.assert_allclose(ours, TERMS[name](canvas, light), rtol=1e-9)


@pytest.mark.parametrize("name", _OF_PATCHES)
@given(seed=SEEDS)
def test_terms_of_patches_equal_the_numpy_oracle(name, seed):
    objects, light = _objects(seed, (2, 3, 4, 4))
    labels, _ = _objects(seed + 1, (2, 3, 4, 4))
    ours = getattr(LOSSES, name)
    tensors = tf.constant(objects), tf.constant(labels), tf.constant(light)
    np.testing.assert_allclose(ours(*tensors), TERMS[name](objects, labels, light), rtol=1e-9)
    np.testing.assert_allclose(ours(tensors[1], tensors[1], tensors[2]), 0, atol=1e-12)


@pytest.mark.parametrize("name", _OF_CANVASES)
def test_derivatives_of_terms_of_canvases_are_the_numerical_ones_of_numpy(name):
    canvas, light = _objects(3, (2, 4, 5))
    direction, _ = _objects(4, canvas.shape)
    gradient = _gradient(lambda o: getattr(LOSSES, name)(o, tf.constant(light)), tf.constant(canvas))
    ends = [TERMS[name](canvas + sign * 1e-6 * direction, light) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / 2e-6
    assert np.vdot(gradient, direction).real == pytest.approx(slope, rel=1e-6)


@given(SEEDS, st.floats(-9, 9))
def test_what_is_dark_does_not_count_and_a_global_phase_counts_only_against_labels(seed, angle):
    objects, light = _objects(seed, (1, 2, 4, 4))
    labels, _ = _objects(seed + 1, (1, 2, 4, 4))
    light[..., 1:] = 0
    lit, of_pixel = tf.constant(light), tf.constant(light[0] + 0.1)
    other = objects.copy()
    other[..., 1:] *= 3j
    for error in (amplitude_error, phase_error):
        np.testing.assert_allclose(error(other, labels, lit), error(objects, labels, lit), rtol=1e-9)
    turn = np.exp(1j * angle)
    for name in _OF_CANVASES:
        here, there = (
            getattr(LOSSES, name)(tf.constant(o), of_pixel) for o in (objects[0], objects[0] * turn)
        )
        np.testing.assert_allclose(there, here, rtol=1e-7)
    both = phase_error(objects * turn, labels * turn, lit)
    np.testing.assert_allclose(both, phase_error(objects, labels, lit), rtol=1e-7, atol=1e-9)


@given(SEEDS, st.floats(-9, 9))
def test_without_their_mean_phase_labels_that_differ_by_a_phase_are_the_same(seed, angle):
    labels, light = _objects(seed, (3, 2, 4, 4))
    turned = labels * np.array([1, np.exp(1j * angle), 1j])[:, None, None, None]
    first, second = (x * without_mean_phase(tf.constant(x), tf.constant(light)) for x in (labels, turned))
    np.testing.assert_allclose(second, first, atol=1e-12)
    np.testing.assert_allclose(np.abs(first), np.abs(labels), rtol=1e-12)
    total = (first * light).numpy().sum((1, 2, 3))
    assert (total.real > 0).all() and np.allclose(total.imag, 0)


@given(SEEDS)
def test_groups_together_are_the_mean_of_groups_one_by_one(seed):
    canvas, light = map(tf.constant, _objects(seed, (3, 5, 5)))
    for name in _OF_CANVASES:
        term = getattr(LOSSES, name)
        alone = np.mean([term(canvas[g : g + 1], light[g : g + 1]) for g in range(3)])
        np.testing.assert_allclose(term(canvas, light), alone, rtol=1e-9)
    objects, labels, lit = canvas[:, None], canvas[::-1, None], light[:, None]
    for error in (amplitude_error, phase_error):
        alone = [error(objects[g : g + 1], labels[g : g + 1], lit[g : g + 1]) for g in range(3)]
        np.testing.assert_allclose(error(objects, labels, lit), np.mean(alone), rtol=1e-9)


def test_what_is_dark_has_the_phase_0_and_no_phase_to_learn():
    """The derivative of a phase by its object is 1 / abs(object): at the edge of darkness it must end."""
    objects = tf.constant(np.array([0, 1e-6j, 1e-3j, 1j], np.complex64))[:, None, None, None, None]
    labels, light = tf.constant(np.full((1, 1, 1, 1), np.exp(2j)), tf.complex64), tf.ones((1, 1, 1, 1))
    errors, slopes = [], []
    for o in objects:
        errors.append(phase_error(o, labels, light))
        slopes.append(np.abs(_gradient(lambda x: phase_error(x, labels, light), o)).item())
    np.testing.assert_allclose(errors, [2.0, 2.0, 2 - np.pi / 2, 2 - np.pi / 2], rtol=1e-6)
    np.testing.assert_allclose(slopes, [0, 0, 1e3, 1], rtol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_are_finite_where_an_object_or_a_label_is_dark(compiled):
    canvas = tf.constant(np.array([[[0, 0, 1e-30], [1 + 1j, 1e-20j, -1]]], np.complex64))
    labels = tf.constant(np.array([[[[1j, 0, 1], [0, 2, 1e-30]]]], np.complex64))

    def total(canvas, light):
        parts = [getattr(LOSSES, name)(canvas, light) for name in _OF_CANVASES]
        parts += [getattr(LOSSES, name)(canvas[:, None], labels, light[:, None]) for name in _OF_PATCHES]
        return tf.add_n(parts)

    derivative = tf.function(lambda light: _gradient(lambda o: total(o, light), canvas), jit_compile=compiled)
    for light in (tf.ones((1, 2, 3)), tf.zeros((1, 2, 3))):
        assert np.isfinite(total(canvas, light))
        assert np.isfinite(derivative(light)).all()


@given(SEEDS, SCALES)
def test_pixels_that_were_not_measured_do_not_enter(seed, scale):
    """A mean over the measured pixels: that of those pixels alone, whatever lies under the others."""
    rate, counts = _draw(seed, scale)
    measured = np.random.default_rng(seed).random(rate.shape) > 0.3
    others = tf.constant(np.where(measured, counts, 12345.0))
    for term in (poisson_nll, poisson_deviance, amplitude_mae):
        ours = term(tf.constant(rate), others, tf.constant(measured.astype(np.float64)))
        alone = term(tf.constant(rate[measured]), tf.constant(counts[measured]))
        np.testing.assert_allclose(ours, alone, rtol=1e-9, atol=1e-9)
