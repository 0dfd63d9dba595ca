"""Full passes with Nesterov's momentum and restarts: the last, exact part of a solution.

Poisson weights and a penalty (:mod:`pinn_data.solver.steps.penalty`); the steps are those of all frames
together. Poisson weights have no bound, so with a hopeless probe the steps can diverge: then the best image
comes back.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate, light_on_canvas
from pinn_data.solver.frames import Frames
from pinn_data.solver.operations import ArrayOperations
from pinn_data.solver.steps.penalty import Edges, Penalty
from pinn_data.solver.steps.sweep import Likelihood, sweep

__all__ = ["Polish", "Polished", "polish"]

_DIVERGED = 4.0
_LARGEST_NOISE = 0.28
"""Most that counting noise adds to the misfit of a pixel: the penalty may bring an overfitted image there."""


@attrs.frozen
class Polish:
    """Settings: steps at most, likelihood and its floor, strength of the penalty, whether the probe is free,
    and the length of its steps (only every second step moves it, which is enough and saves time)."""

    steps: int
    likelihood: Likelihood = "poisson"
    floor: float = 0.05
    strength: float = 0.2
    probe: bool = True
    probe_step: float = 0.5


@attrs.frozen(eq=False)
class Polished:
    """Where a polish ended: another one can go on from there with other frames, and its momentum.

    estimate, before : the last two
    age : steps since momentum began
    edges : what the penalty knows (:class:`Penalty`)
    """

    estimate: Estimate
    before: Estimate
    age: int = 0
    edges: Edges | None = None


def polish(
    ops: ArrayOperations,
    start: Polished,
    frames: Frames,
    numbers: NDArray[np.int64],
    plan: Polish,
    between: Callable[[int, Estimate, float], Estimate | None] | None = None,
) -> Polished:
    """Where the steps lead.

    start : an estimate twice, or where another polish ended
    between : called after each step with its number, the estimate and the misfit; returns the estimate with
        which it goes on, of the same object and probe, or None to end
    """
    now, before, age = start.estimate, start.before, start.age
    light = light_on_canvas(ops, now, numbers)
    penalty = Penalty(ops, light, plan.strength, start.edges)
    step = ops.asarray(1.0 / penalty.stiffness)
    metric = ops.asarray(penalty.stiffness / penalty.stiffness.max())
    share = ops.asarray(light / light.sum())
    best, least = start.estimate, np.inf
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
            probe=plan.probe and k % 2 == 0,
        )
        misfit, counted = float(sums.misfit.sum()), float(sums.measured_counts.sum())
        if misfit < least:
            best, least = ahead, misfit
        noise = min(_LARGEST_NOISE * len(numbers) * now.size**2, counted)
        if not misfit <= _DIVERGED * max(least, noise):
            return Polished(best, best)
        image = ahead.object + ops.scale(sums.object, step)
        changes = {"spectrum": ahead.spectrum, "object": penalty.applied_to(image)}
        if sums.probe is not None:
            transmitted = float(ops.numpy(ops.sum(ops.abs2(ahead.object) * share, (0, 1))))
            changes["spectrum"] = ahead.spectrum + sums.probe * (
                plan.probe_step / (len(numbers) * transmitted)
            )
        before, now = now, attrs.evolve(now, **changes)
        # Where a step turns back, momentum has carried too far (O'Donoghue and Candes, Found. Comput. Math.
        # 15, 715, 2015).
        turn = ops.real_product(ahead.object - now.object, now.object - before.object)
        age = 0 if float(ops.numpy(ops.sum(turn * metric, (0, 1)))) > 0 else age + 1
        if between is not None:
            then = between(k, now, misfit)
            if then is None:
                break
            now = then
    return Polished(now, before, age, penalty.edges)
