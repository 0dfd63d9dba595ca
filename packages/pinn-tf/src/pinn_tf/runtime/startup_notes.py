"""TensorFlow starts without telling everybody about processors and absent graphics cards."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["without_notes", "without_startup_notes"]

# Severity I of absl's log (I0000 00:00:...) and of the older one (2026-01-01 10:00:00.0: I tensorflow/...).
_NOTE = re.compile(r"^(I\d{4} |\d{4}-\d\d-\d\d [\d:.]+: I )")
_ABOUT_LOGS = "WARNING: All log messages before absl::InitializeLog()"
_REST_OF_A_NOTE = "To enable the following instructions:"
_NO_DRIVER = re.compile(r"Could not find cuda drivers on your machine")
_NO_DEVICE = re.compile(r"^(E\d{4} |\d{4}-\d\d-\d\d [\d:.]+: E ).*failed call to cuInit")
# CUDA_ERROR_SHARED_OBJECT_INIT_FAILED: TensorFlow's stand-in for the driver's library, if there is none.
_NO_LIBRARY = re.compile(r"\(303\)\s*$")

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextmanager
def without_startup_notes() -> Iterator[None]:
    """A block whose C++ code may load TensorFlow: notes that it writes on standard error are left out,
    warnings and errors are not.

    Who has set ``TF_CPP_MIN_LOG_LEVEL`` sees what that lets through (0: everything). Where nobody has, it is
    1 from then on, in processes that this one starts too: no notes.
    """
    if _LEVEL in os.environ or "tensorflow" in sys.modules:
        yield
        return
    os.environ[_LEVEL] = "1"
    # TensorFlow obeys that only once it is loaded, so what comes before is read here. Not if the process dies
    # of it: then TF_CPP_MIN_LOG_LEVEL=0 shows why.
    with ExitStack() as opened:
        try:
            said = opened.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
        except OSError:  # no room for a file, or no standard error: nothing is left out
            yield
            return
        opened.callback(os.close, kept)
        _flush()
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(kept, 2)
            said.seek(0)
            os.write(2, without_notes(said.read().decode(errors="replace")).encode())


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


def without_notes(said: str) -> str:
    """What is left of a log of TensorFlow without notes.

    That CUDA cannot be started is an error, unless this machine has no driver for it, which a note may say,
    or the error itself.
    """
    lines = said.splitlines(keepends=True)
    no_driver = any(map(_NO_DRIVER.search, lines))
    return "".join(
        line
        for line in lines
        if not (
            _NOTE.match(line)
            or line.startswith((_ABOUT_LOGS, _REST_OF_A_NOTE))
            or (_NO_DEVICE.match(line) and (no_driver or _NO_LIBRARY.search(line)))
        )
    )
