"""A measured scan in memory: what was measured, in which unit, where, with which probe."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import (
    DataRangeError,
    EmptyScanError,
    PositionError,
    ShapeError,
)
from pinn_data.scan import diffraction as units
from pinn_data.scan.geometry import Geometry
from pinn_data.scan.measured_pixels import (
    as_background,
    as_bad_pixels,
    check_fit,
    emptied,
    of_frames,
)
from pinn_data.scan.positions import validate_positions
from pinn_data.scan.stored_patterns import StoredPatterns


def _complex64(value: ArrayLike | None, what: str, axes: tuple[int, ...]) -> NDArray[np.complex64] | None:
    """A finite complex64 array with one of the given numbers of axes."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "iufc":
        raise DataRangeError(
            f"{what} has dtype {array.dtype}, but complex numbers are needed: store it as complex64"
        )
    if array.ndim not in axes or 0 in array.shape:
        allowed = {2: "(height, width)", 3: "(modes, height, width)"}
        raise ShapeError(
            f"{what} has shape {array.shape}, but {' or '.join(allowed[a] for a in axes)} is needed: reshape "
            "it or take one layer"
        )
    with np.errstate(over="ignore"):
        result = array.astype(np.complex64, copy=False)
    if not np.isfinite(result).all():
        raise DataRangeError(
            f"{what} holds NaN or infinity, but must be finite: repair it or make a new guess"
        )
    return result


def checked_probe(value: ArrayLike) -> NDArray[np.complex64]:
    """The probe as complex64, ([modes,] H, W).

    Raises DataRangeError (no numbers, not finite, dark), ShapeError.
    """
    probe = _complex64(value, "the probe (probeGuess)", (2, 3))
    assert probe is not None
    if not probe.any():
        raise DataRangeError(
            "the probe (probeGuess) is zero everywhere, but it must carry light: give a real probe guess"
        )
    return probe


def checked_object(value: ArrayLike | None) -> NDArray[np.complex64] | None:
    """The object as complex64 (H, W), or None.

    Raises DataRangeError (no numbers, not finite), ShapeError.
    """
    return _complex64(value, "the object (objectGuess)", (2,))


def _patterns(value: ArrayLike | StoredPatterns) -> NDArray[Any] | StoredPatterns:
    return value if isinstance(value, StoredPatterns) else np.asarray(value)


def _json_object(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(value)


def _index(value: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(value)
    whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool((array == np.rint(array)).all()))
    if not whole:
        raise DataRangeError(
            f"scan_index has dtype {array.dtype}, but whole numbers are needed: store it as int64"
        )
    return array.astype(np.int64)


@attrs.frozen(eq=False)
class Scan:
    """One measured (or simulated) scan.

    diffraction : (n, N, N) real, as stored
        Patterns in `unit`, zero frequency at ``[N/2, N/2]``. Those of a large scan may stay in their file:
        :class:`pinn_data.scan.stored_patterns.StoredPatterns`, indexed as an array is.
    unit : 'counts', 'intensity' or 'amplitude'
    positions : (n, 2) float64, object pixels
        Patch centre as (y, x); origin at the centre of the object's top-left pixel.
    probe : (N, N) or (modes, N, N) complex64
    object : (H, W) complex64, or None
        The guess or the truth that came with the scan.
    scan_index : (n,) int64, zeros unless given
    positions_start : (n, 2) float64, `positions` unless given
        Where the stage was sent, before any refinement.
    metadata : JSON object
    source : the file it was read from, or None
    bad_pixels : (N, N) or (n, N, N) bool, or None
        True where a pixel was not measured. What lies under it is never read: the patterns hold 0 there, and
        so do `amplitude` and `counts`. None where every pixel counts.
    background : () or (N, N) float64, or None
        Counts besides the diffraction, in the square of the amplitude's unit; None for 0.

    Raises ShapeError, EmptyScanError, UnitError, PositionError, DataRangeError where the parts do not fit
    together. The pixel values of the patterns are checked by the reader and the writer, not here.
    """

    diffraction: NDArray[Any] | StoredPatterns = attrs.field(
        converter=_patterns, repr=lambda a: f"<{a.dtype} {a.shape}>"
    )
    unit: units.Unit = attrs.field(converter=units.check_unit)
    positions: NDArray[np.float64] = attrs.field(converter=np.asarray, repr=False)
    probe: NDArray[np.complex64] = attrs.field(
        converter=checked_probe, repr=lambda a: f"<{a.dtype} {a.shape}>"
    )
    object: NDArray[np.complex64] | None = attrs.field(default=None, converter=checked_object, repr=False)
    scan_index: NDArray[np.int64] = attrs.field(converter=_index, repr=False)
    positions_start: NDArray[np.float64] = attrs.field(converter=np.asarray, repr=False)
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=_json_object, repr=False)
    source: Path | None = None
    bad_pixels: NDArray[np.bool_] | None = attrs.field(default=None, converter=as_bad_pixels, repr=False)
    background: NDArray[np.float64] | None = attrs.field(default=None, converter=as_background, repr=False)

    @scan_index.default
    def _zeros(self) -> NDArray[np.int64]:
        return np.zeros(len(self.diffraction), dtype=np.int64)

    @positions_start.default
    def _same_positions(self) -> NDArray[np.float64]:
        return self.positions

    def __attrs_post_init__(self) -> None:
        frames, N = units.check_stack_shape(self.diffraction.shape)
        if self.probe.shape[-2:] != (N, N):
            raise ShapeError(
                f"the probe (probeGuess) has shape {self.probe.shape}, but the patterns are {N} x {N}: give "
                "a probe of that size"
            )
        check_fit(self.bad_pixels, self.background, self.diffraction.shape)
        if self.bad_pixels is not None:
            object.__setattr__(self, "diffraction", emptied(self.diffraction, self.bad_pixels))
        object.__setattr__(self, "positions", validate_positions(self.positions, frames=frames))
        object.__setattr__(self, "positions_start", validate_positions(self.positions_start, frames=frames))
        if self.scan_index.shape != (frames,):
            raise ShapeError(
                f"scan_index has shape {self.scan_index.shape}, but one number per frame, ({frames},), is "
                "needed: fix it or leave it out"
            )

    def __len__(self) -> int:
        return len(self.diffraction)

    @property
    def N(self) -> int:
        """Side of a pattern, pixels."""
        return int(self.diffraction.shape[-1])

    @property
    def geometry(self) -> Geometry:
        """Object pixel, photon energy and detector distance, as far as the metadata tell."""
        return Geometry.of(self.metadata)

    @cached_property
    def nphotons(self) -> float:
        """Mean number of photons in a frame, background and all, in the pixels that were measured (mean of
        sum(amplitude**2))."""
        return units.measured_nphotons(self.diffraction, self.unit)

    @cached_property
    def holds_counts(self) -> bool:
        """Whether the patterns tell how many photons were counted, whatever their unit."""
        return units.holds_counts(self.diffraction, self.unit)

    def amplitude(self) -> NDArray[np.float32]:
        """Amplitudes (n, N, N) float32; the stored array itself where it is that already."""
        return units.to_amplitude(self.diffraction, self.unit)

    def counts(self) -> NDArray[Any]:
        """Counts (n, N, N), the stored array if it holds them; see `pinn_data.scan.diffraction.to_counts`."""
        return units.to_counts(self.diffraction, self.unit)

    def subsample(self, count: int | None, seed: int | np.random.Generator | None) -> NDArray[np.int64]:
        """Indices of `count` frames drawn at random without replacement, rising; of all frames for None, or
        where there are no more.

        Raises DataRangeError for a count below 1.
        """
        if count is not None and count < 1:
            raise DataRangeError(
                f"{count} frames were asked for, but the number must be at least 1: fix n_subsample"
            )
        if count is None or count >= len(self):
            return np.arange(len(self))
        return np.sort(np.random.default_rng(seed).choice(len(self), count, replace=False))

    def select(self, which: ArrayLike) -> Scan:
        """The scan of some frames: a boolean mask (n,), or indices in any order.

        Raises ShapeError (mask of another length), EmptyScanError (nothing chosen), PositionError (no such
        frame).
        """
        chosen = np.asarray(which)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise ShapeError(
                    f"the mask has shape {chosen.shape}, but the scan has {len(self)} frames: one flag per "
                    "frame is needed"
                )
            chosen = np.flatnonzero(chosen)
        if chosen.size == 0:
            raise EmptyScanError(
                "no frame of the scan is chosen, but at least one is needed: widen the selection"
            )
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise ShapeError(
                f"frames are chosen by a mask or a list of whole numbers, not by {chosen.dtype} "
                f"{chosen.shape}"
            )
        if chosen.min() < -len(self) or chosen.max() >= len(self):
            raise PositionError(
                f"frames {chosen.min()} to {chosen.max()} are chosen, but the scan has {len(self)}, "
                "counted from 0"
            )
        patterns = self.diffraction
        return attrs.evolve(
            self,
            diffraction=patterns.select(chosen) if isinstance(patterns, StoredPatterns) else patterns[chosen],
            positions=self.positions[chosen],
            scan_index=self.scan_index[chosen],
            positions_start=self.positions_start[chosen],
            bad_pixels=of_frames(self.bad_pixels, chosen),
        )

    def equals(self, other: Scan) -> bool:
        """Whether both hold the same unit, dtype, numbers and metadata, whatever file they came from."""
        return (
            all(
                _same(getattr(self, part), getattr(other, part))
                for part in ("object", "bad_pixels", "background")
            )
            and self.unit == other.unit
            and self.diffraction.dtype == other.diffraction.dtype
            and np.array_equal(self.diffraction, other.diffraction)
            and np.array_equal(self.positions, other.positions)
            and np.array_equal(self.positions_start, other.positions_start)
            and np.array_equal(self.probe, other.probe)
            and np.array_equal(self.scan_index, other.scan_index)
            and dict(self.metadata) == dict(other.metadata)
        )


def _same(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))
