"""Errors that leave for another process: their classes must not drag a framework in."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["plain_errors"]

_OURS = ("pinn_", "builtins")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns an error whose class belongs to a framework into the builtin that it derives from.

    ptychodus makes the error of its child process anew in its own, and would import Lightning there for a
    class of Lightning's.
    """
    try:
        yield
    except Exception as error:
        kind = type(error)
        if kind.__module__.startswith(_OURS):
            raise
        known = next(
            (k for k in kind.__mro__ if k.__module__ == "builtins" and k not in (Exception, object)),
            RuntimeError,
        )
        # Some builtins, such as UnicodeDecodeError, cannot be made from a sentence alone.
        simple = known if issubclass(known, (ValueError, OSError, RuntimeError)) else RuntimeError
        simple = getattr(builtins, simple.__name__) if simple.__init__ is known.__init__ else RuntimeError
        raise simple(f"{kind.__name__}: {error}") from error
