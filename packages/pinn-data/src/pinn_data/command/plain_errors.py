"""Errors that another process can take: their classes must not drag a framework in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["plain_errors"]

# Classes that are wherever this project is.
_PLAIN = {"builtins", "numpy", *sys.stdlib_module_names}
_OURS = ("pinn_", "ptycho")
_OUT_OF_MEMORY = ("OutOfMemoryError", "ResourceExhaustedError")


@contextmanager
def plain_errors(replacement: type[Exception] | None = None) -> Iterator[None]:
    """Replace an error whose class belongs to a framework by one that says the same in its first line.

    A program such as ptychodus receives the error of a child process and makes it anew in its own process. A
    class of Lightning or Keras would import its framework there; one that cannot be unpickled would leave
    the program waiting.

    Parameters
    ----------
    replacement : the class of the new error; None: the builtin class that the framework's own derives from

    Raises
    ------
    MemoryError
        In place of any framework's error for memory that has run out.
    """
    try:
        yield
    except Exception as error:
        kind = type(error)
        package = kind.__module__.partition(".")[0]
        if package in _PLAIN or package.startswith(_OURS):
            raise
        first = str(error).strip().partition("\n")[0]
        if kind.__name__ in _OUT_OF_MEMORY:
            raise MemoryError(
                f"the device ran out of memory ({first}): lower batch_size (inference_batch_size in a "
                "reconstruction), or choose accelerator='cpu'"
            ) from error
        raise (replacement or _builtin_of(error))(f"{kind.__name__}: {first}") from error


def _builtin_of(error: Exception) -> type[Exception]:
    known = (ValueError, TypeError, LookupError, OSError, ImportError, NotImplementedError)
    return next((k for k in known if isinstance(error, k)), RuntimeError)
