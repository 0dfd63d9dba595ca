"""Medians of times, taken in turn, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["medians", "peak_memory_mib"]


def medians(
    functions: Mapping[str, Callable[[], Any]],
    rounds: int,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of a call of each: all of them in turn, `rounds` times after `warm_up`.

    clock : ``time.process_time`` counts the seconds of all threads, and not those of other processes
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm_up + rounds):
        for name, function in functions.items():
            began = clock()
            function()
            spent = clock() - began
            if turn >= warm_up:
                times[name].append(spent)
    return {name: statistics.median(spent) for name, spent in times.items()}


def peak_memory_mib() -> float:
    """Most resident memory that this process had so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the memory of the parent at the fork, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
