"""Errors that leave the package belong to no framework: a client makes them anew where there is none."""

from __future__ import annotations

import pytest
import tensorflow as tf
from pinn_tf.errors import NotFiniteError, TensorFlowRunError
from pinn_tf.plain_errors import plain_errors


class _Keras(ValueError):
    """Stands for an error class of Keras that is a ValueError too."""

    __module__ = "keras.src.errors"


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            tf.errors.InternalError(None, None, "a kernel failed\nand more"),
            RuntimeError,
            "InternalError: a kernel failed",
        ),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
            MemoryError,
            "lower batch_size",
        ),
        (_Keras("a shape"), ValueError, "_Keras: a shape"),
    ],
)
def test_an_error_of_a_framework_becomes_a_builtin_one(error, kind, says):
    with pytest.raises(kind) as caught, plain_errors():
        raise error
    assert type(caught.value) is kind and says in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [TensorFlowRunError("a"), NotFiniteError("b"), KeyError("c"), OSError("d")])
def test_our_errors_and_builtin_ones_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, plain_errors():
        raise error
    assert caught.value is error


def test_an_interruption_is_no_error():
    with pytest.raises(KeyboardInterrupt), plain_errors():
        raise KeyboardInterrupt
