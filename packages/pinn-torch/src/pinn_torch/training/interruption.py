"""Ctrl-C during a training, told to whoever called it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interrupts_reach_the_caller"]


@contextmanager
def interrupts_reach_the_caller(trainer: Any) -> Iterator[None]:
    """A block around ``Trainer.fit`` that ends with KeyboardInterrupt where the user interrupted it.

    Lightning ends the whole process in its place, with a code that says failure and with SIGINT ignored from
    then on, and before 2.5 returned as if the training were done; neither suits a notebook or a command. A
    logger that was interrupted while it wrote may fail when Lightning closes it then.
    """
    before, outer = signal.getsignal(signal.SIGINT), sys.exc_info()[1]
    try:
        yield
    except (Exception, SystemExit) as end:
        if not _came_of_an_interrupt(end, outer):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from None
    if getattr(trainer, "interrupted", False):
        raise KeyboardInterrupt


def _came_of_an_interrupt(error: BaseException | None, outer: BaseException | None) -> bool:
    """Whether it was raised while an interrupt was handled, other than one that the caller handles."""
    while error is not None and error is not outer:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False
