"""TensorFlow functions for batches of any number of groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

__all__ = ["BatchFunction"]


class BatchFunction:
    """``BatchFunction(f)(fixed, *tensors)`` is ``f(*fixed, *tensors)`` as a graph.

    A graph is made once for the values in `fixed` and the shapes of the tensors beyond their first axis, so
    that a last batch with fewer groups does not need one of its own.

    compiled : XLA makes code of it, for every shape anew
    """

    def __init__(self, function: Callable[..., Any], *, compiled: bool = False) -> None:
        self._function, self._compiled = function, compiled
        self._made: dict[Any, Any] = {}

    def __call__(self, fixed: tuple[Any, ...], *tensors: Any) -> Any:
        """tensors : tensors, or dictionaries of them"""
        signature = tf.nest.map_structure(_any_length, list(tensors))
        key = (fixed, str(signature))
        if key not in self._made:
            self._made[key] = tf.function(
                partial(self._function, *fixed), input_signature=signature, jit_compile=self._compiled
            )
        return self._made[key](*tensors)

    def clear(self) -> None:
        """Let go of the graphs now, which are in a circle with what they were made from."""
        self._made.clear()


def _any_length(tensor: tf.Tensor) -> tf.TensorSpec:
    shape = tensor.shape if tensor.shape.rank == 0 else [None, *tensor.shape[1:]]
    return tf.TensorSpec(shape, tensor.dtype)
