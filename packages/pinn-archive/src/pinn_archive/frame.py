"""The ZIP frame: a subset of ZIP so strict that every byte of a file is either checked or content.

Entries are stored, not compressed, in ascending order of their names, one after another without a gap, with
fixed attributes. So the same content is always the same bytes, an entry cannot grow when it is read, and a
reader that rebuilds each header from (name, size, crc) and compares it notices any change of it. Ordinary
tools (`unzip`, Python's `zipfile`, `numpy.load`) read such files.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central record), 4.3.16 (end record).
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import BinaryIO

import attrs

from pinn_archive.errors import ArchiveError
from pinn_archive.layout import MAX_ENTRIES, MAX_NAME_BYTES, MAX_TOTAL_BYTES, check_names

__all__ = ["Entry", "read_entry", "read_frame", "write_frame"]

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION, _UNIX = 20, 3 << 8
_TIME, _DATE = 0, 1 << 5 | 1  # 1980-01-01 00:00, the first moment that ZIP can express
_MODE = (stat.S_IFREG | 0o644) << 16


@attrs.frozen
class Entry:
    """One stored file: its name, size in bytes, CRC-32, and the offset of its local header."""

    name: str
    size: int
    crc: int
    offset: int

    @property
    def data_offset(self) -> int:
        """Where the content starts."""
        return self.offset + _LOCAL.size + len(self.name)

    def local_header(self) -> bytes:
        """The only local header that this entry may have."""
        name = self.name.encode("ascii")
        return (
            _LOCAL.pack(
                b"PK\x03\x04", _VERSION, 0, 0, _TIME, _DATE, self.crc, self.size, self.size, len(name), 0
            )
            + name
        )

    def central_record(self) -> bytes:
        """The only record in the central directory that this entry may have."""
        name = self.name.encode("ascii")
        head = (b"PK\x01\x02", _UNIX | _VERSION, _VERSION, 0, 0, _TIME, _DATE, self.crc, self.size, self.size)
        return _CENTRAL.pack(*head, len(name), 0, 0, 0, 0, _MODE, self.offset) + name


def write_frame(contents: Mapping[str, bytes], write: Callable[[bytes], object]) -> None:
    """Hands the bytes of the archive that holds `contents` to `write`, piece by piece.

    Raises
    ------
    ArchiveError
        A name that the format does not allow, or more than 4 GiB.
    """
    entries: list[Entry] = []
    offset = 0
    for name in check_names(contents):
        data = contents[name]
        entry = Entry(name, len(data), zlib.crc32(data), offset)
        offset = entry.data_offset + entry.size
        entries.append(entry)
    directory = b"".join(entry.central_record() for entry in _within_limit(entries, offset))
    for entry in entries:
        write(entry.local_header())
        write(contents[entry.name])
    write(directory)
    write(_end_record(len(entries), len(directory), offset))


def read_frame(source: BinaryIO, size: int, where: str) -> dict[str, Entry]:
    """The entries by name of the archive of `size` bytes in `source`; every byte but the contents is checked.

    `where` names the archive in messages. Contents are checked by `read_entry`.

    Raises
    ------
    ArchiveError
        Anything that `write_frame` could not have written.
    """
    if size < _END.size:
        raise ArchiveError(f"{where} is no archive: it has {size} bytes; copy it again.")
    end = _read_at(source, size - _END.size, _END.size, where)
    signature, _, _, _, count, length, start, _ = _END.unpack(end)
    if signature != b"PK\x05\x06":
        raise ArchiveError(
            f"{where} does not end like an archive (truncated, or no zip file): copy it again."
        )
    if end != _end_record(count, length, start) or start + length + _END.size != size:
        raise _changed(where)
    if count > MAX_ENTRIES or length > MAX_ENTRIES * (_CENTRAL.size + MAX_NAME_BYTES):
        raise ArchiveError(f"{where} holds {count} entries: an archive holds at most {MAX_ENTRIES}.")
    directory = _read_at(source, start, length, where)
    entries: dict[str, Entry] = {}
    at = offset = 0
    while at < length:
        entry, at = _parse_record(directory, at, where)
        if entry.name in entries:
            raise ArchiveError(
                f"{where} holds the entry {entry.name!r} twice: it was not written by pinn-archive."
            )
        if entry.offset != offset or entry.data_offset + entry.size > start:
            raise _changed(where)
        header = entry.local_header()
        if _read_at(source, offset, len(header), where) != header:
            raise _changed(where)
        offset = entry.data_offset + entry.size
        entries[entry.name] = entry
    if len(entries) != count or offset != start or check_names(entries) != list(entries):
        raise _changed(where)
    return entries


def read_entry(source: BinaryIO, entry: Entry, where: str) -> bytes:
    """The content of `entry`, never more than its declared size."""
    data = _read_at(source, entry.data_offset, entry.size, where)
    if zlib.crc32(data) != entry.crc:
        raise _changed(f"entry {entry.name!r} of {where}")
    return data


def _parse_record(directory: bytes, at: int, where: str) -> tuple[Entry, int]:
    if len(directory) - at < _CENTRAL.size:
        raise _changed(where)
    fields = _CENTRAL.unpack_from(directory, at)
    flags, method, crc, size, name_length = fields[3], fields[4], fields[7], fields[9], fields[10]
    mode, offset = fields[15] >> 16, fields[16]
    raw = directory[at + _CENTRAL.size : at + _CENTRAL.size + name_length]
    if not raw.isascii():
        raise _changed(where)
    entry = Entry(raw.decode("ascii"), size, crc, offset)
    if flags & 1:
        raise ArchiveError(
            f"entry {entry.name!r} of {where} is encrypted: decrypt the archive, then open it."
        )
    if stat.S_ISLNK(mode):
        raise ArchiveError(
            f"entry {entry.name!r} of {where} is a symbolic link: an archive holds plain files only."
        )
    if method != 0:
        raise ArchiveError(
            f"entry {entry.name!r} of {where} is compressed, so pinn-archive did not pack this file: "
            "unpack it and give the folder instead."
        )
    record = entry.central_record()
    if directory[at : at + len(record)] != record:
        raise _changed(where)
    return entry, at + len(record)


def _within_limit(entries: list[Entry], total: int) -> list[Entry]:
    if total > MAX_TOTAL_BYTES - sum(_CENTRAL.size + len(entry.name) for entry in entries) - _END.size:
        raise ArchiveError(f"{total} bytes are too many for one archive: it holds less than 4 GiB.")
    return entries


def _end_record(count: int, length: int, start: int) -> bytes:
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, length, start, 0)


def _read_at(source: BinaryIO, offset: int, length: int, where: str) -> bytes:
    source.seek(offset)
    data = source.read(length)
    if len(data) != length:
        raise ArchiveError(
            f"{where} ends after {offset + len(data)} bytes, before its own directory says: copy it again."
        )
    return data


def _changed(where: str) -> ArchiveError:
    return ArchiveError(
        f"{where} is damaged, or was changed or packed by another tool: copy it again, "
        "or unpack it and give the folder."
    )
