"""Real numbers among complex ones."""

from __future__ import annotations

import tensorflow as tf

from pinn_tf.optics.derivatives import with_derivative

__all__ = ["as_complex"]


def as_complex(x: tf.Tensor) -> tf.Tensor:
    """Real numbers as complex ones of their precision.

    ``tf.cast`` does that too, but on the way back it warns of the imaginary part of a gradient, which a real
    number has not: ``<as_complex(x), y> = <x, real(y)>``.
    """
    dtype = tf.complex128 if x.dtype == tf.float64 else tf.complex64
    return with_derivative(lambda value: (tf.cast(value, dtype), tf.math.real), x)
