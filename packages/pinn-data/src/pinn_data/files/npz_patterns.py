"""Which entry of an NPZ file holds the patterns, in which axis order, and what if there are two.

``diff3d`` and ``diffraction`` are two names of one thing: a file that has both must hold the same numbers
twice. ``(N, N, n)``, as some beamlines write it, is told from ``(n, N, N)`` by the number of positions, never
guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import DataFormatError, DataKeyError, ShapeError, listed
from pinn_data.files.npz_archive import Entry, NpzReader, in_file_order
from pinn_data.scan.diffraction import check_stack_shape
from pinn_data.scan.stored_patterns import StoredPatterns

_PATTERNS = ("diff3d", "diffraction")


def read_patterns(
    file: NpzReader, frames: int, frames_axis: int | None, in_file_above: int | None = None
) -> NDArray[Any] | StoredPatterns:
    """The stack (n, N, N), from whichever of the two names; both must agree.

    in_file_above : bytes above which it stays in the file, where that holds it as memory would; its bytes are
        compared with their checksum now
    """
    found = _found(file)
    first, axes = found[0], _axes(file, found[0], frames, frames_axis)
    if in_file_above is not None and file.entry(first).nbytes > in_file_above:
        stored = _stored(file, found, axes)
        if stored is not None:
            return stored
    stack = file.read(first, axes)
    if stack.ndim == 4:
        stack = stack[..., 0]
    for second in found[1:]:
        _check_same(file, stack, first, second, _axes(file, second, frames, frames_axis))
    return stack


def _stored(file: NpzReader, found: list[str], axes: tuple[int, ...]) -> StoredPatterns | None:
    first, shape = found[0], file.entry(found[0]).shape
    where = file.where_stored(first) if axes[:3] == (0, 1, 2) else None
    if where is None or not all(_same_bytes(file, first, second) for second in found[1:]):
        return None
    frames, rows, columns = shape[:3]
    stored = StoredPatterns(file.path, *where, (frames, rows, columns), file.entry(first).dtype)
    file.check(first)
    return stored


def _same_bytes(file: NpzReader, first: str, second: str) -> bool:
    """Whether two entries have the same header and the same CRC-32 of their bytes."""
    return attrs.evolve(file.entry(first), data_start=0) == attrs.evolve(file.entry(second), data_start=0)


def pattern_blocks(
    file: NpzReader, frames: int, frames_axis: int | None
) -> Iterator[tuple[tuple[slice, slice, slice], NDArray[Any]]]:
    """The stack (n, N, N) in pieces of a few MB as they lie in the file: (where in the stack, piece).

    Of a file that holds the patterns under both names, those of the first, if headers and checksums say that
    both are the same; otherwise both are read and compared, with the memory that takes.
    """
    found = _found(file)
    axes = _axes(file, found[0], frames, frames_axis)
    entry = file.entry(found[0])
    if not all(_same_bytes(file, found[0], second) for second in found[1:]):
        stack = np.asarray(read_patterns(file, frames, frames_axis))
        yield (slice(0, len(stack)), slice(None), slice(None)), stack
        return
    file_axes = tuple(range(len(entry.shape)))[:: -1 if entry.fortran_order else 1]
    order = tuple(file_axes.index(a) for a in axes)
    for start, block in file.blocks(found[0]):
        piece = block.transpose(order)
        if piece.ndim == 4:
            piece = piece[..., 0]
        where = [slice(None), slice(None), slice(None)]
        slowest = order.index(0)
        if slowest < 3:
            where[slowest] = slice(start, start + len(block))
        yield (where[0], where[1], where[2]), piece


def pattern_shape(file: NpzReader, frames: int, frames_axis: int | None) -> tuple[int, int]:
    """(n, N) of the stack that `read_patterns` would give; nothing of it is read."""
    key = _found(file)[0]
    axes = _axes(file, key, frames, frames_axis)
    shape = file.entry(key).shape
    return shape[axes[0]], shape[axes[1]]


def _found(file: NpzReader) -> list[str]:
    found = [key for key in _PATTERNS if key in file]
    if not found:
        raise DataKeyError(
            f"{file.path} has no entry 'diff3d' or 'diffraction' (it holds "
            f"{listed(file.keys)}), but a scan needs its patterns: add them to the file"
        )
    return found


def _axes(file: NpzReader, key: str, frames: int, frames_axis: int | None) -> tuple[int, ...]:
    """The axis order that brings entry `key` to (n, N, N), or (n, N, N, 1), decided from its shape alone."""
    full = file.entry(key).shape
    shape = full[:3] if len(full) == 4 and full[3] == 1 else full
    if frames_axis not in (None, 0, 2):
        raise ShapeError(
            f"frames_axis = {frames_axis} is not possible: use 0 for (frames, N, N) or 2 for (N, N, frames)"
        )
    first, last = (0, 1, 2), (2, 0, 1)
    if len(shape) != 3:
        raise ShapeError(f"'{key}' has shape {full}, but three axes (frames, N, N) are needed: reshape it")
    if frames_axis is None:
        if shape[0] == shape[1] == shape[2] == frames:
            raise ShapeError(
                f"'{key}' has shape {shape} with {frames} positions, so it is not clear which axis counts "
                "the frames: pass frames_axis=0 (or 2), or add the entry diffraction_unit to the file"
            )
        frames_axis = 2 if shape[0] == shape[1] and shape[2] == frames else 0
    axes = first if frames_axis == 0 else last
    ordered = tuple(shape[a] for a in axes)
    check_stack_shape(ordered)
    if ordered[0] != frames:
        raise ShapeError(
            f"'{key}' has shape {shape} but there are {frames} positions (xcoords, ycoords), and each "
            "pattern needs exactly one: add the missing ones or remove the extra ones"
        )
    return axes if len(full) == 3 else (*axes, 3)


def _check_same(file: NpzReader, stack: NDArray[Any], first: str, second: str, axes: tuple[int, ...]) -> None:
    """Refuse a file whose two stacks differ; the second is never in memory as a whole."""
    if _same_bytes(file, first, second):
        return
    two = file.entry(second)
    shape = tuple(two.shape[a] for a in axes)
    whole = stack if len(shape) == 3 else stack[..., None]
    same = whole.shape == shape and _equal_in_blocks(file, second, two, in_file_order(whole, two, axes))
    if not same:
        raise DataFormatError(
            f"{file.path} holds both '{first}' and '{second}' and they differ, so it is not clear which was "
            "measured: keep one of them"
        )


def _equal_in_blocks(file: NpzReader, key: str, entry: Entry, expected: NDArray[Any]) -> bool:
    if not {entry.dtype.kind, expected.dtype.kind} <= set("biufc"):
        return False  # text is no number, whatever it says
    # Stored twice with different precision, the same numbers still agree to that of float32 (or float16).
    coarse = (
        min(np.finfo(d).precision for d in (entry.dtype, expected.dtype) if d.kind == "f")
        if ("f" in (entry.dtype.kind, expected.dtype.kind) and entry.dtype != expected.dtype)
        else None
    )
    for start, block in file.blocks(key):
        other = expected[start : start + len(block)]
        if coarse is None and not np.array_equal(other, block):
            return False
        if coarse is not None and not np.allclose(other, block, rtol=10.0**-coarse, atol=0):
            return False
    return True
