"""The end of the recipe: the polish, with moves of the positions and another look for bad pixels between."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate
from pinn_data.solver.held_out import (
    enough_gain,
    held_out_misfits,
    is_worse,
    noise_of_held_out,
)
from pinn_data.solver.journal import Journal
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.stages.stage import move_positions, without_bad_pixels
from pinn_data.solver.steps.polish import Polish, Polished, polish

__all__ = ["finish"]

_STEPS, _CHECK = 60, 3
_GAIN = 0.003
"""See :func:`enough_gain`: of the steps between three checks."""
_AGE = 4
"""The stages before are as good as this many steps: momentum need not begin at nothing."""
_MOVES = 8
"""At most, one after each check: an image without the noise of the stages before tells positions better."""
_SHORTEST_MOVE_PX = 0.02
"""Root mean square of the last move that is worth its time."""
_GAIN_OF_A_MOVE = 0.015
"""Share of the held-out misfit that the first one must explain."""
_GAIN_OF_A_FAULT = 0.008
"""Share of what is left besides counting noise, of the steps between two checks: where the model is at fault,
more of it can always be fitted, and the image is no better for it."""
_FAULTY = 1.25
"""Misfit of held-out frames over that of counting noise, from which on the model is at fault; the noise of a
faultless image makes it 1.1."""
_LAST_STEPS, _MANY = 2, 512
"""With all frames; one is enough where many frames were there before."""


def finish(problem: Problem, known: Knowledge, journal: Journal) -> tuple[Knowledge, Estimate, Estimate]:
    """What is known, the estimate that never saw the held-out frames, and the last one."""
    ops, frames = problem.ops, problem.frames(problem.N)
    start = problem.at_level(known, problem.N)
    if journal.ended:
        return known, start, start
    plan = Polish(_STEPS, "poisson" if problem.counts else "amplitude", probe=problem.frees("probe"))
    journal.part(0.98)
    course = _Course(problem, known, journal, start)
    unseen = polish(ops, Polished(start, start, age=_AGE), frames, problem.fitted, plan, course.between)
    known = course.known
    looked = without_bad_pixels(problem, known, journal, unseen.estimate)  # a finished image tells them best
    worse = (looked.bad_pixels & ~known.bad_pixels).any()  # what turns out good is left to the last steps
    known = course.known = looked
    unseen = attrs.evolve(
        unseen,
        estimate=problem.masked(unseen.estimate, known.bad_pixels),
        before=problem.masked(unseen.before, known.bad_pixels),
    )
    if worse:
        course.begin(unseen.estimate)
        unseen = polish(ops, unseen, frames, problem.fitted, plan, course.between)
        known = course.known
    if not len(problem.held) or journal.ended:
        return known, unseen.estimate, unseen.estimate
    journal.part(1.0)
    last = attrs.evolve(plan, steps=1 if problem.n > _MANY else _LAST_STEPS, probe=False)
    end = polish(ops, unseen, frames, problem.order, last)
    return known, unseen.estimate, end.estimate


class _Course:
    """What is judged and changed between the steps of the polish.

    known : with the positions of the last move
    """

    def __init__(self, problem: Problem, known: Knowledge, journal: Journal, start: Estimate) -> None:
        self.known = known
        self._problem, self._journal = problem, journal
        self._wanted = enough_gain(problem, start, _GAIN)
        self._noise = noise_of_held_out(problem, start)
        self._moves = _MOVES if problem.frees("positions") and not journal.hurried else 0
        self._steps = 0
        self.begin(start)

    def begin(self, estimate: Estimate) -> None:
        """Another course: what was gained before does not count."""
        self._scores = [held_out_misfits(self._problem, estimate)]

    def between(self, step: int, estimate: Estimate, misfit: float) -> Estimate | None:
        """The estimate with which it goes on; see :func:`polish`."""
        journal = self._journal
        self._steps += 1  # of all polishes
        if not journal.tell("polish", min(self._steps, _STEPS) - 1, _STEPS, misfit, estimate):
            return None
        if step % _CHECK < _CHECK - 1 or not len(self._problem.held):
            return estimate
        self._scores.append(held_out_misfits(self._problem, estimate))
        moving = self._moves > 0 and "positions" in self.known.kept
        if self._goes_on():
            return self._moved(estimate) if moving else estimate
        if moving or not self._moves or not self._moves_help(estimate):
            return None
        estimate = self._moved(estimate)
        self.begin(estimate)
        return estimate

    def _goes_on(self) -> bool:
        if is_worse(*self._scores[-2:]):
            return False
        if len(self._scores) < 3:  # what is slow gains little at first
            return True
        first, before, now = (float(scores.sum()) for scores in self._scores[-3:])
        fault = now - self._noise if now > _FAULTY * self._noise else 0.0
        # The probe moves in every second step, so one check in two gains less.
        return first - now > self._wanted(now) and (not fault or before - now > _GAIN_OF_A_FAULT * fault)

    def _moved(self, estimate: Estimate) -> Estimate:
        problem, known = self._problem, self.known
        then, moved = move_positions(problem, known, estimate, problem.order, 0.5)
        length = _length(then.moves.moves - known.moves.moves)
        self.known = attrs.evolve(then, kept=known.kept | {"positions"})
        self._moves = self._moves - 1 if length > _SHORTEST_MOVE_PX else 0
        return moved

    def _moves_help(self, estimate: Estimate) -> bool:
        """Whether a step of the positions of the held-out frames predicts these better, parameters charged.

        Asked when the polish gains no more: an image on its way gains by any freedom.
        """
        problem, known = self._problem, self.known
        moves, moved = move_positions(problem, known, estimate, problem.held, 0.5)
        scores = self._scores[-1], held_out_misfits(problem, moved, 2)
        before, after = (float(each.sum()) for each in scores)
        keep = before - after > _GAIN_OF_A_MOVE * before and is_worse(scores[1], scores[0])
        if keep:  # else nothing was wrong: that is the rule, and not worth a sentence
            steps = (moves.moves.moves - known.moves.moves)[problem.held]
            self._journal.say(
                f"small moves of the positions ({_length(steps):.2f} px): held-out misfit {before:.4g} "
                f"without, {after:.4g} with, kept"
            )
        return keep


def _length(moves: NDArray[np.float64]) -> float:
    """Root mean square length of moves (n, 2)."""
    return math.sqrt(np.square(moves).sum(axis=1).mean())
