"""What an NPZ scan says of itself besides its numbers; and how large it is, before any of them is read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

import attrs

from pinn_data.errors import DataFormatError, ShapeError, naming
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.npz_patterns import pattern_shape

__all__ = ["ScanHeader", "is_present", "read_metadata", "read_scan_header", "read_text"]

_log = logging.getLogger(__name__)

_MOST_TEXT_BYTES = 2**20  # of a unit or the metadata; JSON takes up to 24 times as much once it is read


@attrs.frozen
class ScanHeader:
    """What is known of a scan without its patterns.

    frames : number of patterns; N : pixels along one side of each
    """

    frames: int
    N: int
    metadata: Mapping[str, Any]

    @property
    def nphotons(self) -> float | None:
        """Photons in a pattern as its metadata tell (``nphotons``, or that of the public implementation's
        ``physics_parameters``); None where they do not."""
        physics = self.metadata.get("physics_parameters")
        for part in (self.metadata, physics if isinstance(physics, Mapping) else {}):
            value = part.get("nphotons")
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
                return float(value)
        return None


def read_scan_header(path: str | os.PathLike[str], *, frames_axis: int | None = None) -> ScanHeader:
    """The header of the NPZ scan at `path`; headers of arrays are read, their numbers are not.

    frames_axis : as of `pinn_data.files.npz.read_scan`

    Raises what `read_scan` raises for what it looks at: no file, no NPZ, no patterns, shapes that do not fit.
    """
    with naming(path), NpzReader(path) as file:
        positions = file.entry("xcoords").shape
        if len(positions) != 1:
            raise ShapeError(
                f"'xcoords' has shape {positions}, but one real number per frame, (frames,), is needed: "
                "reshape it"
            )
        if frames_axis is None and read_text(file, "diffraction_unit") is not None:
            frames_axis = 0
        frames, N = pattern_shape(file, positions[0], frames_axis)
        probe = file.entry("probeGuess").shape
        if probe[-2:] != (N, N):
            raise ShapeError(
                f"the probe (probeGuess) has shape {probe}, but the patterns are {N} x {N}: give a probe of "
                "that size"
            )
        return ScanHeader(frames, N, read_metadata(file))


def is_present(file: NpzReader, key: str) -> bool:
    """Whether an optional entry is there.  A pickled scalar (how numpy stores None) counts as absent."""
    if key not in file:
        return False
    if file.holds_python_object(key) and file.entry(key).shape == ():
        _log.warning("%s: '%s' is a pickled object, which is never opened: it is ignored", file.path, key)
        return False
    return True


def read_text(file: NpzReader, key: str) -> str | None:
    """The one text stored under `key`; None where there is none."""
    if not is_present(file, key):
        return None
    if file.entry(key).nbytes > _MOST_TEXT_BYTES:
        raise DataFormatError(
            f"'{key}' declares {file.entry(key).nbytes} bytes, but a text of at most {_MOST_TEXT_BYTES} is "
            "needed: store less"
        )
    array = file.read(key)
    if array.size != 1 or array.dtype.kind not in "US":
        raise DataFormatError(
            f"'{key}' is {array.dtype} {array.shape}, but one text is needed: store a string"
        )
    value = array.reshape(-1)[0]
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise DataFormatError(f"'{key}' is not UTF-8 text: store a string") from error


def read_metadata(file: NpzReader) -> dict[str, Any]:
    """The JSON object in the file; empty where there is none."""
    text = read_text(file, "metadata")
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataFormatError(f"'metadata' is not JSON ({error}): store one JSON object") from error
    if not isinstance(value, dict):
        raise DataFormatError(
            f"'metadata' is a JSON {type(value).__name__}, but one object is needed: store {{...}}"
        )
    return value
