"""An affine error of the whole scan: scale, aspect, rotation and shear of the positions, found by trial.

Frames beside each other hardly feel such an error, and the object gives way to it, so it is found from the
misfit of a compact part that is solved anew for each map tried: a parabola along each of the four
directions, in rounds whose steps become shorter once the best map is within one step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.estimate import light_on_canvas
from pinn_data.solver.held_out import noise_of_a_pixel
from pinn_data.solver.journal import Journal
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.steps.sweep import sweep
from pinn_data.solver.trial import compact_frames, trial_size, try_out
from pinn_data.solver.unknowns.moves import Moves

__all__ = ["affine_map", "describe_map", "find_affine_map"]

_DIRECTIONS = (
    np.array([[1.0, 0.0], [0.0, 1.0]]),  # scale
    np.array([[0.0, 1.0], [-1.0, 0.0]]),  # rotation
    np.array([[1.0, 0.0], [0.0, -1.0]]),  # aspect
    np.array([[0.0, 1.0], [1.0, 0.0]]),  # shear
)
_LIT = 0.1
"""Share of the most light from which on a pixel of the object counts."""


@attrs.frozen
class _Part:
    """Of the search: size of the patterns over that of a trial, frames, epochs, steps, rounds at most."""

    times: int
    frames: int
    epochs: int
    steps: tuple[float, ...]
    rounds: int


# The central part of the patterns tells maps apart roughly: there one object may pass for another.
_PARTS = (_Part(1, 120, 16, (0.03, 0.01), 5), _Part(2, 60, 32, (0.02, 0.01), 3))


def affine_map(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 2) matrix of (scale, rotation, aspect, shear): the identity plus a share of each direction."""
    return np.eye(2) + sum(p * d for p, d in zip(parameters, _DIRECTIONS, strict=True))


def describe_map(matrix: NDArray[np.float64]) -> str:
    """An affine map in words."""
    scale = (matrix[0, 0] + matrix[1, 1]) / 2
    rotation = np.degrees((matrix[0, 1] - matrix[1, 0]) / 2)
    aspect = (matrix[0, 0] - matrix[1, 1]) / 2
    shear = (matrix[0, 1] + matrix[1, 0]) / 2
    return f"scale {scale:.4f}, rotation {rotation:.2f} degrees, aspect {1 + aspect:.4f}, shear {shear:.4f}"


def find_affine_map(problem: Problem, known: Knowledge, journal: Journal) -> tuple[NDArray[np.float64], int]:
    """The (2, 2) map of the positions about their middle under which a compact part is explained best, and
    the size of the patterns that told it."""
    sizes = [min(part.times * trial_size(problem, known), problem.N) for part in _PARTS]
    best, done, most = np.zeros(4), 0, 4 * sum(part.rounds for part in _PARTS)
    for part, size in zip(_PARTS, sizes, strict=True):
        misfit = partial(_misfit, problem, known, part, size)
        at, steps = misfit(best), list(part.steps)
        for _ in range(part.rounds):
            began = best
            for k in range(4):
                at, best = _along(misfit, at, best, np.eye(4)[k] * steps[0])
                done += 1
                if not journal.tell("affine", done - 1, most, None):
                    return affine_map(best), sizes[-1]
            if np.abs(best - began).max() < steps[0]:  # else it may lie further than steps that shrink can go
                steps.pop(0)
            if not steps:
                break
    return affine_map(best), sizes[-1]


def _along(
    misfit: Callable[[NDArray[np.float64]], float],
    at: float,
    best: NDArray[np.float64],
    move: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """The least misfit along one direction, and its parameters.

    at : misfit of the parameters `best`
    """
    low, high = misfit(best - move), misfit(best + move)
    bend = low - 2 * at + high
    # The vertex of the parabola where it has one, at most two steps away, else the better side.
    t = (low - high) / (2 * bend) if bend > 0 else float(np.sign(low - high))
    candidate = best + move * float(np.clip(t, -2.0, 2.0))
    options = [(at, best), (low, best - move), (high, best + move), (misfit(candidate), candidate)]
    return min(options, key=lambda option: option[0])


def _misfit(
    problem: Problem, known: Knowledge, part: _Part, size: int, parameters: NDArray[np.float64]
) -> float:
    """Misfit of the frames of a part of the search, and a charge for the pixels of the object (Akaike):
    a map that spreads the frames gives them more pixels, which explain more noise."""
    positions = known.moves.positions
    middle, numbers = positions.mean(axis=0), compact_frames(positions, part.frames)
    moved = (positions - middle) @ affine_map(parameters).T + middle
    tried = attrs.evolve(known, placed=None, moves=Moves.none(moved))
    _, end = try_out(problem, tried, size, numbers, part.epochs, 8 if problem.frees("probe") else None)
    sums = sweep(problem.ops, end, problem.frames(size), numbers, noise=True)
    light = light_on_canvas(problem.ops, end, numbers)
    pixels = np.minimum(light / (_LIT * light.max()), 1.0).sum()
    return float(sums.misfit.sum() + 4 * pixels * noise_of_a_pixel(problem, sums, numbers, size))
