"""The NPZ schema of scans: read and written (API specification, section 4.5).

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
(:mod:`pinn_data.scan.unmeasured`); ``scan_index`` then keeps the numbers of the others.  Without
``diffraction_unit`` the unit follows :func:`pinn_data.scan.diffraction.detect_unit`.  A file that has it
is of our own making and holds the frames first; elsewhere ``(N, N, n)`` is recognised by the number of
positions.  Other entries are left alone.  Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import (
    DataFormatError,
    ShapeError,
    UnitError,
    naming,
)
from pinn_data.files.atomic_write import atomic_write
from pinn_data.files.npz_archive import NpzReader, NpzWriter
from pinn_data.files.npz_header import is_present, read_metadata, read_text
from pinn_data.files.npz_patterns import read_patterns
from pinn_data.scan import diffraction as units
from pinn_data.scan.measured_pixels import (
    as_bad_pixels,
    check_mask_shape,
)
from pinn_data.scan.positions import validate_positions
from pinn_data.scan.probe_guess import probe_of_stack
from pinn_data.scan.scan import Scan
from pinn_data.scan.unmeasured import measured_part

_log = logging.getLogger(__name__)


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
        (commands: :data:`pinn_data.scan.stored_patterns.LARGE`), where it holds them uncompressed and frames
        first

    Memory: one array of the size of the patterns, and blocks of a few MB; of patterns that stay in the file
    only the blocks.

    Raises DataFileNotFoundError, DataFormatError (foreign, truncated, pickled), DataKeyError, and what
    :class:`Scan` and :func:`pinn_data.scan.unmeasured.measured_part` raise.
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
            "%s: integers are %s read as amplitudes, but they are more likely counts: check the unit",
            path,
            why,
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
                    f"{key} has {len(parts[key])} entries, but one per frame, {len(positions)}, is needed: "
                    "fix it or leave it out"
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
                "the squares of these amplitudes are not whole numbers, so they are not counts: write "
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
                f"'{key}' is {array.dtype} of shape {array.shape}, but one real number per frame, "
                "(frames,), is needed: reshape it"
            )
    if len(x) != len(y):
        raise ShapeError(
            f"'{x_key}' has {len(x)} entries and '{y_key}' {len(y)}, but both need one per frame: check "
            "which is right"
        )
    return validate_positions(np.stack([y, x], axis=1))


def _metadata_text(metadata: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataFormatError(
            f"the scan's metadata cannot be written as JSON ({error}): use only text, finite numbers, lists "
            "and dictionaries"
        ) from error
