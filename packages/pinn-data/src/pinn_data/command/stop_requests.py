"""Requests that a command stops: SIGINT (Ctrl-C), and SIGTERM of `kill`, `timeout` or a scheduler.

Both are a KeyboardInterrupt where the program is, so that files which are being written go again and folders
which were made for nothing too. What tells them apart afterwards is the exit code.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from pinn_data.command.exit_codes import INTERRUPTED, TERMINATED

__all__ = ["StopRequest", "heed_lost_request", "stop_requests_heeded", "stop_requests_noted"]

_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class StopRequest:
    """Which request came, if any: a library may have made another exception of the KeyboardInterrupt, or have
    lost it."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.only_noted = False
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """130, or 143 after SIGTERM."""
        return INTERRUPTED if self.signal is None else _CODES[signal.Signals(self.signal)]

    @property
    def came(self) -> bool:
        """Whether there was one."""
        return self.signal is not None

    def ignore_more(self) -> None:
        """What is left to be done takes no time, and must not be stopped halfway."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def _take(self, number: int, _: FrameType | None) -> None:
        first = self.signal is None
        self.signal = number
        if not (self.only_noted and first):
            self.only_noted = False
            raise KeyboardInterrupt


_HEEDED: ContextVar[StopRequest | None] = ContextVar("_HEEDED", default=None)


def heed_lost_request() -> None:
    """Raises KeyboardInterrupt within `stop_requests_heeded` after a request.

    For long work to call between its parts, because who was at work when it came may have lost it: C++ that
    calls back into Python prints the exception and goes on.
    """
    request = _HEEDED.get()
    if request is not None and request.came and not request.only_noted:
        raise KeyboardInterrupt


@contextmanager
def stop_requests_heeded() -> Iterator[StopRequest]:
    """A block in which SIGTERM raises KeyboardInterrupt as SIGINT does.

    A signal that somebody handles otherwise, or that is ignored (a shell starts background jobs so, without
    SIGINT), stays as it is; in a thread that is not the main one nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is threading.main_thread():
        for number in _CODES:
            if signal.getsignal(number) in _DEFAULTS:
                request._before[number] = signal.signal(number, request._take)
    token = _HEEDED.set(request)
    try:
        yield request
    finally:
        _HEEDED.reset(token)
        for changed, handler in request._before.items():
            signal.signal(changed, handler)


@contextmanager
def stop_requests_noted() -> Iterator[StopRequest]:
    """A block within `stop_requests_heeded` whose first request is only noted, for work that looks at `came`
    now and then and ends with what it has; a second one raises KeyboardInterrupt, as do all after the block.

    Outside of `stop_requests_heeded` it changes nothing, and no request ever comes.
    """
    request = _HEEDED.get() or StopRequest()
    request.only_noted = True
    try:
        yield request
    finally:
        request.only_noted = False
