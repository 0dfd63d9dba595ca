"""TensorFlow itself: present and new enough, or one sentence that says how to get it."""

from __future__ import annotations

from types import ModuleType

from pinn_tf.errors import TensorFlowMissingError

__all__ = ["MINIMUM_TENSORFLOW", "require_tensorflow"]

MINIMUM_TENSORFLOW = (2, 16)


def require_tensorflow() -> ModuleType:
    """The module ``tensorflow``, with Keras 3 running on it.

    Raises
    ------
    TensorFlowMissingError (a RuntimeError)
        TensorFlow is not installed, or older than 2.16 (the first with Keras 3), or Keras was told to run on
        something else; the message says what to do.
    """
    try:
        import keras
        import tensorflow
    except (ImportError, OSError) as error:  # OSError: a shared library of it is missing
        raise TensorFlowMissingError(
            f"TensorFlow backend selected, but TensorFlow cannot be imported ({error}): install it with "
            "`pip install tensorflow>=2.16`"
        ) from error
    version = tuple(
        int("".join(c for c in part if c.isdigit()) or 0) for part in tensorflow.__version__.split(".")[:2]
    )
    if version < MINIMUM_TENSORFLOW:
        raise TensorFlowMissingError(
            f"TensorFlow backend selected, but TensorFlow {tensorflow.__version__} is too old: install a "
            "newer one with `pip install tensorflow>=2.16`"
        )
    if keras.config.backend() != "tensorflow":
        raise TensorFlowMissingError(
            f"TensorFlow backend selected, but Keras runs on {keras.config.backend()} here: start with "
            "KERAS_BACKEND=tensorflow in the environment"
        )
    return tensorflow
