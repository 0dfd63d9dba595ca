"""A scan as the solver takes it, and what it knows of it so far, from which any level begins."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.solver.estimate import Estimate, cut_spectrum, lay_canvas, put_spectrum, resample_object
from pinn_data.solver.frames import Frames, even_order
from pinn_data.solver.operations import ArrayOperations
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.unknowns.bad_pixels import PixelStatistics
from pinn_data.solver.unknowns.moves import Moves

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

__all__ = ["Knowledge", "Placed", "Problem", "subsets_of"]

_SUBSETS, _FRAMES_OF_A_SUBSET = 4, 16
_SAMPLE = 256
_MARGIN_PX = 8
"""Pixels of the scan around the patches, for positions that move."""
_STATISTICS_BLOCK = 1 << 20  # pixels
_USUAL_PHOTONS = 1e5
"""What a pattern is taken to hold where its numbers are no counts: penalty, floors and thresholds are in
photons."""


@attrs.frozen(eq=False)
class Placed:
    """An image (row, column) complex with the scale and origin of its canvas, see :class:`Estimate`."""

    image: NDArray[np.complexfloating]
    scale: float
    origin: tuple[int, int]


@attrs.frozen(eq=False)
class Knowledge:
    """What is known of a scan, at full resolution and as NumPy has it.

    spectrum : (mode, N, N) complex, of the probe, zero frequency at [0, 0]
    moves : of the positions
    background : counts in every pixel, besides those of the file
    bad_pixels : (N, N) bool, zero frequency at [0, 0]: pixels that no marker told
    intensity : (n,) float64 with mean 1, or None where all frames are alike
    placed : the image so far; None is a flat one
    kept : optional parts that were found and kept
    """

    spectrum: NDArray[np.complexfloating]
    moves: Moves
    background: float
    bad_pixels: NDArray[np.bool_]
    intensity: NDArray[np.float64] | None = None
    placed: Placed | None = None
    kept: frozenset[str] = frozenset()


class Problem:
    """The frames, and which of them are fitted and which held out.

    held : frame numbers, spread evenly, that no step looks at before the last ones; none of a scan of fewer
        than 16 frames
    fitted : the others, along a curve through the field
    subsets : `fitted` in parts that each cover the field evenly
    sample : of `fitted`, enough to judge how well all are explained
    gain : what measured amplitudes and the scan's probe are multiplied with; 1 where the scan holds counts
    """

    def __init__(self, ops: ArrayOperations, scan: Scan, settings: SolverSettings) -> None:
        self.ops, self.scan, self.settings = ops, scan, settings
        self.N, self.n = scan.N, len(scan)
        self.modes = settings.modes or (len(scan.probe) if scan.probe.ndim == 3 else 1)
        order = even_order(scan.positions)
        every = 24 if self.n >= 96 else 8
        self.held = order[every // 2 :: every] if self.n >= 16 else order[:0]
        self.fitted = order[~np.isin(order, self.held)]
        self.order = order
        self.subsets = subsets_of(self.fitted)
        self.sample = self.fitted[:: max(1, round(len(self.fitted) / _SAMPLE))]
        self.counts = scan.holds_counts
        light = 0.0 if self.counts else scan.nphotons
        self.gain = math.sqrt(_USUAL_PHOTONS / light) if light > 0 else 1.0
        self._frames: dict[int, Frames] = {}

    def frees(self, part: str) -> bool:
        """Whether a part may be refined."""
        return part in self.settings.refine

    def frames(self, size: int) -> Frames:
        """The frames at a level."""
        if size not in self._frames:
            self._frames[size] = Frames(
                self.ops,
                self.scan.diffraction,
                self.scan.unit,
                self.scan.bad_pixels,
                size=size,
                modes=self.modes,
                gain=self.gain,
            )
        return self._frames[size]

    def forget_level(self, size: int) -> None:
        """Give the memory of a level back."""
        self._frames.pop(size, None)

    @cached_property
    def statistics(self) -> PixelStatistics:
        """Of each pixel, over all frames."""
        frames = Frames(
            self.ops,
            self.scan.diffraction,
            self.scan.unit,
            self.scan.bad_pixels,
            size=self.N,
            gain=self.gain,
        )
        sums = np.zeros((3, self.N, self.N))
        rank, processes = self.ops.share
        mine = np.arange(self.n)[rank::processes]
        step = max(1, _STATISTICS_BLOCK // self.N**2)
        for start in range(0, len(mine), step):
            amplitude, measured = frames.host_block(mine[start : start + step])
            counts = np.square(amplitude, dtype=np.float64)
            sums[0] += len(counts) if measured is None else measured.sum(axis=0)
            sums[1] += counts.sum(axis=0)
            sums[2] += np.square(counts).sum(axis=0)
        number, total, squares = np.asarray(self.ops.reduce(sums))
        everywhere = frames.measured_everywhere()
        if everywhere is not None:
            number = number * everywhere
        mean = total / np.maximum(number, 1)
        return PixelStatistics(number, mean, np.maximum(squares / np.maximum(number, 1) - mean**2, 0.0))

    def energy(self, bad_pixels: NDArray[np.bool_]) -> float:
        """Sum of the counts that are fitted, outside of `bad_pixels`."""
        return float(self.statistics.mean[~bad_pixels].sum() * len(self.fitted))

    @cached_property
    def background_of_file(self) -> NDArray[np.float64]:
        """(N, N) counts that the scan tells of, zero frequency at [0, 0]."""
        told = self.scan.background
        return (
            np.zeros((self.N, self.N))
            if told is None
            else fft.ifftshift(np.broadcast_to(told * self.gain**2, (self.N, self.N)))
        )

    def most_background(self, known: Knowledge) -> float:
        """The largest background that the darkest pixels allow, counts besides those of the file."""
        mean = self.statistics.mean - self.background_of_file
        good = self.measured(self.N, known.bad_pixels) & (self.statistics.frames > 0)
        if not good.any():
            return 0.0
        dark = max(0.0, float(np.quantile(mean[good], 0.02)))
        return dark + 3.0 * float(np.sqrt(dark / self.n))

    def light_within(self, size: int, known: Knowledge) -> float:
        """Share of the diffraction of a mean pattern that lies in its central size x size pixels."""
        light = np.maximum(self.statistics.mean - self.background_of_file - known.background, 0.0)
        light = (light * ~known.bad_pixels)[None]
        return float(cut_spectrum(light, size).sum() / max(light.sum(), 1e-300))

    def measured(self, size: int, bad_pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(size, size): True where every frame may have been measured."""
        good = ~cut_spectrum(bad_pixels[None], size)[0]
        everywhere = self.frames(size).measured_everywhere()
        return good if everywhere is None else good & everywhere

    def at_level(self, known: Knowledge, size: int, chosen: NDArray[np.int64] | None = None) -> Estimate:
        """The estimate that a level begins with; its canvas holds the patches of the `chosen` frames, of all
        for None."""
        ops, scale = self.ops, size / self.N
        positions = known.moves.positions
        margin = max(1, round(_MARGIN_PX * scale))
        origin, shape = lay_canvas(positions if chosen is None else positions[chosen], size, scale, margin)
        if known.placed is None:
            image = np.ones(shape, np.complex128)
        else:
            placed = known.placed
            image = resample_object(placed.image, (placed.scale, placed.origin), (scale, origin), shape)
        estimate = Estimate(
            ops.asarray(image),
            ops.asarray(cut_spectrum(known.spectrum, size)),
            positions,
            scale,
            origin,
            background=self.background(known, size),
            intensity=known.intensity,
        )
        return self.masked(estimate, known.bad_pixels)

    def masked(self, estimate: Estimate, bad_pixels: NDArray[np.bool_]) -> Estimate:
        """The estimate with these pixels, (N, N) that no marker told, and those of the scan left out."""
        good = self.measured(estimate.size, bad_pixels)
        return attrs.evolve(estimate, measured=None if good.all() else self.ops.asarray(good))

    def background(self, known: Knowledge, size: int) -> object:
        """The background at a level: a number, or an array of the engine."""
        if self.scan.background is None:
            return known.background
        return self.ops.asarray(cut_spectrum(self.background_of_file[None] + known.background, size)[0])

    def learned(self, known: Knowledge, estimate: Estimate) -> Knowledge:
        """What is known with the image and the probe of an estimate."""
        return attrs.evolve(
            known,
            placed=Placed(self.ops.numpy(estimate.object), estimate.scale, estimate.origin),
            spectrum=put_spectrum(known.spectrum, self.ops.numpy(estimate.spectrum)),
        )


def subsets_of(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Frame numbers that follow a curve through the field, in parts that each cover it evenly: fewer for few
    frames, because a part with gaps makes the steps diverge."""
    parts = min(_SUBSETS, max(1, len(numbers) // _FRAMES_OF_A_SUBSET))
    return [numbers[k::parts] for k in range(parts)]
