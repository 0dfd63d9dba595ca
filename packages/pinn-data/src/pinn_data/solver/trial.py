"""Short solutions of a compact part of a scan: what tells one hypothesis from another within a second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate
from pinn_data.solver.frames import even_order
from pinn_data.solver.problem import Knowledge, Problem, subsets_of
from pinn_data.solver.steps.descent import Descent, descend
from pinn_data.solver.steps.sweep import sweep

__all__ = ["compact_frames", "trial_size", "try_out"]

_FRAMES = 120


def compact_frames(positions: NDArray[np.float64], count: int = _FRAMES) -> NDArray[np.int64]:
    """The frames nearest to the middle of the scan, along a curve through them as `even_order` has it.

    Neighbours are what a hypothesis is tested on, so a compact part says as much as the whole.
    """
    distance = np.square(positions - np.median(positions, axis=0)).sum(axis=1)
    near = np.sort(np.argsort(distance, kind="stable")[:count])
    return near[even_order(positions[near])]


def trial_size(problem: Problem, known: Knowledge) -> int:
    """The level of a trial: the coarsest of at least 32 pixels that holds nine tenths of the light."""
    size = problem.N
    while size >= 64 and problem.light_within(half := 2 * round(size / 4), known) > 0.9:
        size = half
    return size


def try_out(
    problem: Problem,
    known: Knowledge,
    size: int,
    numbers: NDArray[np.int64],
    epochs: int,
    probe_from: int | None = None,
) -> tuple[float, Estimate]:
    """(R of those frames after some epochs, the estimate)."""
    frames = problem.frames(size)
    subsets = subsets_of(numbers)
    start = problem.at_level(known, size, numbers)
    end = descend(problem.ops, start, frames, subsets, Descent(epochs, probe_from))
    sums = sweep(problem.ops, end, frames, numbers)
    return float(np.sqrt(sums.misfit.sum() / max(sums.measured_counts.sum(), 1e-300))), end
