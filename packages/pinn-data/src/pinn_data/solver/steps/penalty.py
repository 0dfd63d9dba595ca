"""A penalty on differences of neighbouring pixels that keeps edges: total variation of modulus and of phase
apart, in the scale of the noise.

``sum over pixels of b * (rho(|gradient of modulus|) + 3/4 rho(modulus * |gradient of phase|))`` with Huber's
``rho(d) = d**2 / (2 e)`` below the edge ``e`` and ``d - e / 2`` above. Its weight ``b = strength *
sqrt(light)`` follows the dose: a pixel that got four times the light is known twice as well. Differences are
taken along and across the complex number that the pixel has before the step, which makes it convex; it is
minimised exactly after each step (a proximal step, by Chambolle and Pock's primal-dual iteration, J. Math.
Imaging Vis. 40, 120, 2011), so that its strength limits no step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.operations import Array, ArrayOperations

__all__ = ["Edges", "Penalty"]

_FIRST_ITERATIONS, _ITERATIONS = 16, 8
"""The first image has no edges to begin with."""
_DAMPING = 0.1
_PHASE = 0.75
"""Weight of the phase, of that of the modulus: an object's phase varies more."""
_EDGE = 0.005
"""Difference of neighbours, as a share of full transmission, from which on it counts as an edge."""


Edges = tuple[tuple[Array, Array], tuple[Array, Array]]
"""Of modulus and phase: forces (row, column), real, across edges down and to the right."""


class Penalty:
    """The penalty on one canvas; what an iteration learned of the edges is kept for the next.

    light : (row, column) photons on each pixel
    strength : see the module
    edges : what another penalty for the same canvas learned of the edges

    stiffness : (row, column), what a step of the likelihood is divided by: the light, and a share of its
        largest value, so that no step is long where little light falls
    """

    def __init__(
        self,
        ops: ArrayOperations,
        light: NDArray[np.float64],
        strength: float,
        edges: Edges | None = None,
    ) -> None:
        self._ops = ops
        self.stiffness = light + _DAMPING * light.max()
        weight = strength * np.sqrt(light)
        self._step = 1.0 / float(np.median(self.stiffness))
        self._dual_step = 1.0 / (8.0 * self._step)
        # No difference across the canvas' edge, where `roll` brings the other side.
        rows, columns = weight.copy(), weight.copy()
        rows[-1], columns[:, -1] = 0.0, 0.0
        self._inside = tuple(ops.asarray((part > 0) * self._dual_step) for part in (rows, columns))
        weights = weight, weight * _PHASE
        self._weights = tuple(ops.asarray(part) for part in weights)
        self._shrink = tuple(
            ops.asarray(1.0 / (1.0 + self._dual_step * _EDGE / np.maximum(part, 1e-9))) for part in weights
        )
        self._looseness = ops.asarray(1.0 / self.stiffness)
        self._pull = ops.asarray(self._step * self.stiffness)
        self._back = ops.asarray(1.0 / (1.0 + self._step * self.stiffness))
        self.edges = edges

    def applied_to(self, image: Array) -> Array:
        """The image that minimises ``stiffness / 2 |x - image|**2`` plus the penalty of x."""
        ops = self._ops
        along = ops.scale(image, 1.0 / ops.maximum(ops.sqrt(ops.abs2(image)), 1e-6))
        axes = along, along * 1j
        dark = ops.abs2(image) * 0.0
        edges: Edges = ((dark, dark), (dark, dark)) if self.edges is None else self.edges
        # The image that belongs to these edges: from the given one, few iterations end short of the minimum.
        x = ahead = image + ops.scale(self._divergence(axes, edges), self._looseness)
        pull = ops.scale(image, self._pull)
        for _ in range(_FIRST_ITERATIONS if self.edges is None else _ITERATIONS):
            steps = [ops.roll(ahead, -1, k) - ahead for k in (0, 1)]
            edges = (self._edges(0, axes[0], steps, edges[0]), self._edges(1, axes[1], steps, edges[1]))
            new = ops.scale(x + self._divergence(axes, edges) * self._step + pull, self._back)
            x, ahead = new, new * 2.0 - x
        self.edges = edges
        return x

    def _edges(
        self, part: int, axis: Array, steps: list[Array], edges: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """What is known of the edges of modulus (part 0) or phase (1) after one iteration."""
        ops = self._ops
        down, right = (
            (edge + ops.real_product(axis, step) * inside) * self._shrink[part]
            for edge, step, inside in zip(edges, steps, self._inside, strict=True)
        )
        length = ops.sqrt(down * down + right * right)
        # min(1, weight / length)
        limit = 1.0 - ops.maximum(1.0 - self._weights[part] / ops.maximum(length, 1e-9), 0.0)
        return down * limit, right * limit

    def _divergence(self, axes: tuple[Array, Array], edges: Edges) -> Array:
        ops = self._ops
        down, right = (ops.scale(axes[0], edges[0][k]) + ops.scale(axes[1], edges[1][k]) for k in (0, 1))
        return down - ops.roll(down, 1, 0) + right - ops.roll(right, 1, 1)
