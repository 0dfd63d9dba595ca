"""Which pixels of a patch count in a stitched image, and which part of a group's canvas is worth keeping."""

from __future__ import annotations

from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import ShapeError

__all__ = ["Counting", "Window"]

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

        Raises ShapeError for a trim larger than a patch.
        """
        if middle_trim > N:
            raise ShapeError(
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

    @property
    def mask(self) -> NDArray[np.float32]:
        """(N, N): 1 where pixels count, else 0."""
        mask = np.zeros((self.N, self.N), np.float32)
        mask[self.centre, self.centre] = 1
        return mask


@attrs.frozen
class Window:
    """The part of every canvas that counts, or is lit: `size` pixels from (`first`, `first`) on."""

    first: int
    size: int

    @classmethod
    def of(cls, probe: NDArray[np.complexfloating], canvas: int, counting: Counting | None = None) -> Window:
        """probe : (mode, N, N) complex; canvas : pixels along one side of the canvases; counting : default by
        the probe."""
        intensity = (probe.real**2 + probe.imag**2).sum(0)
        lit = intensity > _FAINT * intensity.max()
        if counting is not None and counting.weighting == "uniform":
            lit[counting.centre, counting.centre] = True
        where = np.nonzero(lit.any(0) | lit.any(1))[0]
        first, last = int(where.min()), int(where.max()) + 1
        # A shift by the fraction of a position may light one more pixel.
        first, last = max(0, first - 1), min(probe.shape[-1], last + 1)
        size = last - first + canvas - probe.shape[-1]
        if size % 2:  # an even window has a pixel in its middle; it grows where there is room
            first, size = (first, size + 1) if first + size < canvas else (first - 1, size + 1)
        return cls(first, size)

    def cut(self, canvases: Any) -> Any:
        """The window of arrays (..., M, M) of any library."""
        end = self.first + self.size
        return canvases[..., self.first : end, self.first : end]
