"""How well frames are predicted that no step looks at, and against what that is to be judged."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import Estimate, light_on_canvas
from pinn_data.solver.problem import Problem
from pinn_data.solver.steps.sweep import DEVIANCE_FLOOR, Sweep, sweep

__all__ = [
    "enough_gain",
    "explains_enough",
    "held_out_gain",
    "held_out_misfit",
    "held_out_misfits",
    "is_worse",
    "mean_gain",
    "noise_of_a_pixel",
    "noise_of_held_out",
]

_PHOTON_NOISE = 0.25
"""Variance of the root of a count, of many counts."""
_LEAST_REST = 0.1
"""What is left besides noise, as a share of the noise, which is known no better."""
_FEWEST_TO_COMPARE = 4
_SHARE_OF_MISFIT = 0.1
_LIT = 0.1
"""Share of the most light from which on a pixel of the object counts."""


def held_out_misfits(problem: Problem, estimate: Estimate, own_parameters: int = 0) -> NDArray[np.float64]:
    """(held-out frame,) how badly each is predicted: half its Poisson deviance, or its misfit where the
    patterns are no counts.

    own_parameters : that were fitted to each of these frames: each is charged what it explains of noise alone
        (Akaike's criterion)
    """
    held = problem.held
    if len(held) == 0:
        return np.zeros(0)
    sums = sweep(problem.ops, estimate, problem.frames(estimate.size), held, noise=True)
    charge = 2 * own_parameters * noise_of_a_pixel(problem, sums, held, estimate.size)
    return (sums.deviance if problem.counts else sums.misfit)[held] + charge


def held_out_misfit(problem: Problem, estimate: Estimate, own_parameters: int = 0) -> float:
    """The sum of :func:`held_out_misfits`."""
    return float(held_out_misfits(problem, estimate, own_parameters).sum())


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
    return mean_gain(np.asarray(ops.reduce(flat))[problem.held], deviance[problem.held])


def mean_gain(flat: NDArray[np.float64], deviance: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of the gains ``flat - deviance`` of some frames, and its standard error.

    The error is that of the scatter between the frames. If every frame gains, it is at most that of counting
    noise: frames that show different things gain differently, and all of them speak for the image.

    flat, deviance : (frame,) half the Poisson deviance from the mean pattern, and from the image
    """
    gain = flat - deviance
    scatter = float(gain.std(ddof=1) / math.sqrt(len(gain)))
    if (gain <= 0).any():
        return float(gain.mean()), scatter
    # A likelihood ratio of two models that lie D apart varies by 2 D, and sqrt(D) is a distance.
    noise = float(np.sqrt(2 * np.square(np.sqrt(flat) + np.sqrt(deviance)).mean() / len(gain)))
    return float(gain.mean()), min(scatter, noise)


def is_worse(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether frames are predicted worse than before, by more than their differences scatter."""
    if len(after) < _FEWEST_TO_COMPARE:
        return False
    loss = after - before
    return bool(loss.mean() > 2 * loss.std(ddof=1) / math.sqrt(len(loss)))


def enough_gain(problem: Problem, estimate: Estimate, share: float) -> Callable[[float], float]:
    """The function from a held-out misfit to the gain for which it is worth going on.

    Noise leaves about 1/2 of misfit for each free number of the object. So the measure is a share of the lit
    pixels that there are for each frame; where the patterns are no counts, a share of the misfit itself.
    """
    if not problem.counts:
        return lambda score: share * _SHARE_OF_MISFIT * score
    light = light_on_canvas(problem.ops, estimate, problem.fitted)
    pixels = float((light > _LIT * light.max()).sum()) / len(problem.fitted)
    return lambda score: share * pixels * len(problem.held)


def explains_enough(
    problem: Problem, before: float, after: float, noise: float, *, of_all: float, of_rest: float
) -> bool:
    """Whether a change explains a share of the misfit, or a share of what is left of it besides noise: where
    photons are few, noise is most of the misfit, however wrong the model.

    before, after : misfit without and with the change
    noise : what counting noise alone would leave; of no account where the patterns are no counts
    """
    enough = of_all * before
    if problem.counts:
        enough = min(enough, of_rest * max(before - noise, _LEAST_REST * noise))
    return before - after > enough


def noise_of_held_out(problem: Problem, estimate: Estimate) -> float:
    """What counting noise alone would leave of :func:`held_out_misfit`; infinite if there are no counts."""
    if not problem.counts or not len(problem.held):
        return math.inf
    sums = sweep(problem.ops, estimate, problem.frames(estimate.size), problem.held, noise=True)
    return float(sums.deviance.sum() * min(1.0, sums.noise.sum() / max(sums.misfit.sum(), 1e-300)))


def noise_of_a_pixel(problem: Problem, sums: Sweep, numbers: NDArray[np.int64], size: int) -> float:
    """Variance of ``A - sqrt(I)`` in a pixel of some frames of a sweep (with its noise)."""
    if problem.counts:
        return _PHOTON_NOISE * max(1.0, float(sums.misfit[numbers].sum() / sums.noise[numbers].sum()))
    return float(sums.misfit[numbers].sum() / (len(numbers) * size**2))
