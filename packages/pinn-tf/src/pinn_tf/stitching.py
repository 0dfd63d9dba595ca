"""From groups to one image: windows are brought to one global phase and added up.

A network sees patterns, and a pattern does not tell the global phase of its object; so each group's canvas
has its own. `pinn_data.stitching.phase_factors` finds the factors that make overlapping windows agree.
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from pinn_data.stitching import phase_factors

from pinn_tf.errors import TensorFlowRunError
from pinn_tf.patches import place
from pinn_tf.physics import GroupOptics

__all__ = ["Counting", "Mosaic", "Window", "agreeing_phases"]

# Pixels where no probe reaches this fraction of its maximum add nothing that can be seen, and are not kept.
_FAINT = 1e-3


@attrs.frozen
class Counting:
    """How much the pixels of a patch count in the image.

    N : pixels along one side of a patch
    size : only the central size x size pixels count; of an odd size, pixel N/2 is the middle
    weighting : 'probe': by the intensity of the probe; 'uniform': all of them alike
    """

    N: int
    size: int
    weighting: Literal["probe", "uniform"] = "probe"

    @classmethod
    def of(cls, N: int, weighting: Literal["probe", "uniform"], middle_trim: int, pad_eval: bool) -> Counting:
        """The counting of a configuration: with `pad_eval` the central half of a patch counts at most, the
        rest is room for the probe's tails; a `middle_trim` above 0 says how many pixels.

        Raises TensorFlowRunError for a trim larger than a patch.
        """
        if middle_trim > N:
            raise TensorFlowRunError(
                f"middle_trim={middle_trim} was given, but a patch has {N} x {N} pixels: give 1 to {N}, or 0 "
                "for all of them"
            )
        return cls(N, min(middle_trim or N, N // 2 if pad_eval else N), weighting)

    @property
    def is_plain(self) -> bool:
        """Whether all pixels count, by the probe's intensity: weights are then the coverage of a group."""
        return self.weighting == "probe" and self.size == self.N

    @property
    def centre(self) -> slice:
        """Rows, and columns, of a patch that count."""
        first = self.N // 2 - self.size // 2
        return slice(first, first + self.size)

    def weights(self, optics: GroupOptics) -> tf.Tensor:
        """(group, M, M): the sum of the weights of a group's patches on its canvas."""
        if self.is_plain:
            return optics.coverage
        counts = np.zeros((self.N, self.N), np.float32)
        counts[self.centre, self.centre] = 1
        light = optics.relative_intensity
        each = tf.ones_like(light) if self.weighting == "uniform" else light
        return place(each * counts, optics.indices, optics.canvas)


@attrs.frozen
class Window:
    """The part of every canvas that counts, or is lit: `size` pixels from (`first`, `first`) on."""

    first: int
    size: int

    @classmethod
    def of(cls, probe: ArrayLike, canvas: int, counting: Counting | None = None) -> Window:
        """probe : (mode, N, N) complex; canvas : pixels along one side of the canvases; counting : default by
        the probe."""
        modes = np.asarray(probe)
        intensity = (modes.real**2 + modes.imag**2).sum(0)
        lit = intensity > _FAINT * intensity.max()
        if counting is not None and counting.weighting == "uniform":
            lit[counting.centre, counting.centre] = True
        (where,) = np.nonzero(lit.any(0) | lit.any(1))
        first, last = int(where.min()), int(where.max()) + 1
        # A shift by the fraction of a position may light one more pixel.
        first, last = max(0, first - 1), min(modes.shape[-1], last + 1)
        size = last - first + canvas - modes.shape[-1]
        if size % 2:  # an even window has a pixel in its middle; it grows where there is room
            first, size = (first, size + 1) if first + size < canvas else (first - 1, size + 1)
        return cls(first, size)

    def cut(self, canvases: tf.Tensor) -> tf.Tensor:
        end = self.first + self.size
        return canvases[..., self.first : end, self.first : end]


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

    def image(self, empty: complex = 0.0) -> NDArray[np.complex64]:
        """(rows, columns); `empty` where nothing was added."""
        lit = self._weight > _FAINT**2 * self._weight.max()
        image = np.full(self.shape, empty, np.complex64)
        return np.divide(self._total, self._weight, out=image, where=lit)

    def coverage(self) -> NDArray[np.float32]:
        """(rows, columns): sum of the weights."""
        return self._weight

    def cut(
        self, image: NDArray[np.complex64], corners: NDArray[np.int64], size: int
    ) -> NDArray[np.complex64]:
        """Pieces (window, size, size) of an image of this mosaic's shape."""
        return np.stack([image[where] for where in self._places(corners, size)])
