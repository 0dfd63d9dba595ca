"""Stages of the recipe: descent at one level, with everything that is corrected between its epochs."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.descent import Descent, descend
from pinn_data.solver.estimate import Estimate
from pinn_data.solver.intensity import corrected_intensity
from pinn_data.solver.journal import Journal
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.sweep import DEVIANCE_FLOOR, Sweep, sweep

__all__ = ["Stage", "first_move", "held_out_gain", "held_out_misfit", "misfit_ratio", "run_stage"]

_PHOTON_NOISE = 0.25
"""Variance of the root of a count, of many counts."""


@attrs.frozen
class Stage:
    """How a level is worked on.

    name : for the journal
    epochs : at most
    check : epochs after which the held-out frames are looked at
    gain : the stage ends when they are predicted better by less than this share
    probe_from : epoch that frees the probe, if it may be refined
    moving, brightening : whether positions, intensities of frames are corrected after each epoch
    momentum : of the descent
    """

    name: str
    epochs: int
    check: int = 4
    gain: float = 0.005
    probe_from: int = 0
    moving: bool = False
    brightening: bool = False
    momentum: float = 0.9


def run_stage(problem: Problem, known: Knowledge, size: int, stage: Stage, journal: Journal) -> Knowledge:
    """What is known after a stage: the best of its checks, by the held-out frames, or by the misfit of the
    fitted ones where none are held out. Nothing is done once the journal has ended."""
    if journal.ended:
        return known
    ops, frames = problem.ops, problem.frames(size)
    best: tuple[float, Estimate | None, Knowledge] = (math.inf, None, known)
    now = known
    most = problem.most_background(known)

    def between(epoch: int, estimate: Estimate, misfit: float) -> Estimate | None:
        nonlocal now, best
        if problem.frees("background") and epoch % 2 == 1:
            part = problem.subsets[epoch // 2 % len(problem.subsets)]
            sums = sweep(ops, estimate, frames, part, pixels=True).pixels
            assert sums is not None
            step = float(sums.slope.sum() / max(sums.curvature.sum(), 1e-12))  # Fisher's scoring
            now = attrs.evolve(now, background=min(max(0.0, now.background + step), most))
            estimate = attrs.evolve(estimate, background=problem.background(now, size))
        if stage.moving and epoch % 2 == 0:
            now, estimate = _move(problem, now, estimate, problem.order, 1.0 if epoch == 0 else 0.5)
        if stage.brightening:
            sums = sweep(ops, estimate, frames, problem.order)
            now = attrs.evolve(now, intensity=corrected_intensity(now.intensity, sums, problem.order))
            estimate = attrs.evolve(estimate, intensity=now.intensity)
        goes_on = journal.tell(stage.name, epoch, stage.epochs, misfit, estimate)
        last = epoch == stage.epochs - 1
        if epoch % stage.check == stage.check - 1 or last or not goes_on:
            score = held_out_misfit(problem, estimate) if len(problem.held) else misfit
            enough = score > (1 - stage.gain) * best[0]
            if score < best[0] or best[1] is None:
                best = score, estimate, now
            if enough or not goes_on:
                return None
        return estimate

    plan = Descent(stage.epochs, stage.probe_from if problem.frees("probe") else None, stage.momentum)
    last = descend(ops, problem.at_level(known, size), frames, problem.subsets, plan, between)
    _, estimate, then = best
    return problem.learned(*((now, last) if estimate is None else (then, estimate)))


def first_move(problem: Problem, known: Knowledge, size: int) -> float:
    """How far one step moves the positions, object pixels, root mean square: at exact ones what an image that
    is not finished makes of them, about 0.1."""
    moved, _ = _move(problem, known, problem.at_level(known, size), problem.order, 1.0)
    return float(np.sqrt(np.square(moved.moves.moves - known.moves.moves).sum(axis=1).mean()))


def _move(
    problem: Problem, known: Knowledge, estimate: Estimate, numbers: NDArray[np.int64], limit: float
) -> tuple[Knowledge, Estimate]:
    """One step of the positions; a frame that would leave the canvas stays where it is."""
    sums = sweep(problem.ops, estimate, problem.frames(estimate.size), numbers, moves=True, noise=True)
    assert sums.moves is not None
    noise = _noise_of_a_pixel(problem, sums, numbers, estimate.size)
    moves = known.moves.step(sums.moves, numbers, estimate.scale, noise, limit).centred()
    moved = attrs.evolve(estimate, positions=moves.positions)
    corners, _ = moved.corners(np.arange(problem.n))
    outside = ((corners < 0) | (corners > np.asarray(estimate.shape) - estimate.size)).any(axis=1)
    if outside.any():
        kept = np.where(outside[:, None], estimate.positions - moves.start, moves.moves)
        moves = attrs.evolve(moves, moves=kept)
        moved = attrs.evolve(estimate, positions=moves.positions)
    return attrs.evolve(known, moves=moves), moved


def _noise_of_a_pixel(problem: Problem, sums: Sweep, numbers: NDArray[np.int64], size: int) -> float:
    if problem.counts:
        return _PHOTON_NOISE * max(1.0, float(sums.misfit[numbers].sum() / sums.noise[numbers].sum()))
    return float(sums.misfit[numbers].sum() / (len(numbers) * size**2))


def held_out_misfit(problem: Problem, estimate: Estimate, own_parameters: int = 0) -> float:
    """How badly the held-out frames are predicted: half their Poisson deviance, or their misfit where the
    patterns are no counts.

    own_parameters : that were fitted to each of these frames: each is charged what it explains of noise alone
        (Akaike's criterion)
    """
    held = problem.held
    if len(held) == 0:
        return 0.0
    sums = sweep(problem.ops, estimate, problem.frames(estimate.size), held, noise=True)
    charge = 2 * own_parameters * len(held) * _noise_of_a_pixel(problem, sums, held, estimate.size)
    return float((sums.deviance if problem.counts else sums.misfit).sum()) + charge


def held_out_gain(
    problem: Problem, deviance: NDArray[np.float64], bad_pixels: NDArray[np.bool_]
) -> tuple[float, float]:
    """By how much more likely an image makes a held-out frame than the mean pattern does, which is what no
    object at all predicts: (mean of the gains in half the Poisson deviance, its standard error).

    deviance : (n,) of the held-out frames
    bad_pixels : (N, N) that no marker told, zero frequency at [0, 0]

    NaN where the patterns are no counts, or fewer than three frames were held out.
    """
    if not problem.counts or len(problem.held) < 3:
        return math.nan, math.nan
    ops, floor = problem.ops, DEVIANCE_FLOOR
    mean = np.maximum(problem.statistics.mean, 1e-6)
    good = problem.measured(problem.N, bad_pixels)
    flat = np.zeros(problem.n)
    for numbers, amplitude, measured in problem.frames(problem.N).blocks(problem.held):
        counts = np.square(np.asarray(ops.numpy(amplitude), np.float64))
        surplus = counts + floor
        values = 0.5 * (mean - counts + surplus * np.log(surplus / (mean + floor))) * good
        flat[numbers] = (values if measured is None else values * ops.numpy(measured)).sum(axis=(1, 2))
    gain = (np.asarray(ops.reduce(flat)) - deviance)[problem.held]
    return float(gain.mean()), float(gain.std(ddof=1) / math.sqrt(len(gain)))


def misfit_ratio(problem: Problem, estimate: Estimate, numbers: NDArray[np.int64]) -> float:
    """Misfit of some frames over what counting noise alone would leave; not defined where there are no
    counts, and then infinite."""
    if not problem.counts:
        return math.inf
    sums = sweep(problem.ops, estimate, problem.frames(estimate.size), numbers, noise=True)
    return float(sums.misfit.sum() / max(sums.noise.sum(), 1e-12))
