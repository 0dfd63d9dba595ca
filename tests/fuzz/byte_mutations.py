"""Damage that knows nothing of formats, and damage to the fields of a ZIP file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["ANY_BYTES", "ZIP_BYTES", "interesting"]

ByteMutation = Callable[[np.random.Generator, bytes], bytes]

_EDGES = (
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)


def interesting(rng: np.random.Generator, bits: int) -> int:
    """A number at the edge of something, or any, that fits `bits`."""
    if rng.random() < 0.7:
        return int(_EDGES[rng.integers(len(_EDGES))]) % 2**bits
    return int(rng.integers(2 ** min(bits, 62)))


def _place(rng: np.random.Generator, data: bytes) -> int:
    return int(rng.integers(len(data) + 1))


def truncated(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: _place(rng, data)]


def beheaded(rng: np.random.Generator, data: bytes) -> bytes:
    return data[_place(rng, data[:64]) :]


def flipped_bits(rng: np.random.Generator, data: bytes) -> bytes:
    bad = bytearray(data)
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
    return bytes(bad)


def other_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    at, length = _place(rng, data), int(rng.integers(1, 64))
    return data[:at] + rng.bytes(length) + data[at + length :]


def zeroed(rng: np.random.Generator, data: bytes) -> bytes:
    at, length = _place(rng, data), int(rng.integers(1, 600))
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def cut_out(rng: np.random.Generator, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at + int(rng.integers(1, 300)) :]


def put_in(rng: np.random.Generator, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.bytes(int(rng.integers(1, 300))) + data[at:]


def repeated(rng: np.random.Generator, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at : at + int(rng.integers(1, 600))] * 2 + data[at:]


def edge_number(rng: np.random.Generator, data: bytes) -> bytes:
    """Some 1, 2, 4 or 8 bytes become a number at an edge."""
    letter, bits = (("B", 8), ("<H", 16), ("<I", 32), ("<Q", 64))[rng.integers(4)]
    at, number = _place(rng, data), struct.pack(letter, interesting(rng, bits))
    return data[:at] + number + data[at + len(number) :]


def emptied(rng: np.random.Generator, data: bytes) -> bytes:
    return b""


def zip_field(rng: np.random.Generator, data: bytes) -> bytes:
    """A field of a local header, a central record or the end record gets another number."""
    signature, fields = (
        (b"PK\x03\x04", ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))),
        (
            b"PK\x01\x02",
            ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4)),
        ),
        (b"PK\x05\x06", ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
    )[rng.integers(3)]
    places = [at for at in range(len(data)) if data.startswith(signature, at)] if signature in data else []
    if not places:
        return data
    offset, size = fields[rng.integers(len(fields))]
    at = places[rng.integers(len(places))] + offset
    number = interesting(rng, 8 * size) if rng.random() < 0.8 else int(rng.integers(100))
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def zip_name(rng: np.random.Generator, data: bytes) -> bytes:
    """A name in the file becomes one of the same length that leads elsewhere or cannot be written."""
    places = [at for at in range(len(data)) if data.startswith(b".npy", at) or data.startswith(b".json", at)]
    if not places:
        return data
    at = max(0, places[rng.integers(len(places))] - 7)
    other = (
        b"../../x",
        b"/etc/xx",
        b"a\nb\nc\nd",
        b"\xff\xfe\xfd\xfc\xfb\xfa\xf9",
        b"\0\0\0\0\0\0\0",
        b"C:\\xxxx",
    )
    return data[:at] + other[rng.integers(len(other))] + data[at + 7 :]


ANY_BYTES: Mapping[str, ByteMutation] = {
    function.__name__: function
    for function in (
        truncated,
        beheaded,
        flipped_bits,
        other_bytes,
        zeroed,
        cut_out,
        put_in,
        repeated,
        edge_number,
        emptied,
    )
}
ZIP_BYTES: Mapping[str, ByteMutation] = {
    "zip_field": zip_field,
    "zip_name": zip_name,
}
