"""Functions with derivatives of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

try:
    from tensorflow.python.eager.record import record_operation
except ImportError:  # not part of TensorFlow's public names
    record_operation = None

__all__ = ["with_derivative"]

Back = Callable[[tf.Tensor], tf.Tensor]


def with_derivative(function: Callable[[tf.Tensor], tuple[tf.Tensor, Back]], x: tf.Tensor) -> tf.Tensor:
    """``function(x)[0]``, whose derivative along a tape is ``function(x)[1]``: from the gradient by the
    result to that by x.

    As ``tf.custom_gradient(function)(x)``, but that keeps a graph in which it was called for ever: it enters
    each derivative into a list for all of TensorFlow, from which nothing is taken. A program that trains
    again and again would grow by every graph. Where a whole graph is differentiated from without, the
    derivative is that of the operations in `function`, which must be the same.
    """
    if record_operation is None or tf.executing_eagerly():
        return tf.custom_gradient(function)(x)
    value, back = function(x)
    result = tf.identity(value)

    def derivative(gradient: tf.Tensor) -> list[Any]:
        return [None, back(gradient)]  # nothing by way of what `function` did

    record_operation("WithDerivative", [result], [value, x], derivative)
    return result
