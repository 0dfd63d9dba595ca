"""One run at a time, which any thread may cancel, and whose errors any process can take.

No signals: a run may be in any thread. A framework's error becomes one of ours, because a class that drags a
framework into the process that unpickles it, or that cannot be unpickled at all, would hang a program that
waits for its child.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pinn_data.command.plain_errors import plain_errors
from pinn_data.progress.reports import Cancel, CancelledError, Progress, Watcher

from pinn_dispatch.errors import BackendRunError, BusyError

__all__ = ["CancelToken", "RunControl"]


class CancelToken(Protocol):
    """A `threading.Event`, a `multiprocessing.Event`, or anything else with this method."""

    def is_set(self) -> bool:
        """Whether the run is to stop."""


class RunControl:
    """Lets one run through at a time. Pickled, it is one without a run."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._cancelled = threading.Event()
        self._what = ""

    def __reduce__(self) -> Any:
        return RunControl, ()

    @property
    def is_running(self) -> bool:
        return self._busy.locked()

    def cancel(self) -> bool:
        """Stop the run that is at work, after its current batch; whether there was one."""
        running = self.is_running
        if running:
            self._cancelled.set()
        return running

    @contextmanager
    def run(self, what: str, on_progress: Watcher | None, token: CancelToken | None) -> Iterator[Watcher]:
        """A block that is the one run; it gets what its backend is to tell.

        what : 'training' or 'reconstruction', for messages

        Raises
        ------
        BusyError (a RuntimeError)
            Another one is at work.
        CancelledError (a RuntimeError)
            `token` was set before it began.
        BackendRunError (a RuntimeError), MemoryError
            In place of a framework's own error.
        """
        if not self._busy.acquire(blocking=False):
            raise BusyError(
                f"a {self._what} is already running: wait for it, cancel() it, or use another Reconstructor "
                f"for this {what}"
            )
        try:
            self._what = what
            self._cancelled.clear()

            def wanted() -> bool:
                return not self._cancelled.is_set() and not (token is not None and token.is_set())

            def watcher(progress: Progress) -> object:
                answer = None if on_progress is None else on_progress(progress)
                return answer if wanted() else Cancel

            if not wanted():
                raise CancelledError(f"the {what} was cancelled before it began")
            with plain_errors(BackendRunError):
                yield watcher
        finally:
            self._busy.release()
