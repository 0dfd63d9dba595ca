"""The measured frames as the solver reads them: in blocks, cut to the size of a level, in an even order.

The zero frequency lies at pixel [0, 0] here, as it does after a Fourier transform, so that no pattern is
moved about while the solver runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.scan.diffraction import Stack, Unit, convert_block
from pinn_data.solver.operations import Array, ArrayOperations

__all__ = ["Frames", "even_order"]

_BLOCK_FRAMES = 64


def even_order(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Frame numbers (n,) along a curve that fills the field, so that every k-th of them covers it evenly.

    The curve is Morton's: neighbours on it are neighbours in the field.
    """
    span = np.ptp(positions, axis=0).max()
    cells = ((positions - positions.min(axis=0)) / max(span, 1e-12) * 0xFFFF).astype(np.uint64)
    key = np.zeros(len(cells), np.uint64)
    for bit in range(16):
        place = np.uint64(bit)
        for axis in (0, 1):
            key |= ((cells[:, axis] >> place) & np.uint64(1)) << np.uint64(2 * bit + 1 - axis)
    return np.argsort(key, kind="stable")


class Frames:
    """The frames of a scan at one level of the solver.

    patterns, unit : the scan's, (n, N, N)
    bad_pixels : (N, N) or (n, N, N) bool, or None
    size : the central size x size pixels of each pattern are used
    modes : of the probe, for the size of a block
    gain : what amplitudes are multiplied with
    """

    def __init__(
        self,
        ops: ArrayOperations,
        patterns: Stack,
        unit: Unit,
        bad_pixels: NDArray[np.bool_] | None = None,
        *,
        size: int,
        modes: int = 1,
        gain: float = 1.0,
    ) -> None:
        self.ops, self.size, self._gain = ops, size, gain
        self._patterns, self._unit, self._bad = patterns, unit, bad_pixels
        first = (patterns.shape[-1] - size) // 2
        self._window = slice(first, first + size)
        self.block_frames = max(1, int(ops.block_bytes // (ops.complex.itemsize * size * size * modes)))
        stacks = 1 if bad_pixels is None or bad_pixels.ndim == 2 else 2
        # All or none: part of them would save part of the reading, and make memory depend on the scan's size.
        self._keeps = len(patterns) * size * size * ops.real.itemsize * stacks <= ops.kept_bytes

    def __len__(self) -> int:
        return len(self._patterns)

    def blocks(self, chosen: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Array, Array | None]]:
        """Of this process' share of some frames: (frame numbers (b,), amplitudes (b, size, size), 1 where
        measured (b, size, size) or None)."""
        rank, processes = self.ops.share
        chosen = chosen[rank::processes]
        for start in range(0, len(chosen), self.block_frames):
            numbers = chosen[start : start + self.block_frames]
            if self._keeps:
                amplitude, measured = self._kept
                taken = None if measured is None else self.ops.take(measured, numbers)
                yield numbers, self.ops.take(amplitude, numbers), taken
            else:
                amplitude, measured = self.host_block(numbers)
                flags = None if measured is None else self.ops.asarray(measured)
                yield numbers, self.ops.asarray(amplitude), flags

    @cached_property
    def _kept(self) -> tuple[Array, Array | None]:
        """Amplitudes and what was measured, of all frames."""
        shape = (len(self), self.size, self.size)
        amplitude = np.empty(shape, self.ops.real)
        measured = None
        for start in range(0, len(self), _BLOCK_FRAMES):
            block = slice(start, start + _BLOCK_FRAMES)
            amplitude[block], flags = self.host_block(np.arange(len(self))[block])
            if flags is not None:
                measured = np.empty(shape, self.ops.real) if measured is None else measured
                measured[block] = flags
        return self.ops.asarray(amplitude), None if measured is None else self.ops.asarray(measured)

    def host_block(self, numbers: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Amplitudes (b, size, size) as NumPy has them, 0 where not measured, and what was measured if not
        all is."""
        patterns = np.asarray(self._patterns[numbers])[:, self._window, self._window]
        measured = None
        if self._bad is not None:
            bad = self._bad if self._bad.ndim == 2 else self._bad[numbers]
            bad = bad[..., self._window, self._window]
            patterns = np.where(bad, patterns.dtype.type(0), patterns)
            if self._bad.ndim == 3:
                measured = fft.ifftshift(~bad, axes=(-2, -1))
        patterns = fft.ifftshift(patterns, axes=(-2, -1))
        amplitude = np.asarray(convert_block(patterns, self._unit, "amplitude"))
        if self._gain != 1.0:
            amplitude = amplitude * amplitude.dtype.type(self._gain)
        return amplitude, measured

    def measured_everywhere(self) -> NDArray[np.bool_] | None:
        """(size, size): the pixels of a mask that holds for all frames, True where measured; None without."""
        if self._bad is None or self._bad.ndim == 3:
            return None
        return fft.ifftshift(~self._bad[self._window, self._window])
