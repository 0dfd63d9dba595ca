"""TensorFlow and Keras: present, new enough and made for each other, or one sentence that says what to do."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from pinn_tf.errors import TensorFlowMissingError
from pinn_tf.runtime.private_symbols import private_symbols
from pinn_tf.runtime.startup_notes import without_startup_notes

__all__ = ["MINIMUM_KERAS", "MINIMUM_TENSORFLOW", "require_tensorflow"]

MINIMUM_TENSORFLOW, MINIMUM_KERAS = (2, 16), (3, 6)

_SELECTED = "TensorFlow backend selected, but"


def require_tensorflow() -> ModuleType:
    """The module ``tensorflow``, with Keras on top of it.

    Raises
    ------
    TensorFlowMissingError (a RuntimeError)
        TensorFlow or Keras is not installed, or too old; Keras runs, or was told to run, on another backend.
        The message says what to do.
    """
    _refuse_another_backend(os.environ.get("KERAS_BACKEND"))
    if sys.modules.get("tensorflow") is None or sys.modules.get("keras") is None:
        with private_symbols(), without_startup_notes():
            _imported("tensorflow", MINIMUM_TENSORFLOW)
            _imported_keras()
            # Which devices there are is found out once, and told on standard error.
            sys.modules["tensorflow"].config.list_physical_devices()
    tensorflow, keras = (
        _imported("tensorflow", MINIMUM_TENSORFLOW),
        _imported("keras", MINIMUM_KERAS),
    )
    _refuse_another_backend(keras.config.backend())
    return tensorflow


def _refuse_another_backend(name: str | None) -> None:
    if name not in (None, "", "tensorflow"):
        raise TensorFlowMissingError(
            f"{_SELECTED} Keras runs on {name!r} in this process: set the environment variable "
            "KERAS_BACKEND=tensorflow before Python starts, or unset it"
        )


def _imported_keras() -> ModuleType:
    # Which backend Keras takes is decided when it is imported, and a file in the user's home may name
    # another.
    given = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        return _imported("keras", MINIMUM_KERAS)
    finally:
        if given is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = given


def _imported(name: str, minimum: tuple[int, int]) -> ModuleType:
    title = {"tensorflow": "TensorFlow", "keras": "Keras"}[name]
    install = f"pip install {name}>={'.'.join(map(str, minimum))}"
    try:
        __import__(name)
    except (ImportError, OSError) as error:  # OSError: a shared library of it is missing
        raise TensorFlowMissingError(
            f"{_SELECTED} {title} cannot be imported ({error}): install it with `{install}`"
        ) from error
    module = sys.modules[name]
    version = tuple(
        int("".join(c for c in part if c.isdigit()) or 0)
        for part in module.__version__.split("+")[0].split(".")[:2]
    )
    if version < minimum:
        raise TensorFlowMissingError(
            f"{_SELECTED} {title} {module.__version__} is too old: install a newer one with `{install}`"
        )
    return module
