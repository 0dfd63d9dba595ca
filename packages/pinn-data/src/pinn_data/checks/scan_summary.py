"""What can be said of an NPZ scan, read in pieces: its memory does not grow with the number of patterns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pinn_data.checks.scan_checks import Finding, Sample, check_sample, sampled_frames
from pinn_data.errors import ShapeError, naming
from pinn_data.files.npz import read_pair
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.npz_header import is_present, read_metadata, read_text
from pinn_data.files.npz_patterns import pattern_blocks, pattern_shape
from pinn_data.optics.probe import probe_modes
from pinn_data.scan import diffraction as units
from pinn_data.scan.measured_pixels import as_background, as_bad_pixels, check_fit, check_mask_shape
from pinn_data.scan.scan import checked_object, checked_probe
from pinn_data.scan.unmeasured import Findings, MarkerTally, is_marker

__all__ = ["ScanSummary", "light_diameter", "summarise_scan"]

_SNAP = 2.0**-22  # relative: what float32 amplitudes leave of whole counts
_SURE = 20  # of the smallest total of a lit pixel: among such neighbours one without a count is no chance
_WITHIN = 0.9  # of the probe's light, for its diameter


@attrs.frozen(eq=False)
class ScanSummary:
    """One scan without its patterns.

    frames, N, dtype : of the patterns as a scan has them
    empty : number of frames that hold nothing, which are left out; where all are empty, none is
    said : what reading it as a scan leaves out: pixels that were not measured, frames that hold nothing
    unit, reason : what the patterns are taken for, and why
    holds_counts : whether the numbers, or the squares of amplitudes, are whole
    photons : (n,) float64, total of each pattern (energy, where the patterns hold no counts)
    mean_pattern : (N, N) float64, mean intensity of a pixel, zero frequency at N/2; over the frames in which
        it was measured, 0 where it never was
    bad_pixels : (N, N) float64, share of the frames in which a pixel was not measured
    background : () or (N, N) float64, counts, or None
    largest : the largest number in the stack, as stored
    positions : (n, 2) float64 as (y, x), object pixels
    probe : ([modes,] N, N) complex64
    object : (H, W) complex64 or None
    findings : what looks wrong, see :mod:`pinn_data.checks.scan_checks`
    """

    frames: int
    N: int
    dtype: np.dtype[Any]
    unit: str
    reason: str
    holds_counts: bool
    photons: NDArray[np.float64]
    mean_pattern: NDArray[np.float64]
    bad_pixels: NDArray[np.float64]
    background: NDArray[np.float64] | None
    largest: float
    positions: NDArray[np.float64]
    probe: NDArray[np.complex64]
    object: NDArray[np.complex64] | None
    scan_indices: int
    metadata: Mapping[str, Any]
    empty: int = 0
    said: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def silent_pixels(self) -> NDArray[np.bool_]:
        """(N, N): measured, and without a count in any pattern."""
        return (self.mean_pattern == 0) & (self.bad_pixels < 1)

    @property
    def dead_pixels(self) -> NDArray[np.bool_]:
        """(N, N): silent, with much light on both sides in their row and in their column: dead."""
        if not self.mean_pattern.any():
            return np.zeros_like(self.mean_pattern, bool)
        lit = self.mean_pattern >= _SURE * self.mean_pattern[self.mean_pattern > 0].min()
        between = np.ones_like(lit)
        for axis in (0, 1):
            before = np.maximum.accumulate(lit, axis=axis)
            after = np.flip(np.maximum.accumulate(np.flip(lit, axis), axis=axis), axis)
            between &= before & after
        return self.silent_pixels & between

    @property
    def centre_of_light(self) -> tuple[float, float]:
        """(y, x) of the centre of mass of the mean pattern, pixels; near N/2 where the data are centred."""
        total = max(float(self.mean_pattern.sum()), np.finfo(float).tiny)
        y, x = (float((self.mean_pattern.sum(axis=1 - a) * np.arange(self.N)).sum() / total) for a in (0, 1))
        return y, x

    @property
    def spacing(self) -> float | None:
        """Median distance to the nearest other position, object pixels; None for a single one."""
        if self.frames < 2:
            return None
        return float(np.median(KDTree(self.positions).query(self.positions, k=2)[0][:, 1]))


def light_diameter(probe: NDArray[Any]) -> float:
    """Diameter, pixels, of the circle about its centre of mass that holds 90 % of a probe's light."""
    intensity = np.sum(np.abs(probe_modes(probe).astype(np.complex128)) ** 2, axis=0)
    r, c = (np.arange(size) for size in intensity.shape)
    total = intensity.sum()
    y, x = (intensity.sum(axis=1) @ r / total, intensity.sum(axis=0) @ c / total)
    radius = np.hypot(r[:, None] - y, c - x).ravel()
    order = np.argsort(radius)
    held = np.cumsum(intensity.ravel()[order])
    return 2 * float(radius[order][np.searchsorted(held, _WITHIN * total)]) + 1


def summarise_scan(path: str | os.PathLike[str], *, frames_axis: int | None = None) -> ScanSummary:
    """The summary of the NPZ scan at `path`; all of it is read, a few MB at a time.

    frames_axis : as of `pinn_data.files.npz.read_scan`

    Raises what `read_scan` raises for the same file.
    """
    with naming(path), NpzReader(path) as file:
        positions = read_pair(file, "xcoords", "ycoords")
        label = read_text(file, "diffraction_unit")
        if frames_axis is None and label is not None:
            frames_axis = 0
        frames, N = pattern_shape(file, len(positions), frames_axis)
        probe = checked_probe(file.read("probeGuess"))
        if probe.shape[-2:] != (N, N):
            raise ShapeError(
                f"the probe (probeGuess) has shape {probe.shape}, but the patterns are {N} x {N}: give a "
                "probe of that size"
            )
        bad = None
        if is_present(file, "bad_pixels"):
            check_mask_shape(file.entry("bad_pixels").shape, (frames, N, N))
            bad = as_bad_pixels(file.read("bad_pixels"))
        background = as_background(file.read("background")) if is_present(file, "background") else None
        check_fit(bad, background, (frames, N, N))
        sums, found = _summed(file, (frames, N, N), frames_axis, _powers(file, label), bad)
        kept = found.kept
        mean, mean_squares = (float(sums.frame[power][kept].mean()) for power in (0, 1))
        unit = units.unit_of(
            lambda: sums.whole,
            label,
            lambda: "amplitude" if sums.whole_squares else units.unit_of_fractions(mean, mean_squares, probe),
        )
        squared = unit == "amplitude"
        share = sums.unmeasured / len(kept)
        looked_at = Sample(sums.sample[np.isin(sums.sampled, kept)], unit, share == 0)
        return ScanSummary(
            frames=len(kept),
            empty=frames - len(kept),
            said=found.said,
            N=N,
            dtype=sums.dtype,
            unit=unit,
            reason=units.reason_for_unit(sums.dtype, label, unit),
            holds_counts=sums.whole_squares if squared else sums.whole,
            photons=sums.frame[int(squared)][kept],
            mean_pattern=sums.pixel[int(squared)] / np.maximum(1, len(kept) - sums.unmeasured),
            bad_pixels=share,
            background=background,
            largest=sums.largest,
            positions=positions[kept],
            probe=probe,
            object=checked_object(file.read("objectGuess")) if is_present(file, "objectGuess") else None,
            scan_indices=len(np.unique(file.read("scan_index"))) if is_present(file, "scan_index") else 1,
            metadata=read_metadata(file),
            findings=tuple(check_sample(positions[kept], probe, looked_at)),
        )


def _summed(
    file: NpzReader,
    shape: tuple[int, int, int],
    frames_axis: int | None,
    powers: tuple[int, ...],
    bad: NDArray[np.bool_] | None,
) -> tuple[_Sums, Findings]:
    """The totals of what was measured, and what was not; all frames where all are empty."""
    key = "diff3d" if "diff3d" in file else "diffraction"
    tally = MarkerTally(shape, file.entry(key).dtype, bad)
    sums = _Sums(shape, powers, bad)
    for where, piece in pattern_blocks(file, shape[0], frames_axis):
        tally.add(where, piece)
        sums.add(where, piece)
    found = tally.findings()
    if not len(found.kept):
        found = attrs.evolve(found, kept=np.arange(shape[0]))
    # Which pixels are bad, and which frames empty, is known at the end: a second look.
    if found.always.any() or found.sometimes or len(found.kept) < shape[0]:
        sums = _Sums(shape, powers, found.always if bad is None else bad | found.always, found.kept)
        for where, piece in pattern_blocks(file, shape[0], frames_axis):
            sums.add(where, piece)
    return sums, found


class _Sums:
    """Totals of numbers and of their squares: which of them are photons is known at the end of the file.

    bad : pixels that are not looked at, besides those that hold a marker
    kept : numbers of the frames that count; None for all
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        powers: tuple[int, ...],
        bad: NDArray[np.bool_] | None,
        kept: NDArray[np.int64] | None = None,
    ) -> None:
        frames, *frame = shape
        self.powers, self.bad = powers, bad
        self.counts = np.ones(frames, bool) if kept is None else np.isin(np.arange(frames), kept)
        self.unmeasured = np.zeros(frame, np.int64)
        self.frame = np.zeros((2, frames))
        self.pixel = np.zeros((2, *frame))
        self.whole = self.whole_squares = True
        self.largest = 0.0
        self.dtype: np.dtype[Any] = np.dtype(np.float64)
        self.sampled = sampled_frames(frames, frame[-1])
        self.sample: NDArray[Any] = np.zeros((len(self.sampled), *frame))

    def add(self, where: tuple[slice, slice, slice], piece: NDArray[Any]) -> None:
        self.dtype = piece.dtype.newbyteorder("=")
        if self.sample.dtype != self.dtype:
            self.sample = self.sample.astype(self.dtype)
        not_measured = is_marker(piece)
        if self.bad is not None:
            bad = np.broadcast_to(self.bad[where[-self.bad.ndim :]], piece.shape)
            not_measured = bad if not_measured is None else bad | not_measured
        if not_measured is not None:
            self.unmeasured[where[1:]] += not_measured[self.counts[where[0]]].sum(axis=0)
            piece = np.where(not_measured, piece.dtype.type(0), piece)
        start, stop, _ = where[0].indices(len(self.counts))
        here = np.flatnonzero((self.sampled >= start) & (self.sampled < stop))
        self.sample[here, *where[1:]] = piece[self.sampled[here] - start]
        self.largest = max(self.largest, float(piece.max(initial=0)))
        for block in units.frame_blocks(piece):
            part = piece[block].astype(np.float64)
            first = (where[0].start or 0) + block.start
            rows = slice(first, first + len(part))
            for power in self.powers:
                values = np.square(part) if power else part
                self.frame[power, rows] += values.sum(axis=(1, 2))
                self.pixel[power][where[1:]] += values.sum(axis=0)
            if piece.dtype.kind == "f":
                self._note_fractions(part)

    def _note_fractions(self, values: NDArray[np.float64]) -> None:
        if self.whole:
            self.whole = bool((values == np.rint(values)).all())
        if self.whole_squares:
            squares = np.square(values)
            nearest = np.rint(squares)
            self.whole_squares = bool((np.abs(squares - nearest) <= _SNAP * nearest).all())


def _powers(file: NpzReader, label: str | None) -> tuple[int, ...]:
    """Whether numbers (0), their squares (1), or either may be the intensities."""
    if label is not None:
        return (int(units.check_unit(label) == "amplitude"),)
    key = "diff3d" if "diff3d" in file else "diffraction"
    return (0,) if file.entry(key).dtype.kind in "iu" else (0, 1)
