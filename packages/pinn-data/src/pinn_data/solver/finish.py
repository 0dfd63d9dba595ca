"""The end of the recipe: the polish, with moves of the positions and another look for bad pixels between."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate
from pinn_data.solver.held_out import (
    enough_gain,
    held_out_misfit,
    held_out_misfits,
    is_worse,
    misfit_ratio,
    noise_of_held_out,
)
from pinn_data.solver.journal import Journal
from pinn_data.solver.polish import Polish, Polished, polish
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.stages import move_positions, without_bad_pixels
from pinn_data.solver.sweep import sweep

__all__ = ["UNEXPLAINED", "finish"]

UNEXPLAINED = 1.1
"""Misfit over that of counting noise, from which on something may be left to find."""
_STEPS, _CHECK = 60, 2
_GAIN = 0.002
"""See :func:`enough_gain`: of the steps between two checks."""
_AGE = 4
"""The stages before are as good as this many steps: momentum need not begin at nothing."""
_MOVES, _STEPS_BEFORE_A_MOVE = 8, 3
"""At most. An image without the noise of the stages before tells positions better."""
_SHORTEST_MOVE_PX = 0.02
"""Root mean square of the last move that is worth its time."""
_LEFT_BY_A_MOVE = 0.985
_GAIN_OF_A_FAULT = 0.016
"""Share of what is left besides counting noise: where the model is at fault, more of it can always be fitted,
and the image is no better for it."""
_FAULTY = 1.25
"""Misfit of held-out frames over that of counting noise, from which on the model is at fault; the noise of a
faultless image makes it 1.1."""
_LAST_STEPS, _MANY = 2, 512
"""With all frames; one is enough where many frames were there before."""


def finish(problem: Problem, known: Knowledge, journal: Journal) -> tuple[Knowledge, Estimate, Estimate]:
    """What is known, the estimate that never saw the held-out frames, and the last one."""
    ops, frames = problem.ops, problem.frames(problem.N)
    if journal.ended:
        now = problem.at_level(known, problem.N)
        return known, now, now
    scores: list[NDArray[np.float64]] = []
    start = problem.at_level(known, problem.N)
    wanted = enough_gain(problem, start, _GAIN)
    noise = noise_of_held_out(problem, start)
    done = 0

    def fault_of_the_model(misfit: float) -> float:
        return misfit - noise if misfit > _FAULTY * noise else 0.0

    def told(step: int, estimate: Estimate, misfit: float) -> bool:
        nonlocal done
        done += 1  # of all polishes
        return journal.tell("polish", min(done, _STEPS) - 1, _STEPS, misfit, estimate)

    def between(step: int, estimate: Estimate, misfit: float) -> bool:
        goes_on = told(step, estimate, misfit)
        if step % _CHECK == _CHECK - 1 and len(problem.held):
            scores.append(held_out_misfits(problem, estimate))
            if len(scores) > 1:
                goes_on = goes_on and not is_worse(*scores[-2:])
            if len(scores) > 2:  # one check more: what is slow gains little at first
                gain = float(scores[-3].sum() - scores[-1].sum())
                now = float(scores[-1].sum())
                goes_on = goes_on and gain > max(wanted(now), _GAIN_OF_A_FAULT * fault_of_the_model(now))
        return goes_on

    plan = Polish(_STEPS, "poisson" if problem.counts else "amplitude", probe=problem.frees("probe"))
    journal.part(0.98)
    begun = Polished(start, start, age=_AGE)
    few = attrs.evolve(plan, steps=_STEPS_BEFORE_A_MOVE)
    asked = not journal.hurried and problem.frees("positions") and len(problem.held) > 0
    for _ in range(_MOVES if asked else 0):
        begun = polish(ops, begun, frames, problem.fitted, few, told)
        last, scores[:] = scores[-1:], [held_out_misfits(problem, begun.estimate)]
        if journal.ended or journal.hurried:
            break
        after = float(scores[0].sum())
        fault = fault_of_the_model(after)
        if last and fault and float(last[0].sum()) - after < _GAIN_OF_A_FAULT * fault:
            break
        if "positions" not in known.kept and not _small_moves_help(problem, known, begun.estimate, journal):
            break
        then, moved = move_positions(problem, known, begun.estimate, problem.order, 0.5)
        length = _length(then.moves.moves - known.moves.moves)
        known = attrs.evolve(then, kept=known.kept | {"positions"})
        before = attrs.evolve(begun.before, positions=moved.positions)
        begun = attrs.evolve(begun, estimate=moved, before=before)
        if length < _SHORTEST_MOVE_PX:
            break
    unseen = polish(ops, begun, frames, problem.fitted, plan, between)
    looked = without_bad_pixels(problem, known, journal, unseen.estimate)  # a finished image tells them best
    worse = (looked.bad_pixels & ~known.bad_pixels).any()  # what turns out good is left to the last steps
    known = looked
    unseen = attrs.evolve(
        unseen,
        estimate=problem.masked(unseen.estimate, known.bad_pixels),
        before=problem.masked(unseen.before, known.bad_pixels),
    )
    if worse:
        scores[:] = [held_out_misfits(problem, unseen.estimate)]
        unseen = polish(ops, unseen, frames, problem.fitted, plan, between)
    if not len(problem.held) or journal.ended:
        return known, unseen.estimate, unseen.estimate
    journal.part(1.0)
    last = attrs.evolve(plan, steps=1 if problem.n > _MANY else _LAST_STEPS, probe=False)
    end = polish(ops, unseen, frames, problem.order, last)
    return known, unseen.estimate, end.estimate


def _small_moves_help(problem: Problem, known: Knowledge, estimate: Estimate, journal: Journal) -> bool:
    """Whether a step of the positions of the held-out frames predicts these better, parameters charged."""
    sums = sweep(problem.ops, estimate, problem.frames(problem.N), problem.sample, noise=True)
    if misfit_ratio(problem, sums) < UNEXPLAINED:
        return False
    moves, moved = move_positions(problem, known, estimate, problem.held, 0.5)
    before = held_out_misfit(problem, estimate)
    after = held_out_misfit(problem, moved, 2)
    keep = after < _LEFT_BY_A_MOVE * before
    steps = (moves.moves.moves - known.moves.moves)[problem.held]
    journal.say(
        f"small moves of the positions ({_length(steps):.2f} px): held-out misfit {before:.4g} without, "
        f"{after:.4g} with, {'kept' if keep else 'not kept'}"
    )
    return keep


def _length(moves: NDArray[np.float64]) -> float:
    """Root mean square length of moves (n, 2)."""
    return math.sqrt(np.square(moves).sum(axis=1).mean())
