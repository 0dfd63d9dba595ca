"""Which exit code an exception means, and the one sentence for it."""

from __future__ import annotations

import errno

from pinn_dispatch.errors import BackendUnavailableError

__all__ = ["BAD_INPUT", "FAILED", "INTERRUPTED", "explained"]

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130

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


def explained(error: Exception) -> tuple[int, str]:
    """(exit code, sentence) for an exception.

    The packages of this project raise a `ValueError` or an `OSError` of their own for what the user gave,
    with a sentence that says what to do; so those are bad input. The file system's own complaint about a path
    is, too. Everything else is a failure.
    """
    ours = type(error).__module__.partition(".")[0].startswith("pinn_")
    sentence = " ".join(str(error).split())
    if ours and isinstance(error, (ValueError, OSError)):
        return BAD_INPUT, sentence
    if ours or isinstance(error, BackendUnavailableError):
        return FAILED, sentence
    if isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
        if error.errno in _PATH_TROUBLE and error.filename is not None:
            return (
                BAD_INPUT,
                f"{error.filename} cannot be used ({reason}): check the path and its permissions",
            )
        return FAILED, f"the system refused ({reason}): free space or memory and try again"
    if isinstance(error, MemoryError):
        return (
            FAILED,
            "there is not enough memory: choose a smaller part of the scan with --region, or a smaller batch",
        )
    what = f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__
    return FAILED, f"{what} (an error of pinn itself, not of the input: --debug shows where)"
