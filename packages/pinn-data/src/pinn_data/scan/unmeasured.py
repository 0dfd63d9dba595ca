"""What a detector writes where it did not measure: markers become bad pixels, frames that hold nothing go.

A marker is the largest number of an integer dtype (a saturated pixel was not measured either), 2**32 - 1 in
any wider or real dtype (the marker of Eiger detectors), a whole number below 0 (-1 in the gaps of a Pilatus,
-2 for a dead pixel) and NaN or infinity; 65535 and 2**31 - 1 in a wider dtype are one where a pixel holds
them in every frame.  A pixel that is marked in nearly all frames is bad in all of them.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import DataRangeError, listed
from pinn_data.scan.diffraction import Stack, frame_blocks
from pinn_data.scan.measured_pixels import clear, emptied, of_frames
from pinn_data.scan.stored_patterns import StoredPatterns

__all__ = ["Findings", "MarkerTally", "Measured", "is_marker", "measured_part", "stuck_markers"]

_EIGER = 2**32 - 1
_IN_EVERY_FRAME = (2**16 - 1, 2**31 - 1)  # too small to be a marker wherever they occur
_FEWEST_FRAMES = 4  # for the same number in every frame to be no chance
_NEARLY_ALL = 0.9  # of the frames
_MOST_NEGATIVES = 4  # different ones that mark pixels; more are what a subtracted dark leaves
_LISTED = 12

Where = tuple[slice, slice, slice]


def is_marker(piece: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Which numbers of an array say that a pixel was not measured; None where none does, found without a
    temporary array.

    >>> is_marker(np.array([3, 65535, 0], np.uint16))
    array([False,  True, False])
    """
    dtype = piece.dtype
    if piece.size == 0:
        return None
    low, high = piece.min().item(), piece.max().item()
    if dtype.kind == "f":
        if low >= 0 and high < _EIGER:  # NaN fails both
            return None
        found = ~np.isfinite(piece) | (piece < 0)
        # Float32 knows 2**32 only.
        return found | (piece == _EIGER) | (piece == _EIGER + 1) if dtype.itemsize > 2 else found
    largest = np.iinfo(dtype).max
    if low >= 0 and high < min(_EIGER, largest):
        return None
    found = (piece < 0) | (piece == largest)
    return found | (piece == _EIGER) if largest > _EIGER else found


def stuck_markers(dtype: np.dtype[Any]) -> tuple[int, ...]:
    """The numbers that are markers in this dtype where a pixel holds them in every frame."""
    if dtype.kind == "f":
        return _IN_EVERY_FRAME if dtype.itemsize > 2 else ()
    return tuple(value for value in _IN_EVERY_FRAME if value < np.iinfo(dtype).max)


@attrs.frozen(eq=False)
class Findings:
    """What a tally of all frames says.

    always : (N, N) bool, pixels that markers exclude in all frames
    sometimes : number of pixels besides that they exclude in some frames
    kept : (k,) int64, rising numbers of the frames that hold something
    said : a sentence each
    """

    always: NDArray[np.bool_]
    sometimes: int
    kept: NDArray[np.int64]
    said: tuple[str, ...]


class MarkerTally:
    """Counts the markers of a stack (n, N, N) that comes in pieces.

    bad_pixels : (N, N) or (n, N, N), pixels that are known to be bad: what lies there is not looked at
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], bad_pixels: NDArray[np.bool_] | None = None
    ) -> None:
        frames, *frame = shape
        self.bad = bad_pixels
        self.pixel = np.zeros(frame, np.int64)  # frames in which each is marked
        self.frame = np.zeros(frames, np.int64)  # marked pixels of each
        self.lit = np.zeros(frames, bool)
        self.values: set[float] = set()
        self.stuck = {value: np.zeros(frame, np.int64) for value in stuck_markers(dtype)}

    def add(self, where: Where, piece: NDArray[Any]) -> None:
        """Count one piece (frames, rows, columns), which lies at `where` in the stack.

        Raises DataRangeError for negative numbers that are no markers.
        """
        nothing = is_marker(piece)
        if self.bad is not None:
            bad = np.broadcast_to(self.bad[where[-self.bad.ndim :]], piece.shape)
            marked = None if nothing is None else nothing & ~bad
            nothing = bad if nothing is None else nothing | bad
        else:
            marked = nothing
        for value, count in self.stuck.items():
            if piece.size and piece.max() >= value:
                same = piece == value
                count[where[1:]] += same.sum(axis=0)
                nothing = same if nothing is None else nothing | same
        holds = piece if nothing is None else (piece != 0) & ~nothing
        self.lit[where[0]] |= holds.any(axis=(1, 2))
        if marked is not None and marked.any():
            self.pixel[where[1:]] += marked.sum(axis=0)
            self.frame[where[0]] += marked.sum(axis=(1, 2))
            self._note(where[0].start or 0, piece, marked)

    def _note(self, first: int, piece: NDArray[Any], marked: NDArray[np.bool_]) -> None:
        found = np.unique(piece[marked])
        finite = found[np.isfinite(found)]
        self.values.update([*finite[: 2 * _MOST_NEGATIVES].tolist(), *finite[-1:].tolist()])
        if len(finite) < len(found):
            self.values.add(np.inf)
        negative = sorted(v for v in self.values if v < 0)
        odd = [v for v in negative if v != round(v)] or (negative if len(negative) > _MOST_NEGATIVES else [])
        if odd:
            holds = np.flatnonzero(np.isin(piece, odd).any(axis=(1, 2)))
            raise DataRangeError(
                f"diffraction pattern {first + int(holds[0])} holds {odd[0]:g}, but pixels must be 0 or "
                "more, except for a few whole numbers (-1, -2) that mark bad pixels: store the patterns "
                "without subtracting the dark frame, and the dark frame as background"
            )

    def findings(self, *, drop_empty: bool = True) -> Findings:
        """What was found, once every piece was added; of empty frames nothing is said unless they are to be
        left out."""
        frames, kept = len(self.lit), np.flatnonzero(self.lit)
        good = np.ones(self.pixel.shape, bool) if self.bad is None else ~self.bad
        # Where all of a frame is marked, that says nothing of single pixels.
        void = (self.frame > 0) & (self.frame == good.sum(axis=(-2, -1)))
        marked = self.pixel - (void.sum() * good if good.ndim == 2 else good[void].sum(axis=0))
        always = (marked > 0) & (marked >= _NEARLY_ALL * (frames - void.sum()))
        values = set(self.values)
        for value, count in self.stuck.items():
            stuck = (count >= max(_FEWEST_FRAMES, len(kept))) & (good if good.ndim == 2 else good.all(axis=0))
            if stuck.any():
                always |= stuck
                values.add(value)
        sometimes = int(((marked > 0) & ~always).sum())
        return Findings(always, sometimes, kept, self._words(always, sometimes, values, drop_empty))

    def _words(
        self, always: NDArray[np.bool_], sometimes: int, values: set[float], drop_empty: bool
    ) -> tuple[str, ...]:
        said = []
        if always.any() or sometimes:
            words = [f"{value:.10g}" if value < np.inf else "NaN or infinity" for value in sorted(values)]
            where = [f"{int(always.sum())} pixel(s)"] * bool(always.any())
            where += [f"{sometimes} pixel(s) of some frames"] * bool(sometimes)
            said.append(
                f"{' and '.join(where)} not measured (they hold {listed(words, _LISTED)}) and left out"
            )
        empty = np.flatnonzero(~self.lit)
        if len(empty) and drop_empty:
            numbers = listed((str(number) for number in empty), _LISTED)
            said.append(
                f"{len(empty)} of {len(self.lit)} frames are empty and left out (counted from 0: {numbers})"
            )
        return tuple(said)


@attrs.frozen(eq=False)
class Measured:
    """The part of a stack that was measured.

    stack : (k, N, N), 0 under bad pixels
    bad_pixels : (N, N) or (k, N, N) bool, or None
    kept : (k,) int64, numbers of the frames that are left; None for all
    said : what was left out, a sentence each
    """

    stack: Stack
    bad_pixels: NDArray[np.bool_] | None
    kept: NDArray[np.int64] | None
    said: tuple[str, ...]


def measured_part(
    stack: Stack,
    bad_pixels: NDArray[np.bool_] | None = None,
    *,
    drop_empty: bool = True,
    owned: bool = True,
) -> Measured:
    """What was measured of a stack (n, N, N): its markers become bad pixels besides those that are known, and
    frames that hold nothing are left out.

    drop_empty : False keeps frames that hold nothing
    owned : whether the array may be written into; of one that may not a copy is made where that is needed

    Patterns in a file stay there.

    Raises DataRangeError (no numbers; negative ones that mark nothing; nothing was measured).
    """
    if stack.dtype.kind not in "iuf":
        raise DataRangeError(
            f"the diffraction patterns have dtype {stack.dtype}, but real numbers are needed: store counts "
            "as integers or amplitudes as float32"
        )
    tally = MarkerTally(stack.shape, stack.dtype, bad_pixels)
    for block in frame_blocks(stack):
        tally.add((block, slice(None), slice(None)), stack[block])
    found = tally.findings(drop_empty=drop_empty)
    bad = _combined(stack, bad_pixels, found)
    kept = None
    if drop_empty and len(found.kept) < len(stack):
        if not len(found.kept):
            raise DataRangeError(
                f"all {len(stack)} diffraction patterns are empty (no counts), so there is nothing to learn "
                "from: check the file"
            )
        kept = found.kept
        stack, bad = _only(stack, kept, owned), of_frames(bad, kept)
    if bad is not None:
        if found.sometimes and (bad == bad[:1]).all():
            bad = bad[0]
        if owned and not isinstance(stack, StoredPatterns):
            clear(stack, bad)
        else:
            stack = emptied(stack, bad)
    return Measured(stack, bad, kept, found.said)


def _combined(stack: Stack, known: NDArray[np.bool_] | None, found: Findings) -> NDArray[np.bool_] | None:
    always = found.always if known is None else known | found.always
    if not found.sometimes:
        return always if always.any() else None
    bad = np.broadcast_to(always, stack.shape).copy()
    for block in frame_blocks(stack):
        marked = is_marker(stack[block])
        if marked is not None:
            bad[block] |= marked
    return bad


def _only(stack: Stack, kept: NDArray[np.int64], owned: bool) -> Stack:
    """Some frames, in the memory of all where that may be written into."""
    if isinstance(stack, StoredPatterns):
        return stack.select(kept)
    if not owned:
        return stack[kept]
    for place, frame in enumerate(kept.tolist()):
        if place != frame:
            stack[place] = stack[frame]
    return stack[: len(kept)]
