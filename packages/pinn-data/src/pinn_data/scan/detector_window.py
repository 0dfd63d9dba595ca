"""Which square of the detector becomes a pattern: cropped or padded, centred on the beam."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.scan.diffraction import SMALLEST_N

__all__ = ["DetectorWindow", "beam_centre", "is_corner_centred"]


def beam_centre(mean: NDArray[Any]) -> tuple[float, float]:
    """Centre of mass (y, x) of a mean pattern, in pixels.

    Raises DataRangeError where it is empty or not finite.
    """
    total = float(mean.sum())
    if not math.isfinite(total):
        raise DataRangeError(
            "the patterns hold NaN or infinity, so the beam centre cannot be found: give --centre"
        )
    if not total > 0:
        raise DataRangeError(
            "the patterns are empty (no counts), so the beam centre cannot be found: give --centre"
        )
    rows, columns = mean.sum(axis=1), mean.sum(axis=0)
    return float(rows / total @ np.arange(len(rows))), float(columns / total @ np.arange(len(columns)))


def is_corner_centred(mean: NDArray[Any]) -> bool:
    """Whether the light lies in the corners, as an FFT leaves it, rather than in the middle of the frame.

    Compares the energy in the central quarter of the area with that of the four corners (another quarter).
    """
    height, width = mean.shape
    middle = mean[height // 4 : height - height // 4, width // 4 : width - width // 4].sum()
    rolled = np.fft.fftshift(mean)
    corners = rolled[height // 4 : height - height // 4, width // 4 : width - width // 4].sum()
    return bool(corners > 2 * middle)


@attrs.frozen
class DetectorWindow:
    """N x N pixels of a detector whose pixel `centre` becomes ``[N/2, N/2]``; pixels outside it were not
    measured, and become 0.

    shape : (H, W) of the detector
    centre : (y, x), whole pixels, of the zero frequency
    N : even
    corner_centred : whether the zero frequency is first to be brought from ``[0, 0]`` to ``[H//2, W//2]``,
        and `centre` counts after that
    """

    shape: tuple[int, int]
    centre: tuple[int, int]
    N: int
    corner_centred: bool = False

    def __attrs_post_init__(self) -> None:
        if self.N % 2 or self.N < SMALLEST_N:
            raise ShapeError(
                f"patterns of {self.N} x {self.N} pixels were asked for, but an even size of at least "
                f"{SMALLEST_N} is needed (networks take 64, 128 or 256)"
            )
        if not all(0 <= c < n for c, n in zip(self.centre, self.shape, strict=True)):
            raise ShapeError(
                f"the centre (y, x) = {self.centre} lies outside the detector of {self.shape[0]} x "
                f"{self.shape[1]} pixels: count pixels from 0"
            )

    @property
    def is_whole(self) -> bool:
        """Whether the frames stay as they are."""
        half = self.N // 2
        return self.shape == (self.N, self.N) and self.centre == (half, half) and not self.corner_centred

    @property
    def padded_px(self) -> int:
        """Pixels of the window that lie outside the detector."""
        (rows, _), (columns, _) = self._spans
        return self.N**2 - (rows.stop - rows.start) * (columns.stop - columns.start)

    @property
    def _spans(self) -> list[tuple[slice, slice]]:
        """For rows and columns: where on the detector, and where in the window."""
        spans = []
        for centre, length in zip(self.centre, self.shape, strict=True):
            first = centre - self.N // 2
            start, stop = max(first, 0), min(first + self.N, length)
            spans.append((slice(start, stop), slice(start - first, stop - first)))
        return spans

    def cut_mask(self, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """(N, N): pixels of the window that `mask` (H, W) marks, or that lie outside the detector; None for
        none."""
        bad = np.ones((1, self.N, self.N), bool)
        self.cut(np.zeros((1, *self.shape), bool) if mask is None else mask[None], bad, outside=True)
        return bad[0] if bad.any() else None

    def cut(self, frames: NDArray[Any], out: NDArray[Any], *, outside: Any = 0) -> None:
        """Fill `out` (n, N, N) from frames (n, H, W), with `outside` where there is no detector."""
        if self.corner_centred:
            frames = np.fft.fftshift(frames, axes=(-2, -1))
        (rows, to_rows), (columns, to_columns) = self._spans
        if self.padded_px:
            out[...] = outside
        out[..., to_rows, to_columns] = frames[..., rows, columns]
