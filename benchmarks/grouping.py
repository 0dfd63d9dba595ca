"""Grouping: microseconds a position, from a thousand positions to a million."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from pinn_data.grouping.groups import group

from benchmarks.clock import medians
from benchmarks.line import Line

__all__ = ["grouping"]

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_NEIGHBOURS = 7


def _positions(count: int) -> np.ndarray:
    """A jittered raster in the order of a scan, one position in every six pixels."""
    side = int(np.ceil(np.sqrt(count)))
    y, x = np.divmod(np.arange(count), side)
    return np.stack([y, x], 1) * 6.0 + np.random.default_rng(0).uniform(-2, 2, (count, 2))


def grouping(folder: Path, gridsize: int) -> list[Line]:
    """One group for each position, drawn from its 7 nearest neighbours."""
    micro, busy = {}, {}
    for count in _SIZES:
        positions = _positions(count)
        rounds = max(3, min(30, 300_000 // count))
        job = {"": lambda p=positions: group(p, gridsize, neighbor_count=_NEIGHBOURS)}
        for found, clock in ((micro, time.perf_counter), (busy, time.process_time)):
            found[count] = medians(job, rounds, 1, clock)[""] / count * 1e6
    worst = max(micro.values())
    each = ", ".join(f"{micro[n]:.2f} at 1e{len(str(n)) - 1}" for n in _SIZES)
    return [
        Line(
            f"grouping, gridsize {gridsize}, K = {_NEIGHBOURS}, worst of 1e3 to 1e6",
            f"{worst:.2f} µs a position",
            worst,
            "µs a position",
            ("<=", 3.0),
            f"{each}; at most {max(busy.values()):.2f} µs of a processor",
            numbers={"wall": micro, "processor": busy},
        )
    ]
