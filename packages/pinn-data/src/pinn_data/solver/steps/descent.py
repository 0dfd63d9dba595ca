"""Ordered subsets with momentum: the fast way to an image (before the polish).

A step takes the descent of one subset of the frames, each covering the field evenly, divided by the light of
that subset (``coverage + damping * max(coverage)``), with constant momentum. Where an epoch makes the misfit
worse, the image of the epoch before comes back with less momentum, more damping and shorter steps of the
probe; after `_GIVE_UP` such steps back the stage ends with the best image it had, so it cannot loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate, light_on_canvas
from pinn_data.solver.frames import Frames
from pinn_data.solver.operations import Array, ArrayOperations
from pinn_data.solver.steps.sweep import Likelihood, sweep

__all__ = ["Descent", "descend"]

_PROBE_STEP = 0.3
_POWER_OF_A_SHARE, _LONGEST = 0.75, 8.0
_GIVE_UP = 4
_WORSE = 1.01
_STEPS_HOLD = 4
"""Epochs for which a free probe changes the light on the canvas too little to matter."""


@attrs.frozen
class Descent:
    """Settings of a stage.

    epochs : passes over the frames, at most
    probe_from : the first epoch that frees the probe; None keeps it
    probe_every : how many subsets go by for each step of a free probe; the object moves with each
    momentum, damping : see the module
    """

    epochs: int
    probe_from: int | None = None
    probe_every: int = 1
    momentum: float = 0.9
    damping: float = 0.3
    likelihood: Likelihood = "amplitude"


def descend(
    ops: ArrayOperations,
    start: Estimate,
    frames: Frames,
    subsets: Sequence[NDArray[np.int64]],
    plan: Descent,
    between: Callable[[int, Estimate, float], Estimate | None] | None = None,
) -> Estimate:
    """The estimate after a stage.

    between : called after each epoch with its number, the estimate and the misfit of the epoch; what it
        returns goes on (background, positions, ...); None ends the stage. Not called where an epoch is taken
        back: then positions, background and the like stay as they are
    """
    now = start
    momentum, damping, probe_step = plan.momentum, plan.damping, _PROBE_STEP
    moving: tuple[Array, Array] | None = None
    kept, kept_misfit, returns = start, np.inf, 0
    steps: list[Array] | None = None
    for epoch in range(plan.epochs):
        free = plan.probe_from is not None and epoch >= plan.probe_from
        if steps is None or (free and epoch % _STEPS_HOLD == 0):
            steps, coverage = _steps(ops, now, subsets, damping)
        velocity, probe_velocity = (now.object * 0.0, now.spectrum * 0.0) if moving is None else moving
        longer = _longer_for_weak_modes(ops, now.spectrum) if free else None
        misfit = 0.0
        before = now
        for k, (numbers, step) in enumerate(zip(subsets, steps, strict=True)):
            turning = free and (k + epoch) % plan.probe_every == 0
            sums = sweep(ops, now, frames, numbers, likelihood=plan.likelihood, object=True, probe=turning)
            misfit += float(sums.misfit.sum())
            velocity = velocity * momentum + ops.scale(sums.object, step)
            changes = {"object": now.object + velocity}
            if turning:
                transmitted = _mean_transmission(ops, now.object, coverage)
                turn = ops.scale(sums.probe, longer) * (probe_step / (len(numbers) * transmitted))
                probe_velocity = probe_velocity * momentum + turn
                changes["spectrum"] = now.spectrum + probe_velocity
            now = attrs.evolve(now, **changes)
        moving = velocity, probe_velocity
        if not misfit <= _WORSE * kept_misfit:
            returns += 1
            # What `between` found stays, for its caller goes on from there.
            now = attrs.evolve(now, object=kept.object, spectrum=kept.spectrum)
            moving, steps = None, None
            # An epoch of shorter steps may be above one of longer steps.
            kept_misfit = np.inf
            momentum, damping = max(momentum - 0.1, 0.5), damping * 1.5
            probe_step *= 0.5
            if returns >= _GIVE_UP:
                break
            continue
        kept, kept_misfit = before, misfit
        if between is not None:
            changed = between(epoch, now, misfit)
            if changed is None:
                break
            if changed is not now:
                now = changed
    return now


def _longer_for_weak_modes(ops: ArrayOperations, spectrum: Array) -> Array:
    """What steps of the modes are multiplied with: a weak one bends the misfit less, by its share of the
    light on average, but where it is alone in a pixel as much as a strong one."""
    energy = ops.numpy(ops.sum(ops.abs2(spectrum), (1, 2)))
    longer = (energy.max() / np.maximum(energy, 1e-300)) ** _POWER_OF_A_SHARE
    return ops.asarray(np.minimum(longer, _LONGEST)[:, None, None])


def _steps(
    ops: ArrayOperations, estimate: Estimate, subsets: Sequence[NDArray[np.int64]], damping: float
) -> tuple[list[Array], Array]:
    """What each subset's descent is multiplied with, and the light of all."""
    coverages = [light_on_canvas(ops, estimate, numbers) for numbers in subsets]
    total = sum(coverages[1:], coverages[0])
    least = damping * total.max() / len(subsets)
    return [ops.asarray(1.0 / (coverage + least)) for coverage in coverages], ops.asarray(total / total.sum())


def _mean_transmission(ops: ArrayOperations, image: Array, coverage: Array) -> float:
    """``|object|**2`` averaged over the light."""
    return float(ops.numpy(ops.sum(ops.abs2(image) * coverage, (0, 1))))
