"""Ctrl-C during a training, told to whoever called it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interrupts_reach_the_caller"]


@contextmanager
def interrupts_reach_the_caller(trainer: Any) -> Iterator[None]:
    """A block around ``Trainer.fit`` that ends with KeyboardInterrupt where the user interrupted it.

    Lightning ends the whole process in its place, with a code that says failure and with SIGINT ignored from
    then on, and before 2.5 returned as if the training were done; neither suits a notebook or a command.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from None
    if getattr(trainer, "interrupted", False):
        raise KeyboardInterrupt
