"""Full passes with Nesterov's momentum and restarts: the last, exact part of a solution.

Poisson weights and a penalty (:mod:`pinn_data.solver.penalty`); the steps are those of all frames together.
Poisson weights have no bound, so with a hopeless probe the steps can diverge: then the best image comes back.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate, light_on_canvas
from pinn_data.solver.frames import Frames
from pinn_data.solver.operations import ArrayOperations
from pinn_data.solver.penalty import Penalty
from pinn_data.solver.sweep import Likelihood, sweep

__all__ = ["Polish", "polish"]

_DIVERGED = 4.0
_LARGEST_NOISE = 0.28
"""Most that counting noise adds to the misfit of a pixel: the penalty may bring an overfitted image there."""


@attrs.frozen
class Polish:
    """Settings: steps at most, likelihood and its floor, penalty (strength, edge), damping of the steps."""

    steps: int
    likelihood: Likelihood = "poisson"
    floor: float = 0.05
    strength: float = 0.3
    edge: float = 0.01
    damping: float = 0.1
    probe: bool = True
    probe_step: float = 0.5


def polish(
    ops: ArrayOperations,
    start: Estimate,
    frames: Frames,
    numbers: NDArray[np.int64],
    plan: Polish,
    between: Callable[[int, Estimate, float], bool] | None = None,
) -> Estimate:
    """The estimate after the steps.

    between : called after each step with its number, the estimate and the misfit; False ends the stage
    """
    light = light_on_canvas(ops, start, numbers)
    stiffness = light + plan.damping * light.max()
    step = ops.asarray(1.0 / stiffness)
    penalty = Penalty(ops, light, stiffness, plan.strength, plan.edge) if plan.strength else None
    share = ops.asarray(light / light.sum())
    now, before, age, last = start, start, 0, np.inf
    best, least = start, np.inf
    for k in range(plan.steps):
        beta = age / (age + 3.0)
        ahead = attrs.evolve(
            now,
            object=now.object + (now.object - before.object) * beta,
            spectrum=now.spectrum + (now.spectrum - before.spectrum) * beta,
        )
        sums = sweep(
            ops,
            ahead,
            frames,
            numbers,
            likelihood=plan.likelihood,
            floor=plan.floor,
            object=True,
            probe=plan.probe,
        )
        misfit, counted = float(sums.misfit.sum()), float(sums.measured_counts.sum())
        if misfit < least:
            best, least = ahead, misfit
        noise = min(_LARGEST_NOISE * len(numbers) * start.size**2, counted)
        if not misfit <= _DIVERGED * max(least, noise):
            return best
        image = ahead.object + ops.scale(sums.object, step)
        changes = {"object": image if penalty is None else penalty.applied_to(image)}
        if plan.probe:
            transmitted = float(ops.numpy(ops.sum(ops.abs2(ahead.object) * share, (0, 1))))
            changes["spectrum"] = ahead.spectrum + sums.probe * (
                plan.probe_step / (len(numbers) * transmitted)
            )
        before, now = now, attrs.evolve(now, **changes)
        age = 0 if misfit > last else age + 1
        last = misfit
        if between is not None and not between(k, now, misfit):
            break
    return now
