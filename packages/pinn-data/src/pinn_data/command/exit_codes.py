"""The exit code of a command for an exception, and the one sentence that explains it."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import NoReturn

__all__ = ["BAD_INPUT", "FAILED", "INTERRUPTED", "TERMINATED", "end_now", "explained"]

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells report it
TERMINATED = 143  # the same of SIGTERM, so that a scheduler sees its own signal and not a failure

_PATH_TROUBLE = {
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def explained(error: Exception, command: str, *, smaller: str) -> tuple[int, str]:
    """(exit code, sentence) for an exception that ended `command`.

    The packages of this project raise a `ValueError` or an `OSError` of their own for what the user gave,
    with a sentence that says what to do; so those are bad input. The file system's own complaint about a path
    is, too. Everything else is a failure.

    smaller : what to choose where memory is short
    """
    ours = type(error).__module__.partition(".")[0].startswith("pinn_")
    sentence = " ".join(str(error).split())
    if ours:
        return (BAD_INPUT if isinstance(error, (ValueError, OSError)) else FAILED), sentence
    # Of a GPU: PyTorch's class of that name, which this package does not import.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return FAILED, f"there is not enough memory: choose {smaller}"
    if isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
        if error.errno in _PATH_TROUBLE and error.filename is not None:
            return (
                BAD_INPUT,
                f"{error.filename} cannot be used ({reason}): check the path and its permissions",
            )
        return FAILED, f"the system refused ({reason}): free space or memory and try again"
    what = f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__
    return FAILED, f"{what} (an internal error of {command}, not of the input: --debug shows where)"


def end_now(code: int) -> NoReturn:
    """End the process of a command that was asked to stop, now, with this exit code.

    The interpreter's own end would wait for, or crash with, threads of a framework that were in the middle of
    something, and the exit code would then be theirs.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            if stream is not None:
                stream.flush()
    os._exit(code)
