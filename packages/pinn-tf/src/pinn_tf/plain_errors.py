"""Errors that leave this package: their classes must not drag a framework in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["plain_errors"]

_FRAMEWORKS = ("tensorflow", "keras")
_OUT_OF_MEMORY = "ResourceExhaustedError"


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns an error whose class belongs to a framework into a builtin one that says the same.

    ptychodus makes the error of its child process anew in its own, and would import TensorFlow there for a
    class of TensorFlow's.
    """
    try:
        yield
    except Exception as error:
        kind = type(error)
        if kind.__module__.partition(".")[0] not in _FRAMEWORKS:
            raise
        first = str(error).strip().partition("\n")[0]
        if kind.__name__ == _OUT_OF_MEMORY:
            raise MemoryError(
                f"TensorFlow ran out of memory ({first}): lower batch_size (inference_batch_size in a "
                "reconstruction), or choose accelerator='cpu'"
            ) from error
        known = next(
            (k for k in (ValueError, TypeError, KeyError, OSError) if isinstance(error, k)), RuntimeError
        )
        raise known(f"{kind.__name__}: {first}") from error
