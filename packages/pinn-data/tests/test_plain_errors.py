"""Errors that another process receives: no framework's class leaves, and what it says does."""

import subprocess

import numpy as np
import pytest
from pinn_data.command.plain_errors import plain_errors
from pinn_data.errors import ShapeError


def framework_error(name, bases, module):
    return type(name, bases, {"__module__": module})("why\nand more")


@pytest.mark.parametrize(
    ("bases", "kind"),
    [
        ((RuntimeError,), RuntimeError),
        ((Exception,), RuntimeError),
        ((ValueError,), ValueError),
        ((TypeError,), TypeError),
        ((KeyError,), LookupError),
        ((FileNotFoundError,), OSError),
        ((ModuleNotFoundError,), ImportError),
    ],
)
@pytest.mark.parametrize("module", ["lightning.fabric.utilities", "keras.src.errors", "torch", "tensorflow"])
def test_an_error_of_a_framework_becomes_the_builtin_one_that_it_derives_from(bases, kind, module):
    error = framework_error("Odd", bases, module)
    with pytest.raises(kind) as caught, plain_errors():
        raise error
    assert type(caught.value) is kind and caught.value.__cause__ is error
    assert str(caught.value).startswith("Odd: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["OutOfMemoryError", "ResourceExhaustedError"])
@pytest.mark.parametrize("replacement", [None, LookupError])
def test_memory_that_has_run_out_is_a_memory_error_of_every_framework(name, replacement):
    with pytest.raises(MemoryError, match="lower batch_size"), plain_errors(replacement):
        raise framework_error(name, (RuntimeError,), "torch")


def test_a_caller_may_choose_the_class():
    with pytest.raises(LookupError, match="Odd: why"), plain_errors(LookupError):
        raise framework_error("Odd", (ValueError,), "keras")


@pytest.mark.parametrize(
    "error",
    [
        ShapeError("a"),
        KeyError("b"),
        UnicodeDecodeError("utf-8", b"a", 0, 1, "why"),
        np.linalg.LinAlgError("c"),
        subprocess.TimeoutExpired("d", 1),
        KeyboardInterrupt(),
    ],
)
def test_errors_that_every_process_knows_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, plain_errors():
        raise error
    assert caught.value is error
