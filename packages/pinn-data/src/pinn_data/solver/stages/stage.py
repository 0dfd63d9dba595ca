"""Stages of the recipe: descent at one level, with everything that is corrected between its epochs."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate, light_on_canvas
from pinn_data.solver.held_out import enough_gain, explains_enough, held_out_misfit, noise_of_a_pixel
from pinn_data.solver.journal import Journal
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.steps.descent import Descent, descend
from pinn_data.solver.steps.penalty import Penalty
from pinn_data.solver.steps.sweep import sweep
from pinn_data.solver.unknowns.bad_pixels import find_bad_pixels, suspect_pixels
from pinn_data.solver.unknowns.intensity import corrected_intensity

__all__ = ["Stage", "move_positions", "positions_are_doubtful", "run_stage", "without_bad_pixels"]

_FRAMES_OF_BACKGROUND = 64
_RELAX = 1.8
"""Steps of positions and object take turns, so each falls short of where both are going."""
_STRENGTH = 1.0
"""Of the penalty that is applied after each epoch: stronger than that of the polish, because the steps with
momentum are longer and leave more noise."""


@attrs.frozen
class Stage:
    """How a level is worked on.

    name : for the journal
    epochs : at most
    check : epochs after which it is judged
    gain : the stage ends when the misfit falls by less than this share
    absolute : the stage ends when the gain is less than :func:`enough_gain` of this; 0: `gain` counts
    least : epochs before which it does not end
    probe_from, probe_every : epoch that frees the probe, if it may be refined; see :class:`Descent`
    looking : whether bad pixels are looked for after the second epoch
    moving, brightening : whether positions, intensities of frames are corrected after each epoch
    momentum : of the descent
    """

    name: str
    epochs: int
    check: int = 4
    gain: float = 0.005
    absolute: float = 0.0
    least: int = 0
    probe_from: int = 0
    probe_every: int = 1
    looking: bool = False
    moving: bool = False
    brightening: bool = False
    momentum: float = 0.9


def run_stage(problem: Problem, known: Knowledge, size: int, stage: Stage, journal: Journal) -> Knowledge:
    """What is known after a stage: the best of its checks. Whole patterns are judged by the held-out frames,
    if there are any, a coarse level by the misfit of the fitted ones. Nothing is done once the journal has
    ended."""
    if journal.ended:
        return known
    ops, frames = problem.ops, problem.frames(size)
    best: tuple[float, Estimate | None, Knowledge] = (math.inf, None, known)
    now = known
    most = problem.most_background(known)
    start = problem.at_level(known, size)
    wanted = enough_gain(problem, start, stage.absolute) if stage.absolute else None
    least = max(stage.least - 1, stage.probe_from + stage.check)
    penalty = Penalty(ops, light_on_canvas(ops, start, problem.fitted), _STRENGTH)

    def between(epoch: int, estimate: Estimate, misfit: float) -> Estimate | None:
        nonlocal now, best
        estimate = attrs.evolve(estimate, object=penalty.applied_to(estimate.object))
        if problem.frees("background") and epoch % 2 == 1:
            part = problem.subsets[epoch // 2 % len(problem.subsets)]
            some = part[:: max(1, len(part) // _FRAMES_OF_BACKGROUND)]
            pixels = sweep(ops, estimate, frames, some, pixels=True).pixels
            assert pixels is not None
            step = float(pixels.slope.sum() / max(pixels.curvature.sum(), 1e-12))  # Fisher's scoring
            now = attrs.evolve(now, background=min(max(0.0, now.background + step), most))
            estimate = attrs.evolve(estimate, background=problem.background(now, size))
        if stage.looking and epoch == 1:
            now = without_bad_pixels(problem, now, journal, estimate)
            estimate = problem.masked(estimate, now.bad_pixels)
            best = math.inf, None, now
        if stage.moving and epoch % 2 == 0:
            now, estimate = move_positions(problem, now, estimate, problem.order, 1.0 if epoch == 0 else 0.5)
        if stage.brightening:
            sums = sweep(ops, estimate, frames, problem.order)
            now = attrs.evolve(now, intensity=corrected_intensity(now.intensity, sums, problem.order))
            estimate = attrs.evolve(estimate, intensity=now.intensity)
        goes_on = journal.tell(stage.name, epoch, stage.epochs, misfit, estimate)
        last = epoch == stage.epochs - 1
        if epoch % stage.check == stage.check - 1 or last or not goes_on:
            score = held_out_misfit(problem, estimate) if len(problem.held) and size == problem.N else misfit
            needed = stage.gain * min(best[0], 1e300) if wanted is None else wanted(score)
            enough = score > best[0] - needed and epoch >= least
            if score < best[0] or best[1] is None:
                best = score, estimate, now
            if enough or not goes_on:
                return None
        return estimate

    probe_from = stage.probe_from if problem.frees("probe") else None
    plan = Descent(stage.epochs, probe_from, stage.probe_every, stage.momentum)
    last = descend(ops, start, frames, problem.subsets, plan, between)
    _, estimate, then = best
    return problem.learned(*((now, last) if estimate is None else (then, estimate)))


def without_bad_pixels(problem: Problem, known: Knowledge, journal: Journal, estimate: Estimate) -> Knowledge:
    """The same, with the pixels left out that the estimate, of the whole patterns, cannot explain."""
    if not problem.frees("bad-pixels") or journal.ended or journal.hurried:
        return known
    everything = problem.masked(estimate, np.zeros_like(known.bad_pixels))
    sums = sweep(problem.ops, everything, problem.frames(problem.N), problem.sample, pixels=True)
    assert sums.pixels is not None
    found = find_bad_pixels(sums.pixels, suspect_pixels(problem.statistics))
    journal.energy = problem.energy(found)
    return attrs.evolve(known, bad_pixels=found)


def positions_are_doubtful(problem: Problem, known: Knowledge, size: int) -> bool:
    """Whether one step of the positions explains more than it does at nearly all exact ones: there 3 % of
    the misfit and a tenth of what is left besides noise; where they are 1 px off, twice as much and more."""
    some, here = problem.sample, problem.at_level(known, size)
    _, moved = move_positions(problem, known, here, some, 1.0)
    now, then = (sweep(problem.ops, one, problem.frames(size), some, noise=True) for one in (here, moved))
    before, after, noise = (float(values.sum()) for values in (now.misfit, then.misfit, now.noise))
    return explains_enough(problem, before, after, noise, of_all=0.05, of_rest=0.15)


def move_positions(
    problem: Problem, known: Knowledge, estimate: Estimate, numbers: NDArray[np.int64], limit: float
) -> tuple[Knowledge, Estimate]:
    """One step of the positions; a frame that would leave the canvas stays where it is."""
    sums = sweep(problem.ops, estimate, problem.frames(estimate.size), numbers, moves=True, noise=True)
    assert sums.moves is not None
    noise = noise_of_a_pixel(problem, sums, numbers, estimate.size)
    step = known.moves.step(sums.moves, numbers, estimate.scale, noise, limit)
    further = known.moves.moves + _RELAX * (step.moves - known.moves.moves)
    moves = attrs.evolve(step, moves=further).centred()
    moved = attrs.evolve(estimate, positions=moves.positions)
    corners, _ = moved.corners(np.arange(problem.n))
    outside = np.any((corners < 0) | (corners > np.asarray(estimate.shape) - estimate.size), axis=1)
    if outside.any():
        kept = np.where(outside[:, None], estimate.positions - moves.start, moves.moves)
        moves = attrs.evolve(moves, moves=kept)
        moved = attrs.evolve(estimate, positions=moves.positions)
    return attrs.evolve(known, moves=moves), moved
