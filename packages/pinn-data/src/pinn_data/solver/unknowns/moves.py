"""Positions: Gauss-Newton steps that move no frame further than its noise allows."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.steps.sweep import MoveSums

__all__ = ["Moves"]

_LEVENBERG = 1e-3
_LARGEST_SPREAD = 4.0  # object pixels


@attrs.frozen(eq=False)
class Moves:
    """How far the frames are from where the stage was sent.

    start : (n, 2) float64, object pixels
    moves : (n, 2) float64, their mean is 0
    spread : standard deviation of the moves that is expected, object pixels

    ``start + moves`` is the most probable position under a normal distribution of this spread, which is
    learned from all frames: where photons are few, single frames stay where they are.
    """

    start: NDArray[np.float64]
    moves: NDArray[np.float64]
    spread: float = _LARGEST_SPREAD

    @classmethod
    def none(cls, start: NDArray[np.float64]) -> Moves:
        return cls(start, np.zeros_like(start))

    @property
    def positions(self) -> NDArray[np.float64]:
        """(n, 2) float64, object pixels"""
        return self.start + self.moves

    def step(
        self, sums: MoveSums, numbers: NDArray[np.int64], scale: float, noise: float, limit: float
    ) -> Moves:
        """The moves after one step for some frames.

        scale : pixels of the sums for each object pixel
        noise : variance of ``A - sqrt(I)`` in a pixel: 1/4 where only photons fluctuate
        limit : longest step, object pixels
        """
        yy, yx, xx = (sums.matrix[numbers].T * scale**2) / noise
        right = sums.right[numbers] * scale / noise
        prior = 1.0 / self.spread**2
        ridge = _LEVENBERG * (yy + xx) + prior
        matrix = np.stack([np.stack([yy + ridge, yx], -1), np.stack([yx, xx + ridge], -1)], -2)
        step = np.linalg.solve(matrix, (right - prior * self.moves[numbers])[..., None])[..., 0]
        length = np.hypot(step[:, 0], step[:, 1])
        step *= np.minimum(1.0, limit / np.maximum(length, 1e-12))[:, None]
        moves = self.moves.copy()
        moves[numbers] += step
        uncertainty = np.trace(np.linalg.inv(matrix), axis1=-2, axis2=-1) / 2
        spread = np.sqrt(np.mean(np.square(moves[numbers])) + uncertainty.mean())
        return Moves(self.start, moves, float(np.clip(spread, 1e-3, _LARGEST_SPREAD)))

    def centred(self) -> Moves:
        """The same, with the mean move taken off: moving all frames moves the image alone."""
        return attrs.evolve(self, moves=self.moves - self.moves.mean(axis=0))

    def mapped(self, matrix: NDArray[np.float64], middle: NDArray[np.float64]) -> Moves:
        """All positions under a linear map about a point; further moves are counted from there."""
        return Moves.none((self.positions - middle) @ matrix.T + middle)
