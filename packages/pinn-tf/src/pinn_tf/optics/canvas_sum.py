"""From groups to one image: windows are brought to one global phase and added up.

A network sees patterns, and a pattern does not tell the global phase of its object; so each group's canvas
has its own. `pinn_data.stitching.canvas_sum.phase_factors` finds the factors that make overlapping windows
agree.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from pinn_data.stitching.canvas_sum import phase_factors
from pinn_data.stitching.counting import Counting

from pinn_tf.optics.patches import place
from pinn_tf.optics.physics import GroupOptics

__all__ = ["Mosaic", "agreeing_phases", "counted"]

# Weights below this fraction of the largest are rounding, and no image.
_FAINT = 1e-6


def counted(counting: Counting, optics: GroupOptics) -> tf.Tensor:
    """(group, M, M): the sum of the weights of a group's patches on its canvas."""
    if counting.is_plain:
        return optics.coverage
    light = optics.relative_intensity
    each = tf.ones_like(light) if counting.weighting == "uniform" else light
    return place(each * counting.mask, optics.indices, optics.canvas)


def agreeing_phases(
    windows: NDArray[np.complex64], weights: NDArray[np.float32], corners: NDArray[np.int64]
) -> NDArray[np.complex64]:
    """Unit factors (window,) after which overlapping windows agree.

    windows, weights : (window, m, m); corners : (window, 2) object pixel of each window's pixel (0, 0)
    """
    return phase_factors(windows, corners + windows.shape[-1] // 2, weights).astype(np.complex64)


class Mosaic:
    """A weighted mean that grows, in NumPy: added in one order it is the same to the bit, as TensorFlow's
    scatter with several threads is not, and it is faster than that.

    origin : (y, x) object pixel of its pixel (0, 0); shape : (rows, columns)
    """

    def __init__(self, origin: ArrayLike, shape: tuple[int, int]) -> None:
        self.origin = np.asarray(origin, np.int64)
        self.shape = shape
        self._total = np.zeros(shape, np.complex64)
        self._weight = np.zeros(shape, np.float32)

    def _places(self, corners: NDArray[np.int64], size: int) -> list[tuple[slice, slice]]:
        return [(slice(y, y + size), slice(x, x + size)) for y, x in (corners - self.origin).tolist()]

    def add(
        self, windows: NDArray[np.complex64], weights: NDArray[np.float32], corners: NDArray[np.int64]
    ) -> None:
        """windows, weights : (window, m, m); corners : (window, 2) int64 object pixels. All of it must lie
        inside."""
        places = self._places(corners, windows.shape[-1])
        for where, part, weight in zip(places, windows * weights, weights, strict=True):
            self._total[where] += part
            self._weight[where] += weight

    def image(self) -> NDArray[np.complex64]:
        """(rows, columns); 0 where nothing was added."""
        lit = self._weight > _FAINT * self._weight.max()
        image = np.zeros(self.shape, np.complex64)
        return np.divide(self._total, self._weight, out=image, where=lit)

    def coverage(self) -> NDArray[np.float32]:
        """(rows, columns): sum of the weights."""
        return self._weight

    def cut(
        self, image: NDArray[np.complex64], corners: NDArray[np.int64], size: int
    ) -> NDArray[np.complex64]:
        """Pieces (window, size, size) of an image of this mosaic's shape."""
        return np.stack([image[where] for where in self._places(corners, size)])
