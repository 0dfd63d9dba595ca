"""Lines of text for whoever watches a run without a terminal: in a log of a cluster, or in a file."""

from __future__ import annotations

import time
from collections.abc import Callable

from pinn_data.progress.reports import Progress, Watcher

__all__ = ["progress_lines"]

_SECONDS = 3.0


def progress_lines(write: Callable[[str], object], seconds: float = _SECONDS) -> Watcher:
    """A watcher that hands on what it is told as a line, the first and the last at once, others every few
    seconds."""
    told: float | None = None

    def watch(progress: Progress) -> None:
        nonlocal told
        now = time.perf_counter()
        if told is None or progress.finished or now - told >= seconds:
            write(str(progress))
            told = now

    return watch
