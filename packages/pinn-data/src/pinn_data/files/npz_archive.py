"""Arrays out of and into an NPZ file, without unpickling, trusting headers, or making extra copies.

``numpy.load`` would do for friendly files of moderate size.  This reader differs in three ways: the declared
size of an entry is compared with what the file can hold *before* memory is allocated; the bytes go straight
from the zip entry into the one array that is returned, also when axes are reordered; and whatever is wrong
ends as one sentence of :class:`~pinn_data.errors.DataFormatError`.

Source of the layout: numpy/lib/format.py (NPY versions 1.0 to 3.0); APPNOTE.TXT of the zip format.
"""

from __future__ import annotations

import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import attrs
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import DataFileNotFoundError, DataFormatError, DataKeyError, listed

_BLOCK_BYTES = 8 * 2**20  # of an array whose axes are reordered
_PIECE_BYTES = 2**20  # of a stream; zipfile holds several times as much while it inflates
_HEADER_BYTES = 2**16  # numpy refuses a header of more than 10000 characters, but only once it has it
_DEFLATE_LIMIT = 1032  # no deflate stream expands by more than 1032 : 1
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # before the bytes of each entry
_SIGNATURES = {
    b"PK": "a truncated or damaged NPZ file: copy or save it again",
    b"\x93NUMPY": "a single NPY array, but a scan is an NPZ file of several: save it with numpy.savez",
    b"\x89HDF": "an HDF5 file, but an NPZ file is needed: export the scan as NPZ",
}
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
# numpy parses headers as Python literals, with a tokenizer as its second attempt.
_BAD_HEADER = (
    *_BROKEN,
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
)


@attrs.frozen
class Entry:
    """What the header of one array says.  ``data_start`` is the length of that header in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    data_start: int
    crc: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class NpzReader:
    """The arrays of one NPZ file; a context manager.

    Raises DataFileNotFoundError where there is no file, DataFormatError where it is no readable NPZ.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise DataFileNotFoundError(f"{self.path} does not exist: check the path of the NPZ file")
        if not self.path.is_file():
            raise DataFileNotFoundError(f"{self.path} is a folder: give the NPZ file in it")
        try:
            self._size = self.path.stat().st_size
            self._zip = zipfile.ZipFile(self.path)
        except _BROKEN as error:
            raise DataFormatError(self._what_it_is(error)) from error
        names = [info.filename for info in self._zip.infolist()]
        if len(set(names)) != len(names):
            self._zip.close()
            raise DataFormatError(f"{self.path} holds two entries with the same name: save it again")
        self._entries: dict[str, Entry] = {}

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def __contains__(self, key: str) -> bool:
        return f"{key}.npy" in self._zip.NameToInfo

    @property
    def keys(self) -> list[str]:
        """Names of the arrays, in file order."""
        return [name[: -len(".npy")] for name in self._zip.namelist() if name.endswith(".npy")]

    def entry(self, key: str) -> Entry:
        """The header of `key`, checked against the size of the file; no array memory is allocated.

        Raises DataKeyError (no such entry), DataFormatError (damaged, declares more than the file holds).
        """
        if key not in self:
            raise DataKeyError(
                f"{self.path} has no entry '{one_line(key, 60)}' (it holds {listed(self.keys)}), but a scan "
                "needs it: add it to the file"
            )
        if key not in self._entries:
            self._entries[key] = self._checked_entry(key)
        return self._entries[key]

    def holds_python_object(self, key: str) -> bool:
        """Whether `key` is stored as a pickled Python object, which is never read."""
        return self.entry(key).dtype.hasobject

    def read(self, key: str, axes: tuple[int, ...] | None = None) -> NDArray[Any]:
        """The array `key`, C-contiguous, native byte order, its axes reordered as by ``numpy.transpose``.

        One array of the final size is allocated and filled block by block, whatever the order in the file.

        Raises DataFormatError for pickled objects and damaged entries.
        """
        entry = self._plain_entry(key)
        order = tuple(range(len(entry.shape))) if axes is None else axes
        try:
            out = np.empty(tuple(entry.shape[a] for a in order), dtype=entry.dtype)
        except MemoryError as error:
            raise DataFormatError(
                f"{self._named(key)} needs {entry.nbytes / 2**30:.1f} GiB of memory, more than available: "
                "use a larger machine or split the scan"
            ) from error
        except ValueError as error:  # of no bytes, but more axes or longer ones than an array may have
            raise self._damaged(key, error) from error
        in_file = in_file_order(out, entry, order)
        if in_file.flags.c_contiguous:
            self._fill(key, in_file)
        else:
            for start, block in self.blocks(key):
                in_file[start : start + len(block)] = block
        if not out.dtype.isnative:
            out = out.byteswap(inplace=True).view(out.dtype.newbyteorder("="))
        return out

    def where_stored(self, key: str) -> tuple[int, int] | None:
        """(descriptor, offset) of the bytes of `key`, where the file holds them as an array in memory would:
        uncompressed, in C order and native byte order; None where not. They are not yet checked."""
        entry, info = self._plain_entry(key), self._zip.getinfo(f"{key}.npy")
        plain = info.compress_type == zipfile.ZIP_STORED and entry.dtype.isnative and not entry.fortran_order
        if not plain or self._zip.fp is None:
            return None
        # The entry's own header may have an extra field of another length than the directory at the end.
        self._zip.fp.seek(info.header_offset)
        local = self._zip.fp.read(_LOCAL_HEADER.size)
        name_bytes, extra_bytes = _LOCAL_HEADER.unpack(local)[-2:]
        start = info.header_offset + len(local) + name_bytes + extra_bytes + entry.data_start
        return self._zip.fp.fileno(), start

    def check(self, key: str) -> None:
        """Raises DataFormatError where `key` is damaged; one block of it is in memory at a time."""
        for _ in self.blocks(key):
            pass

    def blocks(self, key: str) -> Iterator[tuple[int, NDArray[Any]]]:
        """Pieces of `key` along its slowest axis in the file, (start, array), in the file's axis order."""
        entry = self._plain_entry(key)
        shape = entry.shape[::-1] if entry.fortran_order else entry.shape
        row_bytes = max(1, math.prod(shape[1:]) * entry.dtype.itemsize)
        step = max(1, _BLOCK_BYTES // row_bytes)
        with self._data(key, entry) as stream:
            for start in range(0, shape[0], step):
                block = np.empty((min(step, shape[0] - start), *shape[1:]), dtype=entry.dtype)
                _read_exactly(stream, block)
                yield start, block

    def _fill(self, key: str, out: NDArray[Any]) -> None:
        with self._data(key, self.entry(key)) as stream:
            _read_exactly(stream, out)

    @contextmanager
    def _data(self, key: str, entry: Entry) -> Iterator[IO[bytes]]:
        """The bytes of an entry behind its header; checked at the end to be used up, CRC included."""
        try:
            with self._zip.open(f"{key}.npy") as stream:
                stream.read(entry.data_start)
                yield stream
                if stream.read(1):  # reading up to the end is also what makes zipfile compare the CRC
                    raise DataFormatError(
                        f"{self._named(key)} is longer than its header says: save the file again"
                    )
        except DataFormatError:
            raise
        except _BROKEN as error:
            raise self._damaged(key, error) from error

    def _plain_entry(self, key: str) -> Entry:
        entry = self.entry(key)
        if entry.dtype.hasobject:
            raise DataFormatError(
                f"{self._named(key)} is a pickled Python object, which could run code and is never "
                "opened: store it as a plain numeric array (or leave it out)"
            )
        return entry

    def _checked_entry(self, key: str) -> Entry:
        info = self._zip.getinfo(f"{key}.npy")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataFormatError(
                f"{self._named(key)} is encrypted or compressed in an unsupported way: save it with "
                "numpy.savez"
            )
        try:
            with self._zip.open(info) as stream:
                version = npy.read_magic(stream)
                if version not in ((1, 0), (2, 0), (3, 0)):
                    raise ValueError(f"unknown NPY version {version}")
                read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, fortran_order, dtype = read_header(_ShortReads(stream))
                data_start = stream.tell()
        except _BAD_HEADER as error:
            raise self._damaged(key, error) from error
        entry = Entry(tuple(int(n) for n in shape), dtype, fortran_order, data_start, info.CRC)
        if any(n < 0 for n in entry.shape):
            raise DataFormatError(
                f"{self._named(key)} declares the impossible shape {shape}: save the file again"
            )
        if dtype.hasobject:
            return entry
        if dtype.itemsize == 0 and math.prod(entry.shape) > 1:  # NumPy makes at least one byte of each
            count = math.prod(entry.shape)
            raise DataFormatError(
                f"{self._named(key)} declares {count} values of size zero: save the file again"
            )
        expansion = _DEFLATE_LIMIT if info.compress_type == zipfile.ZIP_DEFLATED else 1
        room = min(info.file_size, expansion * min(info.compress_size, self._size)) - data_start
        if entry.nbytes > room:
            raise DataFormatError(
                f"{self._named(key)} declares {entry.nbytes} bytes (shape {entry.shape}, {one_line(dtype)}) "
                f"but the file can hold at most {max(room, 0)} of it: the file is truncated or forged, so "
                "copy or save it again"
            )
        return entry

    def _named(self, key: str) -> str:
        return f"entry '{one_line(key, 60)}' of {self.path}"

    def _damaged(self, key: str, error: Exception) -> DataFormatError:
        reason = one_line((str(error).splitlines() or [type(error).__name__])[0])
        return DataFormatError(f"{self._named(key)} is damaged ({reason}): copy or save the file again")

    def _what_it_is(self, error: Exception) -> str:
        if isinstance(error, OSError):
            reason = (error.strerror or str(error)).lower()
            return f"{self.path} cannot be read ({reason}): check its permissions"
        if self._size == 0:
            return f"{self.path} is empty (0 bytes): copy or save the file again"
        with self.path.open("rb") as file:
            start = file.read(8)
        for signature, what in _SIGNATURES.items():
            if start.startswith(signature):
                return f"{self.path} is {what}"
        return f"{self.path} is not an NPZ file: give a file written by numpy.savez"


@attrs.frozen
class _ShortReads:
    """A stream from which no header is read that some compressed kB could blow up to any size."""

    stream: IO[bytes]

    def read(self, size: int = _HEADER_BYTES, /) -> bytes:
        if size > _HEADER_BYTES:
            raise ValueError(f"its header has {size} bytes")
        return self.stream.read(size)


def in_file_order(array: NDArray[Any], entry: Entry, axes: tuple[int, ...]) -> NDArray[Any]:
    """A view of `array` (the entry with its axes reordered by `axes`) whose axes run as in the file."""
    view = array.transpose(tuple(int(a) for a in np.argsort(axes)))
    return view.T if entry.fortran_order else view


def _read_exactly(stream: IO[bytes], out: NDArray[Any]) -> None:
    if out.size == 0:
        return
    memory = out.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(memory):
        piece = stream.read(min(_PIECE_BYTES, len(memory) - done))
        if not piece:
            raise EOFError("it ends too early")
        memory[done : done + len(piece)] = piece
        done += len(piece)


class NpzWriter:
    """Writes arrays into a new, uncompressed NPZ file; a context manager.  Equal arrays give equal bytes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def write(self, key: str, array: NDArray[Any]) -> None:
        """Add one array of numbers or text."""
        self.write_blocks(key, array.shape, array.dtype, [array])

    def write_blocks(
        self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]
    ) -> None:
        """Add one array that arrives in pieces along its first axis; only one is in memory at a time."""
        if dtype.hasobject:
            raise DataFormatError(
                f"entry '{key}' would have to be pickled, which every reader refuses: pass plain numbers"
            )
        # A fixed date keeps the file reproducible; ZipInfo's default is 1980-01-01.
        with self._zip.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as stream:
            header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
            npy.write_array_header_1_0(stream, header)
            for block in blocks:
                contiguous = np.asarray(block, dtype=dtype, order="C")
                if contiguous.size:
                    stream.write(contiguous.reshape(-1).view(np.uint8).data)
