"""Real numbers become complex ones, and the way back is the adjoint, without a warning."""

from __future__ import annotations

import logging

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from pinn_tf.optics.complex_numbers import as_complex


@given(st.integers(0, 2**32 - 1), st.sampled_from([tf.float32, tf.float64]))
def test_the_way_back_is_the_adjoint(seed, dtype):
    rng = np.random.default_rng(seed)
    x = tf.constant(rng.normal(size=5), dtype)
    y = rng.normal(size=5) + 1j * rng.normal(size=5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = as_complex(x)
        product = tf.math.real(tf.reduce_sum(tf.constant(y.conj(), z.dtype) * z))
    np.testing.assert_array_equal(z.numpy(), x.numpy())
    np.testing.assert_allclose(tape.gradient(product, x).numpy(), y.real, rtol=1e-6)


def test_nothing_is_said_of_imaginary_parts(caplog):
    @tf.function
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            size = tf.abs(as_complex(x) * tf.constant(1j, tf.complex64)) ** 2
        return tape.gradient(size, x)

    with caplog.at_level(logging.WARNING, logger="tensorflow"):
        assert float(slope(tf.constant(1.5))) == 3.0
    assert caplog.records == []
