"""A scan in memory, and the NPZ schema it is read from and written to (API specification, section 4.5).

==============================  =======================  =====================================================
entry                           shape, dtype             meaning
==============================  =======================  =====================================================
``xcoords``, ``ycoords``        (n,) real                patch centres in object pixels: x column, y row
``diff3d`` or ``diffraction``   (n, N, N) real           patterns, zero frequency at ``[N/2, N/2]``; N even
``probeGuess``                  ([modes,] N, N) complex  probe; modes add in intensity
``objectGuess``                 (H, W) complex           optional
``scan_index``                  (n,) integer             optional, zeros
``xcoords_start``, ``y…``       (n,) real                optional (both or none), the positions
``bad_pixels``                  ([n,] N, N) bool         optional: True where a pixel was not measured
``background``                  () or (N, N) real        optional: counts besides the diffraction, not below 0
``diffraction_unit``            text                     optional: ``counts``, ``intensity`` or ``amplitude``
``metadata``                    text                     optional: one JSON object
==============================  =======================  =====================================================

Markers of pixels that were not measured become ``bad_pixels``, and frames that hold nothing are left out
(:mod:`pinn_data.unmeasured`); ``scan_index`` then keeps the numbers of the others.  Without
``diffraction_unit`` the unit follows :func:`pinn_data.diffraction.detect_unit`.  A file that has it
is of our own making and holds the frames first; elsewhere ``(N, N, n)`` is recognised by the number of
positions.  Other entries are left alone.  Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data import diffraction as units
from pinn_data.atomic_write import atomic_write
from pinn_data.errors import (
    DataFormatError,
    DataRangeError,
    EmptyScanError,
    PositionError,
    ShapeError,
    UnitError,
    naming,
)
from pinn_data.geometry import Geometry
from pinn_data.measured_pixels import (
    as_background,
    as_bad_pixels,
    check_fit,
    check_mask_shape,
    emptied,
    of_frames,
)
from pinn_data.npz_archive import NpzReader, NpzWriter
from pinn_data.npz_header import is_present, read_metadata, read_text
from pinn_data.npz_patterns import read_patterns
from pinn_data.probe_guess import probe_of_stack
from pinn_data.scan import validate_positions
from pinn_data.stored_patterns import StoredPatterns
from pinn_data.unmeasured import measured_part

_log = logging.getLogger(__name__)


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
        :class:`pinn_data.stored_patterns.StoredPatterns`, indexed as an array is.
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
    unit: str = attrs.field(converter=units.check_unit)
    positions: NDArray[np.float64] = attrs.field(converter=np.asarray, repr=False)
    probe: NDArray[np.complex64] = attrs.field(
        converter=checked_probe, repr=lambda a: f"<{a.dtype} {a.shape}>"
    )
    object: NDArray[np.complex64] | None = attrs.field(default=None, converter=checked_object, repr=False)
    scan_index: NDArray[np.int64] = attrs.field(converter=_index, repr=False)
    positions_start: NDArray[np.float64] = attrs.field(converter=np.asarray, repr=False)
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=dict, repr=False)
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
                f"scan_index has shape {self.scan_index.shape}, but one number a frame, ({frames},), is "
                "needed: leave it out or make it so"
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
        """Counts (n, N, N), see :func:`pinn_data.diffraction.to_counts`; the stored array if it is that."""
        return units.to_counts(self.diffraction, self.unit)

    def subsample(self, count: int | None, seed: int | np.random.Generator | None) -> NDArray[np.int64]:
        """Indices of `count` frames drawn at random without replacement, rising; of all frames for None, or
        where there are no more.

        Raises DataRangeError for a count below 1.
        """
        if count is not None and count < 1:
            raise DataRangeError(
                f"{count} frames were asked for, but the number must be at least 1: mend n_subsample"
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
                    f"the mask has shape {chosen.shape}, but the scan has {len(self)} frames: one flag a "
                    "frame"
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


def read_scan(
    path: str | os.PathLike[str],
    *,
    unit: str | None = None,
    frames_axis: int | None = None,
    in_file_above: int | None = None,
    guess_probe: bool = False,
) -> Scan:
    """The scan in an NPZ file, its patterns in the dtype and unit in which they are stored.

    unit : what the patterns are, for a file that does not say it (or says it wrongly)
    frames_axis : 0 for (n, N, N), 2 for (N, N, n); only for files whose shape does not tell
    guess_probe : whether a file without a probe gets one that is made from its patterns
    in_file_above : bytes above which the patterns stay in the file and are read when they are asked for
        (commands: :data:`pinn_data.stored_patterns.LARGE`), where it holds them uncompressed and frames first

    Memory: one array of the size of the patterns, and blocks of a few MB; of patterns that stay in the file
    only the blocks.

    Raises DataFileNotFoundError, DataFormatError (foreign, truncated, pickled), DataKeyError, and what
    :class:`Scan` and :func:`pinn_data.unmeasured.measured_part` raise.
    """
    with naming(path), NpzReader(path) as file:
        positions = read_pair(file, "xcoords", "ycoords")
        label = read_text(file, "diffraction_unit")
        guessed = guess_probe and not is_present(file, "probeGuess")
        if not guessed:
            file.entry("probeGuess")  # miss it before the long read, not after
        if frames_axis is None and label is not None:
            frames_axis = 0
        stack = read_patterns(file, len(positions), frames_axis, in_file_above)
        parts: dict[str, Any] = {}
        if is_present(file, "bad_pixels"):
            check_mask_shape(file.entry("bad_pixels").shape, stack.shape)
            parts["bad_pixels"] = as_bad_pixels(file.read("bad_pixels"))
        found = measured_part(stack, parts.get("bad_pixels"))
        stack, parts["bad_pixels"] = found.stack, found.bad_pixels
        probe = None if guessed else file.read("probeGuess")
        known = units.detect_unit(stack, unit if unit is not None else label, probe)
        if probe is None:
            probe = probe_of_stack(stack, known)
        if is_present(file, "xcoords_start") or is_present(file, "ycoords_start"):
            parts["positions_start"] = read_pair(file, "xcoords_start", "ycoords_start")
        for field, key in (
            ("object", "objectGuess"),
            ("scan_index", "scan_index"),
            ("background", "background"),
        ):
            if is_present(file, key):
                parts[field] = file.read(key)
        metadata = read_metadata(file)
        if found.said:
            metadata = noted(metadata, path, found.said)
        if found.kept is not None:
            parts.setdefault("scan_index", np.arange(len(positions)))
            positions, parts = _only(found.kept, positions, parts)
        scan = Scan(
            diffraction=stack,
            unit=known,
            positions=positions,
            probe=probe,
            metadata=metadata,
            source=Path(path),
            **parts,
        )
    for sentence in found.said:
        _log.warning("%s: %s", path, sentence)
    why = "as asked" if unit is not None else units.reason_for_unit(stack.dtype, label, known)
    _log.info("%s: %d patterns of %d x %d taken as %s (%s)", path, len(scan), scan.N, scan.N, known, why)
    if known == "amplitude" and (stack.dtype.kind in "iu"):
        _log.warning(
            "%s: integers are %s taken for amplitudes; counts are likelier, check the unit", path, why
        )
    return scan


def noted(metadata: Mapping[str, Any], source: str | os.PathLike[str], said: Iterable[str]) -> dict[str, Any]:
    """Metadata that keep what a reader of `source` found and assumed, a sentence each, under
    ``conversion``: ``{"source": ..., "said": [...]}``, after what was said before."""
    before = metadata.get("conversion")
    before = before if isinstance(before, Mapping) else {}
    earlier = before.get("said")
    sentences = [*(earlier if isinstance(earlier, list) else []), *said]
    return {**metadata, "conversion": {"source": str(source), **before, "said": sentences}}


def _only(
    kept: NDArray[np.int64], positions: NDArray[np.float64], parts: Mapping[str, Any]
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Positions, and the parts of a scan, of some of its frames."""
    chosen = dict(parts)
    for key in ("scan_index", "positions_start"):
        if key in parts:
            if len(parts[key]) != len(positions):
                raise ShapeError(
                    f"{key} has {len(parts[key])} entries, but one a frame, {len(positions)}, is needed: "
                    "leave it out or make it so"
                )
            chosen[key] = parts[key][kept]
    return positions[kept], chosen


def write_scan(path: str | os.PathLike[str], scan: Scan, *, unit: str = "amplitude") -> Path:
    """Write a scan as NPZ, whole or not at all, and return the path.

    The patterns are stored once, under ``diff3d``, in `unit`, converted block by block.  In their own unit
    they keep their dtype, and ``read_scan(write_scan(p, x, unit=x.unit)).equals(x)``.  As amplitudes of
    counts they are float32 (float64 where counts reach 2**22), and ``read_scan(...).counts()`` equals the
    counts exactly.

    Raises DataWriteError (folder missing or not writable), UnitError (unknown; fractions as counts),
    DataRangeError (NaN, negative), DataFormatError (metadata that is not JSON).
    """
    wanted = units.check_unit(unit)
    stack = scan.diffraction
    known = units.check_unit(scan.unit)
    units.check_values(stack)
    dtype = stack.dtype
    if wanted == "amplitude" and known != "amplitude":
        dtype = units.amplitude_dtype(stack, known)
    elif wanted != "amplitude" and known == "amplitude":
        dtype = np.dtype(np.float64)
    if wanted == "counts" and known == "intensity" and not units.is_whole(stack):
        raise UnitError(
            "these intensities hold fractions, and counts are whole numbers: write them as 'intensity'"
        )
    text = _metadata_text(scan.metadata)
    target = Path(path)
    with atomic_write(target) as temporary, NpzWriter(temporary) as file:
        file.write_blocks("diff3d", stack.shape, dtype, _converted_blocks(stack, known, wanted))
        file.write("diffraction_unit", np.array(wanted))
        for suffix, positions in (("", scan.positions), ("_start", scan.positions_start)):
            file.write(f"xcoords{suffix}", positions[:, 1])
            file.write(f"ycoords{suffix}", positions[:, 0])
        file.write("probeGuess", scan.probe)
        if scan.object is not None:
            file.write("objectGuess", scan.object)
        file.write("scan_index", scan.scan_index)
        if scan.bad_pixels is not None:
            file.write("bad_pixels", scan.bad_pixels)
        if scan.background is not None:
            file.write("background", scan.background)
        file.write("metadata", np.array(text))
    return target


def _converted_blocks(stack: units.Stack, unit: units.Unit, wanted: units.Unit) -> Iterator[NDArray[Any]]:
    for block in units.frame_blocks(stack):
        converted = units.convert_block(stack[block], unit, wanted)
        if wanted == "counts" and unit == "amplitude" and not units.is_whole(converted):
            raise UnitError(
                "the squares of these amplitudes are not whole numbers, so they are no counts: write "
                "'intensity'"
            )
        yield converted


def read_pair(file: NpzReader, x_key: str, y_key: str) -> NDArray[np.float64]:
    """Positions (n, 2) as (y, x) from two 1-D entries.

    Raises ShapeError, and what `validate_positions` raises.
    """
    x, y = file.read(x_key), file.read(y_key)
    for key, array in ((x_key, x), (y_key, y)):
        if array.ndim != 1 or array.dtype.kind not in "iuf":
            raise ShapeError(
                f"'{key}' is {array.dtype} of shape {array.shape}, but one real number a frame, "
                "(frames,), is needed: store it so"
            )
    if len(x) != len(y):
        raise ShapeError(
            f"'{x_key}' has {len(x)} entries and '{y_key}' {len(y)}, but both need one a frame: check which "
            "is right"
        )
    return validate_positions(np.stack([y, x], axis=1))


def _metadata_text(metadata: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataFormatError(
            f"the scan's metadata cannot be written as JSON ({error}): keep to text, finite numbers, lists "
            "and dictionaries"
        ) from error
