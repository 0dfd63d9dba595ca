"""One image from overlapping patches.

``stitch`` is the weighted mean where patches overlap; `CanvasSum` is one that grows.  ``phase_factors`` first
makes them agree: a network trained on single patterns leaves every patch its own global phase, and the mean
of patches that disagree is grey.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import ShapeError
from pinn_data.optics.patch_checks import checked_patches, checked_weights
from pinn_data.optics.patches import place
from pinn_data.scan.positions import Canvas, canvas_for
from pinn_data.stitching.phase_synchronisation import phase_factors

__all__ = ["CanvasSum", "phase_factors", "stitch"]

_COVERED = 1e-12  # of the best-covered pixel: below it a quotient of rounding errors would pass for an image
_BLOCK_BYTES = 1 << 25  # weighted patches held at once
_FAINT = 1e-6  # of the largest weight: below it float32 holds rounding, and no image


def _pixel(value: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(value, np.int64)


@attrs.frozen(eq=False)
class CanvasSum:
    """A weighted mean of windows that grows as they come, in float32.

    Windows are added one after the other, so the same windows give the same bits.

    origin : (y, x) object pixel of its pixel (0, 0)
    shape : (rows, columns)
    total : (rows, columns) complex64, sum of weight times window
    coverage : (rows, columns) float32, sum of the weights
    """

    origin: NDArray[np.int64] = attrs.field(converter=_pixel)
    shape: tuple[int, int]
    total: NDArray[np.complex64] = attrs.field(init=False, repr=False)
    coverage: NDArray[np.float32] = attrs.field(init=False, repr=False)

    @total.default
    def _no_total(self) -> NDArray[np.complex64]:
        return np.zeros(self.shape, np.complex64)

    @coverage.default
    def _no_coverage(self) -> NDArray[np.float32]:
        return np.zeros(self.shape, np.float32)

    @classmethod
    def around(cls, corners: NDArray[np.int64], size: int) -> CanvasSum:
        """The smallest that holds canvases of this size with their pixels (0, 0) at `corners` (canvas, 2)."""
        origin = corners.min(0)
        rows, columns = (int(v) for v in corners.max(0) - origin + size)
        return cls(origin, (rows, columns))

    def _places(self, corners: NDArray[np.int64], size: int) -> list[tuple[slice, slice]]:
        return [(slice(y, y + size), slice(x, x + size)) for y, x in (corners - self.origin).tolist()]

    def add(
        self, windows: NDArray[np.complex64], weights: NDArray[np.float32], corners: NDArray[np.int64]
    ) -> None:
        """windows, weights : (window, m, m); corners : (window, 2) int64 object pixels. All of it must lie
        inside."""
        places = self._places(corners, windows.shape[-1])
        for where, window, weight in zip(places, windows, weights, strict=True):
            self.total[where] += window * weight
            self.coverage[where] += weight

    def image(self) -> NDArray[np.complex64]:
        """(rows, columns); 0 where nothing was added."""
        lit = self.coverage > _FAINT * self.coverage.max()
        return np.divide(self.total, self.coverage, out=np.zeros_like(self.total), where=lit)

    def cut(
        self, image: NDArray[np.complex64], corners: NDArray[np.int64], size: int
    ) -> NDArray[np.complex64]:
        """Pieces (window, size, size) of an image of this shape."""
        return np.stack([image[where] for where in self._places(corners, size)])


def stitch(
    patches: ArrayLike,
    positions: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    factors: ArrayLike | None = None,
    canvas: Canvas | None = None,
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """The weighted mean of overlapping patches, and how much weight each pixel got.

    ``image = sum(w * patch) / sum(w)`` over the patches that reach a pixel; 0 where none does.
    ``stitch(extract(o, p, N), p)`` is ``o`` where covered, for whole-number positions.

    Parameters
    ----------
    patches : (position, N, N) complex
    positions : (position, 2) float, object pixels, as (y, x)
        Where the patches *live*.  Patches from the forward model's rule (cut at the floor, fraction on the
        probe) live at ``split_subpixel(positions)[0]``: pass that.  Fractional positions are placed
        bilinearly.
    weights : (N, N) or (position, N, N) real >= 0, default 1
        The probe's intensity, as a rule: where nothing shone nothing is known.
    factors : (position,) complex, default 1
        What each patch is multiplied with first: the factors of `phase_factors`, as a rule.
    canvas : Canvas, default the smallest that holds all patches

    Returns
    -------
    image : (row, column) complex128
        Pixel (0, 0) is object pixel ``canvas.origin``.
    coverage : (row, column) float64
        Sum of the weights.

    Raises
    ------
    DataRangeError
        A weight is negative, NaN or infinite.
    PositionError
        A patch reaches outside the canvas.
    ShapeError
        Arrays do not fit together.
    """
    stack, points = checked_patches(patches, positions)
    weight = checked_weights(weights, stack.shape)
    frame = canvas_for(points, stack.shape[1]) if canvas is None else canvas
    local = frame.local(points)
    turn = np.ones(len(stack)) if factors is None else np.asarray(factors)
    if turn.shape != (len(stack),):
        raise ShapeError(
            f"factors of shape {turn.shape} were given, but each of the {len(stack)} patches needs one number"
        )
    total = np.zeros(frame.shape, np.complex128)
    coverage = np.zeros(frame.shape)
    step = max(1, _BLOCK_BYTES // (16 * stack[0].size))
    for start in range(0, len(stack), step):
        block = slice(start, start + step)
        w = np.broadcast_to(weight if weight.ndim == 2 else weight[block], stack[block].shape)
        place(w * turn[block, None, None] * stack[block], local[block], frame.shape, out=total)
        place(w, local[block], frame.shape, out=coverage)
    covered = coverage > _COVERED * coverage.max()
    image = np.divide(total, coverage, out=np.zeros_like(total), where=covered)
    return image, np.where(covered, coverage, 0.0)
