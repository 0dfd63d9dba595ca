"""Texts of HDF5 files, looked at before the library reads them.

A text of any length lies in a collection of objects (a global heap). The library walks along a collection
from object to object, and never ends where the bytes of one were lost: an object of no size. So the
collections are walked here before.

Source: HDF5 file format specification, version 3, section III.E; HDF5 2.0.0, ``H5HGcache.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pinn_data.errors import DataFormatError

__all__ = ["check_texts"]

_HEAD = struct.Struct("<4sB3xQ")  # signature, version, bytes of the collection
_OBJECT = struct.Struct("<HHxxxxQ")  # number (0: what is free), references, bytes
_SIGNATURE, _VERSION = b"GCOL", 1
_SMALLEST, _LARGEST = 4096, 16 * 2**20  # bytes of a collection
_PIECE_BYTES = 2**20
_MOST_OBJECTS = 2**20  # a second of walking


def check_texts(path: Path) -> None:
    """Raises DataFormatError where a collection of texts in the file at `path` is damaged."""
    left, size = _MOST_OBJECTS, path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for start in _places(file):
            file.seek(start)
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            _, version, length = _HEAD.unpack(head)
            if version != _VERSION or not _SMALLEST <= length <= size - start:
                continue  # four letters among numbers, or what the library refuses itself
            left -= _objects(file.read(min(length, _LARGEST + 1) - _HEAD.size))
            if length > _LARGEST or left < 0:
                raise DataFormatError("it holds more texts than a product has: export it again")


def _objects(collection: bytes) -> int:
    """How many objects the collection has; raises DataFormatError where one has no size."""
    count = at = 0
    while at + _OBJECT.size <= len(collection):
        number, _, length = _OBJECT.unpack_from(collection, at)
        step = length if number == 0 else _OBJECT.size + -(-length // 8) * 8
        if step < _OBJECT.size:
            raise DataFormatError("its texts are damaged (an object of size zero): copy or export it again")
        at += step
        count += 1
    return count


def _places(file: BinaryIO) -> Iterator[int]:
    """Where the signature is, also within a collection: what looks like one may be none."""
    at, kept = 0, b""
    while True:
        file.seek(at)
        piece = file.read(_PIECE_BYTES)
        if not piece:
            return
        searched, start = kept + piece, at - len(kept)
        found = searched.find(_SIGNATURE)
        while found >= 0:
            yield start + found
            found = searched.find(_SIGNATURE, found + 1)
        at += len(piece)
        kept = searched[-len(_SIGNATURE) + 1 :]
