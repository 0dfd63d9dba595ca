"""An affine error of the whole scan: scale, aspect, rotation and shear of the positions, found by trial.

Frames beside each other hardly feel such an error, and the object gives way to it, so it is found from the
misfit of a compact part that is solved anew for each map tried: a parabola along each of the four
directions, in rounds whose steps become shorter once the best map is within one step.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.journal import Journal
from pinn_data.solver.moves import Moves
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.trial import compact_frames, trial_size, try_out

__all__ = ["affine_map", "describe_map", "find_affine_map"]

_DIRECTIONS = (
    np.array([[1.0, 0.0], [0.0, 1.0]]),  # scale
    np.array([[0.0, 1.0], [-1.0, 0.0]]),  # rotation
    np.array([[1.0, 0.0], [0.0, -1.0]]),  # aspect
    np.array([[0.0, 1.0], [1.0, 0.0]]),  # shear
)
_FIRST_STEP = 0.03
_ROUNDS, _MOST_ROUNDS = 3, 7
_EPOCHS = 16


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


def find_affine_map(problem: Problem, known: Knowledge, journal: Journal) -> NDArray[np.float64]:
    """The (2, 2) map of the positions about their middle under which a compact part is explained best."""
    positions = known.moves.positions
    numbers, size = compact_frames(positions), trial_size(problem, known)
    middle = positions.mean(axis=0)
    flat = attrs.evolve(known, placed=None)

    def misfit(parameters: NDArray[np.float64]) -> float:
        moved = (positions - middle) @ affine_map(parameters).T + middle
        tried = attrs.evolve(flat, moves=Moves.none(moved))
        return try_out(problem, tried, size, numbers, _EPOCHS, 8 if problem.frees("probe") else None)[0]

    best, at = np.zeros(4), misfit(np.zeros(4))
    step, finest = _FIRST_STEP, _FIRST_STEP / 3 ** (_ROUNDS - 1)
    for done in range(_MOST_ROUNDS):
        began = best
        for k in range(4):
            move = np.eye(4)[k] * step
            low, high = misfit(best - move), misfit(best + move)
            bend = low - 2 * at + high
            # The vertex of the parabola where it has one, at most two steps away, else the better side.
            t = (low - high) / (2 * bend) if bend > 0 else float(np.sign(low - high))
            candidate = best + move * float(np.clip(t, -2.0, 2.0))
            options = [(at, best), (low, best - move), (high, best + move), (misfit(candidate), candidate)]
            at, best = min(options, key=lambda option: option[0])
            if not journal.tell("affine", 4 * done + k, 4 * _MOST_ROUNDS, None):
                return affine_map(best)
        if np.abs(best - began).max() < step:  # else it may lie further away than steps that shrink can go
            if step <= finest:
                break
            step /= 3
    return affine_map(best)
