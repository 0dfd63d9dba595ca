"""The smoothing of exit waves: the NumPy oracle's, and its exact adjoint."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.optics import smoothing as oracle
from pinn_tf.optics.smoothing import smoothed, smoothed_back

SEEDS, SIGMAS = st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.8, 2.5])
SHAPES = st.sampled_from([(2, 3, 5, 8), (6, 4), (1, 2, 2)])


def _waves(seed, shape):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=shape) + 1j * rng.normal(size=shape))


@given(SEEDS, SHAPES, SIGMAS)
def test_it_is_the_numpy_oracles(seed, shape, sigma):
    waves = _waves(seed, shape)
    np.testing.assert_allclose(smoothed(waves, sigma), oracle.smoothed(waves, sigma), atol=1e-13)


@given(SEEDS, SHAPES, SIGMAS)
def test_the_way_back_is_the_adjoint(seed, shape, sigma):
    a, b = _waves(seed, shape), _waves(seed + 1, shape)
    there, back = np.vdot(smoothed(a, sigma), b), np.vdot(a, smoothed_back(b, sigma))
    np.testing.assert_allclose(there, back, rtol=1e-12, atol=1e-12)


@given(SEEDS, SHAPES, SIGMAS)
def test_automatic_differentiation_goes_the_same_way_back(seed, shape, sigma):
    a, b = _waves(seed, shape), _waves(seed + 1, shape)
    with tf.GradientTape() as tape:
        tape.watch(a)
        forth = smoothed(a, sigma)
    gradient = tape.gradient(forth, a, output_gradients=b)
    np.testing.assert_allclose(gradient, smoothed_back(b, sigma), rtol=1e-12, atol=1e-12)
