"""What follows the convolutions of a network, by the names in its description."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

__all__ = ["ACTIVATIONS"]

ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "linear": lambda x: x,
    "relu": tf.nn.relu,
    "sigmoid": tf.math.sigmoid,
    # Not tf.nn.silu, which keeps every graph in which it was called for ever.
    "swish": lambda x: x * tf.math.sigmoid(x),
    "softplus": tf.math.softplus,
    "pi_tanh": lambda x: math.pi * tf.math.tanh(x),
}
