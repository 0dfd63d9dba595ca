"""A hostile file, and how mutations are drawn for one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import attrs
import numpy as np

from .archive_mutations import Link
from .byte_mutations import ANY_BYTES, ZIP_BYTES

__all__ = ["RARELY", "Case", "chosen", "damaged"]

Rng = np.random.Generator

RARELY = 1 / 300  # bombs: many MB are compressed to make one
_SPARSE = {  # slow to make or to read
    *("many_entries", "deflated_bomb", "huge_chunk", "many_keys", "many_names", "long_line", "many_rows"),
}


@attrs.frozen
class Case:
    """A hostile file, or a folder of files.

    kind : a key of `tests.fuzz.cases.KINDS`
    mutations : what was done to a valid one, in order
    files : name to bytes, a link, or None for a folder; the first is the hostile one, others lie beside it;
        or all are those of a folder
    unpacked : bytes of what the file holds in truth, only well compressed
    """

    kind: str
    mutations: tuple[str, ...]
    files: Mapping[str, bytes | Link | None]
    unpacked: int = 0

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(data) for data in self.files.values() if isinstance(data, bytes))

    def write(self, folder: Path) -> Path:
        """Put the files into the empty `folder`; the path to open."""
        for name, data in self.files.items():
            path = folder / name
            if path.parent != folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                path.mkdir(exist_ok=True)
            elif isinstance(data, Link):
                os.symlink(data.target, path)
            else:
                path.write_bytes(data)
        return folder if self.kind == "folder" else folder / next(iter(self.files))


def chosen(rng: Rng, names: Collection[str], most: int, none: float) -> list[str]:
    """Some of `names`, in the order in which they are done."""
    if rng.random() < none:
        return []
    usual = [name for name in names if name not in _SPARSE]
    count = int(rng.integers(1, most + 1))
    found = [usual[rng.integers(len(usual))] for _ in range(count)]
    sparse = [name for name in names if name in _SPARSE]
    if sparse and rng.random() < 0.02:
        found[0] = sparse[rng.integers(len(sparse))]
    return found


def damaged(rng: Rng, data: bytes, names: list[str], zipped: bool, needed: bool) -> bytes:
    """`data` after up to two mutations of its bytes, which are added to `names`; one at least if `needed`."""
    mutations = {**ANY_BYTES, **ZIP_BYTES, **ZIP_BYTES} if zipped else ANY_BYTES
    for name in chosen(rng, mutations, 2, none=0.0 if needed else 0.7):
        data = mutations[name](rng, data)
        names.append(name)
    return data
