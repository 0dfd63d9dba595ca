"""Hostile NPZ files: entries that lie, are pickled, are missing, or grow when they are read."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress

import attrs
import numpy as np

from .byte_mutations import interesting
from .payloads import evil_object, evil_pickle
from .seeds import npy, npz_entries

__all__ = ["ENTRY_MUTATIONS", "NpzDraft", "hostile_npy", "hostile_text", "npz_draft"]

Rng = np.random.Generator

_MEBI = 2**20
_NAMES = (
    "../../outside/sentinel",
    "/tmp/escaped",
    "..\\..\\escaped",
    "C:/escaped",
    "a\nb",
    "\x1b[2Jcleared",
    "x" * 5000,
    "é\u2028",
    "",
    "diff3d.npy",
    "file/diff3d",
)


@attrs.define
class NpzDraft:
    """Entries in order, names with ``.npy``; how they are packed."""

    entries: list[tuple[str, bytes]]
    method: int = zipfile.ZIP_STORED
    comment: bytes = b""
    front: bytes = b""

    def packed(self) -> bytes:
        """The file."""
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an entry twice is what is wanted
            with zipfile.ZipFile(buffer, "w", self.method) as file:
                file.comment = self.comment
                for name, data in self.entries:
                    info = zipfile.ZipInfo(name)
                    info.compress_type = self.method
                    file.writestr(info, data)
        return self.front + buffer.getvalue()

    def index(self, rng: Rng) -> int:
        return int(rng.integers(len(self.entries)))

    def put(self, name: str, data: bytes) -> None:
        self.entries = [entry for entry in self.entries if entry[0] != name] + [(name, data)]


def npz_draft(rng: Rng) -> NpzDraft:
    """A valid file; one in three is compressed."""
    seeds = npz_entries()
    method = zipfile.ZIP_DEFLATED if rng.random() < 1 / 3 else zipfile.ZIP_STORED
    # Mostly scans: a reconstruction is one of four seeds and one reader's concern.
    return NpzDraft(list(seeds[rng.integers(len(seeds))]), method)


def _header(text: str, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    raw = text.encode("latin-1", "replace") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", (len(raw) if length is None else length) & 0xFFFF)
    if version != (1, 0):
        size = struct.pack("<I", len(raw) if length is None else length & 0xFFFFFFFF)
    return b"\x93NUMPY" + bytes(version) + size + raw


_SHAPES = (
    "(1000000000000,)",
    "(5, 4294967296, 4294967296)",
    "(5, 100000, 100000)",
    "(-1, -2)",
    "(0, 4611686018427387904, 4)",
    "(0,)",
    "()",
    "(5, 0, 0)",
    "(True,)",
    "(5.0, 8, 8)",
    "(5,)",
    "(4, 8, 8)",
    "(5, 8, 8, 1)",
    "(5, 8, 8, 2)",
    "(8, 8, 5)",
    "(5, 16, 16)",
    "(1,)" * 300,
    "(" * 150 + ")" * 150,
    "(" + "1," * 40 + ")",
    "[5]",
    "None",
    "__import__('os').mkdir('../outside/owned')",
)
_TYPES = (
    "'<f8'",
    "'>f8'",
    "'<i4'",
    "'|u1'",
    "'|b1'",
    "'<c16'",
    "'<f2'",
    "'<f16'",
    "'<M8[s]'",
    "'<m8'",
    "'<U3'",
    "'<U0'",
    "'<U1000000000'",
    "'|S0'",
    "'|S999999999'",
    "'|V8'",
    "'|V0'",
    "'|O'",
    "[('a', '<f8'), ('b', '|O')]",
    "[('a', '<f8', (1000000, 1000000))]",
    "[]",
    "('<f8', (1000000000,))",
    "'no'",
    "3",
    "{'names': ['a'], 'formats': ['<f8'], 'offsets': [-8]}",
)


def hostile_npy(rng: Rng) -> bytes:
    """An array file whose header lies."""
    shape, kind = _SHAPES[rng.integers(len(_SHAPES))], _TYPES[rng.integers(len(_TYPES))]
    order = ("False", "True", "0", "'x'")[rng.integers(4)]
    version = ((1, 0), (1, 0), (2, 0), (3, 0), (9, 9))[rng.integers(5)]
    text = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    extra = rng.integers(8)
    if extra == 0:
        text = text.replace("'shape'", "'form'")
    elif extra == 1:
        text = text[: rng.integers(len(text))]
    elif extra == 2:
        text += " " * int(rng.integers(20_000))
    elif extra == 3:
        text = "-" * int(rng.integers(1, 3000)) + "1"
    length = interesting(rng, 32) if rng.random() < 0.1 else None
    return _header(text, version, length) + rng.bytes(int(rng.choice([0, 8, 16, 40, 640])))


def hostile_text(rng: Rng) -> str:
    """A text that is no unit and no metadata, or one that is too much."""
    texts: tuple[Callable[[], str], ...] = (
        lambda: "",
        lambda: "photons\nand more",
        lambda: "\x1b[31mred",
        lambda: "[" * int(rng.integers(1, 100_000)),
        lambda: '{"a":' * int(rng.integers(1, 20_000)),
        lambda: "[]",
        lambda: "null",
        lambda: '{"a": NaN, "nphotons": 1e999}',
        lambda: '{"nphotons": ' + "9" * 5000 + "}",
        lambda: '{"nphotons": true, "physics_parameters": [1]}',
        lambda: '{"a": 1, "a": 2}',
        lambda: '{"a\\nb": "\\u001b[2J", "\\ud800": 1}',
        lambda: "counts",
        lambda: " Amplitude ",
        lambda: "\ud800",
        lambda: json.dumps({"pixel_size_m": "x", "detector_distance_m": []}),
        lambda: "{" + ",".join(f'"{n}":[[],[]]' for n in range(2000)) + "}",
        lambda: rng.bytes(30).decode("latin-1"),
    )
    return texts[rng.integers(len(texts))]()


def lying_header(rng: Rng, draft: NpzDraft) -> None:
    at = draft.index(rng)
    draft.entries[at] = (draft.entries[at][0], hostile_npy(rng))


def pickled_array(rng: Rng, draft: NpzDraft) -> None:
    at = draft.index(rng)
    value = np.empty((() if rng.random() < 0.5 else (2,)), object)
    value.fill(evil_object(rng))
    draft.entries[at] = (draft.entries[at][0], npy(value, allow_pickle=True))


def pickled_bytes(rng: Rng, draft: NpzDraft) -> None:
    at = draft.index(rng)
    draft.entries[at] = (draft.entries[at][0], evil_pickle(rng))


def pickled_metadata(rng: Rng, draft: NpzDraft) -> None:
    value = np.empty((), object)
    value.fill(evil_object(rng))
    draft.put(("metadata", "diffraction_unit", "objectGuess")[rng.integers(3)] + ".npy", npy(value, True))


def _array(data: bytes) -> np.ndarray | None:
    """The array in an .npy file; None where an earlier mutation left none."""
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:  # numpy parses a header as Python, so that a hostile one fails in any way
        return None
    return found if isinstance(found, np.ndarray) else None


def other_dtype(rng: Rng, draft: NpzDraft) -> None:
    """The same numbers in another dtype."""
    at = draft.index(rng)
    name, array = draft.entries[at][0], _array(draft.entries[at][1])
    kind = ("?", "i1", ">i4", "u8", "f2", ">f8", "g", "c8", "U9", "S3", "M8[s]", "V5")[rng.integers(12)]
    if array is None or array.dtype.kind not in "biufc":
        return
    with warnings.catch_warnings(), np.errstate(all="ignore"), suppress(TypeError, ValueError):
        warnings.simplefilter("ignore")
        draft.entries[at] = (name, npy(array.real.astype(kind)))


def other_shape(rng: Rng, draft: NpzDraft) -> None:
    at = draft.index(rng)
    name = draft.entries[at][0]
    shapes = (
        (0,),
        (),
        (1,),
        (5,),
        (6,),
        (5, 8),
        (5, 8, 8),
        (5, 7, 7),
        (5, 8, 9),
        (0, 8, 8),
        (8, 8),
        (1, 0, 8, 8),
    )
    shape = shapes[rng.integers(len(shapes))]
    kind = ("f8", "u2", "c8", "i8")[rng.integers(4)]
    draft.entries[at] = (name, npy(rng.integers(0, 9, shape).astype(kind)))


def odd_numbers(rng: Rng, draft: NpzDraft) -> None:
    at = draft.index(rng)
    name, array = draft.entries[at][0], _array(draft.entries[at][1])
    if array is None:
        return
    array = array.copy()
    if array.dtype.kind in "fc" and array.size:
        odd = (np.nan, np.inf, -np.inf, -1.0, 1e30, 1e308, 5e-324, 0.5)[rng.integers(8)]
        with np.errstate(all="ignore"):
            array.reshape(-1)[rng.integers(array.size)] = odd
        if rng.random() < 0.3:
            array[...] = 0
    elif array.dtype.kind in "iu" and array.size:
        array = array.astype(np.int64)
        array.reshape(-1)[rng.integers(array.size)] = (-1, 2**62, -(2**63), 2**31)[rng.integers(4)]
    draft.entries[at] = (name, npy(array))


def odd_text(rng: Rng, draft: NpzDraft) -> None:
    key = ("metadata", "diffraction_unit")[rng.integers(2)]
    text = hostile_text(rng)
    value = np.array(text) if rng.random() < 0.7 else np.array(text.encode("utf-8", "surrogatepass"))
    if rng.random() < 0.1:
        value = np.array([text, text])
    draft.put(f"{key}.npy", npy(value))


def missing_entry(rng: Rng, draft: NpzDraft) -> None:
    if len(draft.entries) > 1:
        del draft.entries[draft.index(rng)]


def entry_twice(rng: Rng, draft: NpzDraft) -> None:
    draft.entries.append(draft.entries[draft.index(rng)])


def entry_renamed(rng: Rng, draft: NpzDraft) -> None:
    at = draft.index(rng)
    draft.entries[at] = (_NAMES[rng.integers(len(_NAMES))] + ".npy", draft.entries[at][1])


def entry_added(rng: Rng, draft: NpzDraft) -> None:
    draft.entries.insert(0, (_NAMES[rng.integers(len(_NAMES))], evil_pickle(rng)))


def many_entries(rng: Rng, draft: NpzDraft) -> None:
    draft.entries += [(f"entry{n}.npy", b"") for n in range(int(rng.integers(100, 600)))]
    if rng.random() < 0.5:
        del draft.entries[0]


def second_stack(rng: Rng, draft: NpzDraft) -> None:
    """The patterns under both names, alike or not."""
    for name, data in draft.entries:
        if name == "diff3d.npy":
            bad = bytearray(data)
            if rng.random() < 0.5:
                bad[-1] ^= 1
            draft.put("diffraction.npy", bytes(bad))
            return


def prefixed(rng: Rng, draft: NpzDraft) -> None:
    draft.front = (
        b"#!/bin/sh\ntouch ../outside/owned\n",
        rng.bytes(100),
        b"\x93NUMPY",
        b"\x89HDF\r\n\x1a\n",
    )[rng.integers(4)]


def odd_packing(rng: Rng, draft: NpzDraft) -> None:
    draft.method = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED)[rng.integers(3)]
    draft.comment = rng.bytes(int(rng.integers(100)))


def bomb(rng: Rng, draft: NpzDraft) -> None:
    """Some kB that unpack to many MB: in a header, in a text, in an array that lies or one that does not."""
    draft.method = zipfile.ZIP_DEFLATED
    size = int(rng.integers(20, 60)) * _MEBI
    kind = rng.integers(5)
    if kind == 0:
        blank = "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }" + " " * size
        draft.put("xcoords.npy", _header(blank, (2, 0)))
    elif kind == 1:
        text = b"[" + b"[]," * (size // 12) + b"[]]"
        draft.put("metadata.npy", npy(np.array(b'{"a":' + text + b"}")))
    elif kind == 2:
        draft.put("diffraction_unit.npy", npy(np.array(b"counts" + b" " * size)))
    elif kind == 3:
        draft.put(
            "diff3d.npy",
            _header("{'descr': '|u1', 'fortran_order': False, 'shape': (5, 8, 8), }") + bytes(size),
        )
    else:
        draft.put("unread.npy", bytes(size))


ENTRY_MUTATIONS: Mapping[str, Callable[[Rng, NpzDraft], None]] = {
    function.__name__: function
    for function in (
        lying_header,
        pickled_array,
        pickled_bytes,
        pickled_metadata,
        other_dtype,
        other_shape,
        odd_numbers,
        odd_text,
        missing_entry,
        entry_twice,
        entry_renamed,
        entry_added,
        many_entries,
        second_stack,
        prefixed,
        odd_packing,
        bomb,
    )
}
