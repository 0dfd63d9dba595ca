"""A stack of detector frames in a file (HDF5, NPY or NPZ), read block by block.

Frames are (n, H, W) of any size; what becomes of them is said by a :class:`pinn_data.scan.detector_window.
DetectorWindow`. Only the stack that comes out is ever in memory as a whole.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import (
    DataFileNotFoundError,
    DataFormatError,
    DataKeyError,
    EmptyScanError,
    ShapeError,
    listed,
    naming,
)
from pinn_data.files.detector_masks import find_mask
from pinn_data.files.hdf5 import find_dataset, is_hdf5, opened
from pinn_data.files.npy_file import mapped_npy
from pinn_data.files.npz_archive import NpzReader
from pinn_data.scan.detector_window import DetectorWindow
from pinn_data.scan.unmeasured import is_marker, stuck_markers

__all__ = ["FrameStack", "hdf5_frames", "open_frames", "split_entry"]

Advance = Callable[[int], None]
"""Called with the number of frames that were just read."""

_BLOCK_PIXELS = 2**21
_BESIDE = ("bad_pixels", "indexes")
_NPZ_NAMES = ("patterns", "diff3d", "diffraction", "data", "frames", "arr_0")
_HDF5_NAMES = ("patterns", "/entry_1/data_1/data", "/entry/data/data", "/exchange/data", "data")


@attrs.frozen(eq=False)
class FrameStack:
    """Frames in a file.

    source : the file, and the entry in it, for messages
    shape : (n, H, W)
    dtype : of the numbers, in native byte order
    mask : (H, W), True where the file says that a pixel was not measured; None where it says nothing
    background : () or (H, W), counts besides the diffraction, where the file says it
    indexes : (n,) the scan point of each frame, where the file says it
    """

    source: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    _blocks: Callable[[], Iterator[NDArray[Any]]]
    mask: NDArray[np.bool_] | None = None
    indexes: NDArray[np.int64] | None = None
    background: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.shape[1:]

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Pieces (start, frames), in order; together all frames."""
        start = 0
        for block in self._blocks():
            yield start, block
            start += len(block)

    def mean(self, mask: NDArray[np.bool_] | None, advance: Advance) -> NDArray[np.float64]:
        """Mean frame (H, W) with 0 where `mask` is set; markers of pixels that were not measured
        (:mod:`pinn_data.scan.unmeasured`) count as 0."""
        total = np.zeros(self.frame_shape)
        for _, block in self.blocks():
            marked = is_marker(block)
            good = block if marked is None else np.where(marked, block.dtype.type(0), block)
            total += good.sum(axis=0, dtype=np.float64)
            advance(len(block))
        total[np.isin(total, [value * len(self) for value in stuck_markers(self.dtype)])] = 0
        if mask is not None:
            total[mask] = 0
        return total / len(self)

    def windowed(
        self,
        window: DetectorWindow,
        chosen: NDArray[np.int64] | None,
        advance: Advance,
    ) -> NDArray[Any]:
        """The patterns (frame, N, N) of these frames (default: all), in the dtype of the file.

        Raises DataFormatError where they do not fit into memory, and what reading raises.
        """
        target = np.arange(len(self)) if chosen is None else np.full(len(self), -1)
        if chosen is not None:
            target[chosen] = np.arange(len(chosen))
        count = len(self) if chosen is None else len(chosen)
        try:
            out = np.empty((count, window.N, window.N), self.dtype)
        except MemoryError as error:
            need = count * window.N**2 * self.dtype.itemsize / 2**30
            raise DataFormatError(
                f"{self.source} needs {need:.1f} GiB of memory, more than available: use a larger machine, "
                "or split the scan"
            ) from error
        for start, block in self.blocks():
            to = target[start : start + len(block)]
            if to[0] >= 0 and (np.diff(to) == 1).all():  # in order, as a rule: no copy
                window.cut(block, out[to[0] : to[0] + len(to)])
            else:
                for frame, place in zip(block, to, strict=True):
                    if place >= 0:
                        window.cut(frame[None], out[place : place + 1])
            advance(len(block))
        return out


def split_entry(text: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """(file, entry) of ``FILE`` or ``FILE:ENTRY``; a file of the whole name wins."""
    whole = Path(text)
    before, colon, entry = str(text).rpartition(":")
    # A drive letter of Windows is no file name.
    if whole.exists() or not colon or not entry or len(before) < 2 or entry.startswith("\\"):
        return whole, None
    return Path(before), entry


def open_frames(path: Path, entry: str | None = None, frames_axis: int = 0) -> FrameStack:
    """The frames in an NPY, NPZ or HDF5 file, told by its contents.

    entry : the array in it; default the one of a customary name, or the only one with three axes
    frames_axis : 0 for (n, H, W), 2 for (H, W, n)

    Raises DataFileNotFoundError, DataFormatError, DataKeyError (which array?), ShapeError, EmptyScanError.
    """
    if not path.is_file():
        why = "is a folder: give the file" if path.is_dir() else "does not exist: check the path"
        raise DataFileNotFoundError(f"{path} {why} of the patterns")
    if is_hdf5(path):
        names = _HDF5_NAMES if entry is None else (entry,)
        return hdf5_frames(path, names, frames_axis)
    with path.open("rb") as file:
        start = file.read(6)
    if start == b"\x93NUMPY":
        return _npy_frames(path, frames_axis)
    if start.startswith(b"PK"):
        return _npz_frames(path, entry, frames_axis)
    raise DataFormatError(
        f"{path} is not a known file of patterns: give an NPY, NPZ or HDF5 file (FILE:NAME selects an array)"
    )


def hdf5_frames(path: Path, names: tuple[str, ...], frames_axis: int = 0) -> FrameStack:
    """The frames in the first of these datasets that the HDF5 file has; its ``bad_pixels`` and ``indexes``
    beside a dataset ``patterns``, as ptychodus writes them, are taken along; so is a mask of CXI or NeXus.

    Raises what `open_frames` raises.
    """
    with opened(path, "HDF5 file") as file:
        dataset = _stack_in(file, names)
        shape, axes = _order(dataset.shape, frames_axis, dataset.name)
        dtype, chunks = dataset.dtype, dataset.chunks
        extra = {}
        for key in _BESIDE if dataset.name == "/patterns" else ():
            found = find_dataset(file, key)
            if found is not None:
                _check_beside(path, key, found.shape, found.dtype, shape)
                extra[key] = np.asarray(found[()])
        if "bad_pixels" not in extra:
            mask = find_mask(file)
            if mask is not None and mask.shape == shape[1:]:
                extra["bad_pixels"] = mask
    per_block = max(1, _BLOCK_PIXELS // (shape[1] * shape[2]))
    if chunks is not None:  # whole chunks, lest each is inflated several times
        per_block = math.ceil(per_block / chunks[frames_axis]) * chunks[frames_axis]
        if chunks[frames_axis] * shape[1] * shape[2] > 64 * _BLOCK_PIXELS:
            per_block = max(1, _BLOCK_PIXELS // (shape[1] * shape[2]))

    def blocks() -> Iterator[NDArray[Any]]:
        with opened(path, "HDF5 file") as file:
            dataset = _stack_in(file, names)
            for first in range(0, shape[0], per_block):
                piece = slice(first, first + per_block)
                yield (dataset[piece] if frames_axis == 0 else dataset[:, :, piece]).transpose(axes)

    return _stack(f"{path}:{dataset_name(names, path)}", shape, dtype, blocks, **extra)


def dataset_name(names: tuple[str, ...], path: Path) -> str:
    """The first of these names that the file has."""
    with opened(path, "HDF5 file") as file:
        return next(name for name in names if find_dataset(file, name) is not None)


def _stack_in(file: h5py.File, names: tuple[str, ...]) -> h5py.Dataset:
    dataset = find_dataset(file, *names)
    if dataset is None:
        raise DataKeyError(
            f"the file has no dataset {' or '.join(names)} (at its top: {listed(file, 12)}), but the "
            "patterns are needed: name their dataset as FILE:DATASET"
        )
    return dataset


def _npy_frames(path: Path, frames_axis: int) -> FrameStack:
    whole = mapped_npy(path)
    with naming(path):
        shape, axes = _order(whole.shape, frames_axis, "the array")
    step = max(1, _BLOCK_PIXELS // max(1, shape[1] * shape[2]))

    def blocks() -> Iterator[NDArray[Any]]:
        frames = whole.transpose(axes)
        for first in range(0, shape[0], step):
            yield np.asarray(frames[first : first + step])

    return _stack(str(path), shape, whole.dtype, blocks)


def _npz_frames(path: Path, entry: str | None, frames_axis: int) -> FrameStack:
    with naming(path), NpzReader(path) as file:
        key = _npz_key(file) if entry is None else entry
        header = file.entry(key)
        shape, axes = _order(header.shape, frames_axis, key)
        extra = {}
        for name in _BESIDE:
            if name in file:
                found = file.entry(name)
                _check_beside(path, name, found.shape, found.dtype, shape)
                extra[name] = file.read(name)
    streamed = frames_axis == 0 and not header.fortran_order

    def blocks() -> Iterator[NDArray[Any]]:
        with NpzReader(path) as file:
            if streamed:
                yield from (block for _, block in file.blocks(key))
            else:  # the frames are spread over the whole entry
                yield file.read(key, axes)

    return _stack(f"{path}:{one_line(key, 60)}", shape, header.dtype, blocks, **extra)


def _npz_key(file: NpzReader) -> str:
    stacks = [key for key in file.keys if len(file.entry(key).shape) == 3]
    for name in _NPZ_NAMES:
        if name in stacks:
            return name
    if len(stacks) == 1:
        return stacks[0]
    raise DataKeyError(
        f"{file.path} holds {'several arrays' if stacks else 'no array'} with three axes "
        f"({listed(stacks or file.keys)}), so it is not clear where the patterns are: name "
        "them as FILE:NAME"
    )


def _order(
    shape: tuple[int, ...], frames_axis: int, name: str
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(n, H, W), and the axis order that gives it."""
    if len(shape) != 3:
        raise ShapeError(
            f"'{one_line(name, 60)}' has shape {shape}, but three axes (frames, rows, columns) are needed: "
            "name another array as FILE:NAME, or reshape it"
        )
    axes = (0, 1, 2) if frames_axis == 0 else (2, 0, 1)
    n, H, W = (int(shape[a]) for a in axes)
    if 0 in (n, H, W):
        raise EmptyScanError(
            f"'{one_line(name, 60)}' has shape {shape}, so it holds no pattern: check the file"
        )
    return (n, H, W), axes


def _check_beside(
    path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], frames: tuple[int, int, int]
) -> None:
    """Before anything of it is read."""
    if key == "bad_pixels" and (shape != frames[1:] or dtype.kind not in "biuf"):
        raise ShapeError(
            f"{path}: bad_pixels is {one_line(dtype)} of shape {shape}, but one number per pixel of the "
            f"frames, {frames[1]} x {frames[2]}, is needed: fix it or leave it out"
        )
    if key == "indexes" and (shape != frames[:1] or dtype.kind not in "iu"):
        raise ShapeError(
            f"{path}: indexes is {one_line(dtype)} of shape {shape}, but one whole number per frame, "
            f"({frames[0]},), is needed: fix it or leave it out"
        )


def _stack(
    source: str,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    blocks: Callable[[], Iterator[NDArray[Any]]],
    bad_pixels: NDArray[Any] | None = None,
    indexes: NDArray[Any] | None = None,
) -> FrameStack:
    if dtype.kind not in "iuf":
        raise DataFormatError(
            f"{source} has dtype {one_line(dtype)}, but real numbers are needed: store counts as integers"
        )
    return FrameStack(
        source,
        shape,
        dtype.newbyteorder("="),
        blocks,
        None if bad_pixels is None else bad_pixels != 0,
        None if indexes is None else indexes.astype(np.int64),
    )
