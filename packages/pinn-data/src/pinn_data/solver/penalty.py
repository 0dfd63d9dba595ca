"""A penalty on differences of neighbouring pixels that keeps edges: total variation, in the scale of the
noise.

``sum over pixels of b * rho(|gradient of o|)`` with Huber's ``rho(d) = d**2 / (2 e)`` below the edge ``e``
and ``d - e / 2`` above. Its weight ``b = strength * sqrt(light)`` follows the dose: a pixel that got four
times the light is known twice as well. It is minimised exactly after each step (a proximal step, by
Chambolle and Pock's primal-dual iteration, J. Math. Imaging Vis. 40, 120, 2011), so that its strength limits
no step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.operations import Array, ArrayOperations

__all__ = ["Penalty"]

_FIRST_ITERATIONS, _ITERATIONS = 16, 8
"""The first image has no edges to begin with."""
_DAMPING = 0.1
_EDGE = 0.01
"""Difference of neighbours, as a share of full transmission, from which on it counts as an edge."""


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
        edges: tuple[Array, Array] | None = None,
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
        self._weight = ops.asarray(weight)
        self._shrink = ops.asarray(1.0 / (1.0 + self._dual_step * _EDGE / np.maximum(weight, 1e-9)))
        self._looseness = ops.asarray(1.0 / self.stiffness)
        self._pull = ops.asarray(self._step * self.stiffness)
        self._back = ops.asarray(1.0 / (1.0 + self._step * self.stiffness))
        self.edges = edges

    def applied_to(self, image: Array) -> Array:
        """The image that minimises ``stiffness / 2 |x - image|**2`` plus the penalty of x."""
        ops = self._ops
        dual = (image * 0.0, image * 0.0) if self.edges is None else self.edges
        # The image that belongs to these edges: from the given one, few iterations end short of the minimum.
        x = ahead = image + ops.scale(self._divergence(dual), self._looseness)
        pull = ops.scale(image, self._pull)
        for _ in range(_FIRST_ITERATIONS if self.edges is None else _ITERATIONS):
            dual = tuple(
                ops.scale(p + ops.scale(ops.roll(ahead, -1, k) - ahead, self._inside[k]), self._shrink)
                for k, p in enumerate(dual)
            )
            length = ops.sqrt(ops.abs2(dual[0]) + ops.abs2(dual[1]))
            within = self._weight / ops.maximum(length, 1e-9)
            # min(1, within)
            limit = 1.0 - ops.maximum(1.0 - within, 0.0)
            dual = tuple(ops.scale(p, limit) for p in dual)
            new = ops.scale(x + self._divergence(dual) * self._step + pull, self._back)
            x, ahead = new, new * 2.0 - x
        self.edges = dual
        return x

    def _divergence(self, dual: tuple[Array, Array]) -> Array:
        rows, columns = (p - self._ops.roll(p, 1, k) for k, p in enumerate(dual))
        return rows + columns
