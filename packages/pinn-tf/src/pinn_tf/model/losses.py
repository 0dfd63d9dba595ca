"""The loss functions (`pinn_data.learning.loss_functions`) on TensorFlow."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from pinn_data.learning.loss_functions import LossFunctions

__all__ = ["LOSSES"]


class _Operations:
    real = staticmethod(tf.math.real)
    imag = staticmethod(tf.math.imag)
    conj = staticmethod(tf.math.conj)
    unit = staticmethod(tf.sign)
    abs = staticmethod(tf.abs)
    sqrt = staticmethod(tf.sqrt)
    xlogy = staticmethod(tf.math.xlogy)
    arctan2 = staticmethod(tf.atan2)
    at_least = staticmethod(tf.maximum)
    smaller = staticmethod(tf.minimum)
    where = staticmethod(tf.where)
    ones_like = staticmethod(tf.ones_like)
    mean = staticmethod(tf.reduce_mean)

    def weighted(self, z: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return z * tf.cast(x, z.dtype)

    def sum(self, values: tf.Tensor, axes: tuple[int, ...] | None = None, *, keep: bool = False) -> tf.Tensor:
        return tf.reduce_sum(values, axes, keepdims=keep)

    def flat(self, values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, [tf.shape(values)[0], -1])

    def join(self, parts: list[tf.Tensor]) -> tf.Tensor:
        return tf.concat(parts, 1)

    def tiny(self, x: tf.Tensor) -> float:
        return float(np.finfo(x.dtype.as_numpy_dtype).tiny)


LOSSES = LossFunctions(_Operations())
