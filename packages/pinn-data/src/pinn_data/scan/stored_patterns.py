"""Patterns that stay in their file: what a training reads of them are the frames of its next batch.

A scan of 1e5 patterns has the size of the memory of a small machine, and the operating system keeps what is
read often in memory anyway. Frames are read, not mapped: a file that shrinks ends a process that maps it; who
reads it gets an error that says so.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pinn_data.errors import DataFormatError, ShapeError

__all__ = ["LARGE", "StoredPatterns"]

LARGE = 2**28
"""Bytes of patterns above which commands leave them in the file."""

_LONGEST_READ = 2**30  # Linux reads at most 2**31 bytes at once


class StoredPatterns:
    """The patterns (n, N, N) of an open file, or some of them, as an array that is read when it is indexed.

    Frames are chosen as in an array, by a number, a slice, a mask or numbers in any order; each time they are
    a new array, read from the file. ``numpy.asarray`` reads all of them. Threads may share one, processes
    too: a copy that was pickled opens the file by its path.

    path, descriptor : the file, open for reading; a duplicate of the descriptor is kept as long as this is
    offset : bytes before the first frame
    shape, dtype : of the stack in the file, (n, N, N), frames first, native byte order

    Raises DataFormatError where the file ends too early or was changed since; ShapeError for an index that
    chooses parts of frames.
    """

    ndim = 3

    def __init__(
        self, path: Path, descriptor: int, offset: int, shape: tuple[int, int, int], dtype: DTypeLike
    ) -> None:
        self.path = path.absolute()
        self.dtype = np.dtype(dtype)
        self._offset = offset
        self._frame_shape = shape[1:]
        self._frames = np.arange(shape[0])
        self._bad: NDArray[np.bool_] | None = None
        self._adopt(os.dup(descriptor))
        self._as_opened = self._state()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, N, N)"""
        return (len(self._frames), *self._frame_shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return len(self._frames) * self._frame_shape[0] * self._frame_shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._frames)

    def __repr__(self) -> str:
        return f"<{self.dtype} {self.shape} in {self.path.name}>"

    def __getitem__(self, which: Any) -> NDArray[Any]:
        chosen = self._chosen(which)
        out = np.empty((chosen.size, *self._frame_shape), self.dtype)
        self._read(self._frames[chosen.reshape(-1)], out)
        if self._bad is not None and self._bad.ndim == 2:
            out[:, self._bad] = 0
        elif self._bad is not None:
            out[self._bad[chosen.reshape(-1)]] = 0
        return out.reshape(*chosen.shape, *self._frame_shape)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("patterns in a file cannot become an array without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def select(self, which: ArrayLike) -> StoredPatterns:
        """Some of these frames, which stay in the file, too."""
        chosen = self._chosen(which)
        if chosen.ndim != 1:
            raise ShapeError(
                f"frames are chosen by one list of numbers, not by an array of {chosen.ndim} axes"
            )
        part = self._copy()
        part._frames = self._frames[chosen]
        if self._bad is not None and self._bad.ndim == 3:
            part._bad = self._bad[chosen]
        return part

    def emptied(self, bad_pixels: NDArray[np.bool_]) -> StoredPatterns:
        """The same frames, with 0 under the bad pixels, (N, N) or (n, N, N) bool, whenever they are read."""
        part = self._copy()
        part._bad = bad_pixels if self._bad is None else self._bad | bad_pixels
        return part

    def _copy(self) -> StoredPatterns:
        part = object.__new__(StoredPatterns)
        part.__dict__.update(self.__dict__)
        return part

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        try:
            with self.path.open("rb") as file:
                self._adopt(os.dup(file.fileno()))
        except OSError as error:
            raise DataFormatError(
                f"{self.path} cannot be opened again to read its patterns ({error}): leave it in place "
                "while it is used"
            ) from error
        self._check_unchanged()

    def _chosen(self, which: Any) -> NDArray[np.int64]:
        if isinstance(which, tuple):
            raise ShapeError(
                "patterns in a file are read as whole frames, by one index: take numpy.asarray of them first"
            )
        return np.asarray(np.arange(len(self._frames))[which])

    def _adopt(self, descriptor: int) -> None:
        self._open = _OpenFile(descriptor)

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._open.descriptor)
        return status.st_size, status.st_mtime_ns

    def _check_unchanged(self) -> None:
        if self._state() != self._as_opened:
            raise DataFormatError(
                f"{self.path} was changed while its patterns were in use: start again, and write a new scan "
                "to another file"
            )

    def _read(self, frames: NDArray[np.int64], out: NDArray[Any]) -> None:
        frame_bytes = self._frame_shape[0] * self._frame_shape[1] * self.dtype.itemsize
        memory = out.reshape(-1).view(np.uint8).data
        for first, last in _runs(frames):
            start = self._offset + int(frames[first]) * frame_bytes
            part = memory[first * frame_bytes : last * frame_bytes]
            while part:
                count = self._open.read(part[:_LONGEST_READ], start)
                if not count:
                    raise DataFormatError(
                        f"{self.path} ends too early, so it was changed while its patterns were in use: "
                        "start again, and write a new scan to another file"
                    )
                part, start = part[count:], start + count
        # Afterwards: what was read before somebody wrote is right.
        self._check_unchanged()


class _OpenFile:
    """A descriptor of a file, closed when nobody holds this any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, descriptor)

    def read(self, memory: memoryview, offset: int) -> int:
        """Bytes that were read into `memory`, from `offset` on."""
        if hasattr(os, "preadv"):
            return os.preadv(self.descriptor, [memory], offset)
        with self._lock:  # Windows has no reading at a place
            # Whoever opened the file shares the place where the next byte is read.
            before = os.lseek(self.descriptor, 0, os.SEEK_CUR)
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            piece = os.read(self.descriptor, len(memory))
            os.lseek(self.descriptor, before, os.SEEK_SET)
        memory[: len(piece)] = piece
        return len(piece)


def _runs(frames: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first, last) of the stretches of `frames` that count up by one: each is one piece of the file."""
    if len(frames) == 0:
        return
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    ends = [0, *breaks.tolist(), len(frames)]
    yield from pairwise(ends)
