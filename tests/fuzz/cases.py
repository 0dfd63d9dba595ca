"""Which file has which number: a case is drawn from (seed, number) alone, so any can be made again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import attrs
import numpy as np

from . import archive_mutations, npz_mutations, product_mutations, seeds, yaml_mutations
from .archive_mutations import Link
from .byte_mutations import ANY_BYTES, ZIP_BYTES

__all__ = ["KINDS", "Case", "case"]

Rng = np.random.Generator

# Products are three times as slow as all others, and the files of others the least likely to arrive.
KINDS: Mapping[str, float] = {"npz": 0.5, "archive": 0.3, "folder": 0.08, "product": 0.06, "yaml": 0.06}
_RARE = 1 / 300  # bombs: many MB are compressed to make one
_SPARSE = {"many_entries", "deflated_bomb", "huge_chunk", "many_keys"}  # slow to make or to read


@attrs.frozen
class Case:
    """A hostile file, or a folder of files.

    kind : of `KINDS`
    mutations : what was done to a valid one, in order
    unpacked : bytes of what the file holds in truth, only well compressed
    files : name to bytes, a link, or None for a folder; one file named ``case.*``, or those of a folder
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


def case(seed: int, number: int) -> Case:
    """The case of that number."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    return {"npz": _npz, "archive": _archive, "folder": _folder, "product": _product, "yaml": _yaml}[kind](
        rng
    )


def _chosen(rng: Rng, names: Mapping[str, object], most: int, none: float) -> list[str]:
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


def _damaged(rng: Rng, data: bytes, names: list[str], zipped: bool, needed: bool) -> bytes:
    """`data` after up to two mutations of its bytes, which are added to `names`; one at least if `needed`."""
    mutations = {**ANY_BYTES, **ZIP_BYTES, **ZIP_BYTES} if zipped else ANY_BYTES
    for name in _chosen(rng, mutations, 2, none=0.0 if needed else 0.7):
        data = mutations[name](rng, data)
        names.append(name)
    return data


def _npz(rng: Rng) -> Case:
    draft = npz_mutations.npz_draft(rng)
    usual = {name: change for name, change in npz_mutations.ENTRY_MUTATIONS.items() if name != "bomb"}
    names = _chosen(rng, usual, 3, none=0.25)
    if rng.random() < _RARE:
        names = ["bomb"]
    for name in names:
        npz_mutations.ENTRY_MUTATIONS[name](rng, draft)
    data = _damaged(rng, draft.packed(), names, zipped=True, needed=not names)
    return Case("npz", tuple(names), {"case.npz": data})


def _draft(rng: Rng, names: list[str], none: float) -> archive_mutations.ArchiveDraft:
    draft = archive_mutations.archive_draft(rng)
    names += _chosen(rng, archive_mutations.ENTRY_MUTATIONS, 2, none)
    for name in names:
        archive_mutations.ENTRY_MUTATIONS[name](rng, draft)
    return draft


def _archive(rng: Rng) -> Case:
    names: list[str] = []
    draft = _draft(rng, names, none=0.3)
    packing = "strict" if rng.random() < 0.7 else _chosen(rng, archive_mutations.PACKINGS, 1, 0.0)[0]
    data = archive_mutations.PACKINGS[packing](rng, draft)
    if packing != "strict":
        names.append(packing)
    data = _damaged(rng, data, names, zipped=True, needed=not names)
    return Case("archive", tuple(names), {"wts.h5.zip": data})


def _folder(rng: Rng) -> Case:
    names: list[str] = []
    draft = _draft(rng, names, none=0.5)
    trick, files = archive_mutations.in_a_folder(rng, draft)
    return Case("folder", (*names, trick), files)


def _product(rng: Rng) -> Case:
    data, mutations = seeds.product_bytes(), product_mutations.ENTRY_MUTATIONS
    names = _chosen(rng, mutations, 2, none=0.6)
    if rng.random() < 3 * _RARE:
        names, mutations = ["bomb"], product_mutations.RARE
    for name in names:
        data = product_mutations.changed(data, partial(mutations[name], rng))
    data = _damaged(rng, data, names, zipped=False, needed=not names)
    unpacked = 32 * 2**20 if "bomb" in names else 0
    return Case("product", tuple(names), {"case.h5": data}, unpacked)


def _yaml(rng: Rng) -> Case:
    lines = seeds.yaml_text().splitlines()
    names = _chosen(rng, yaml_mutations.TEXT_MUTATIONS, 3, none=0.2)
    for name in names:
        yaml_mutations.TEXT_MUTATIONS[name](rng, lines)
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    data = _damaged(rng, data, names, zipped=False, needed=not names)
    return Case("yaml", tuple(names), {"case.yaml": data})
