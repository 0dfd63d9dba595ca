"""Hostile files of the kinds that `pinn convert` takes from others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np

from . import hdf5_mutations, measured_mutations, measured_seeds, npz_mutations, table_mutations
from .hdf5_mutations import Layout
from .hostile_file import RARELY, Case, chosen, damaged
from .npz_mutations import NpzDraft
from .seeds import npy

__all__ = ["MAKERS"]

Rng = np.random.Generator

_BOMB_BYTES = 32 * 2**20
_OF_ENTRIES = tuple(name for name in npz_mutations.ENTRY_MUTATIONS if name != "bomb")
_OF_ONE_ARRAY = (
    *("lying_header", "pickled_array", "pickled_bytes", "other_dtype", "other_shape", "odd_numbers"),
    "entry_added",
)


def _hdf5(kind: str, layout: Layout, rng: Rng) -> tuple[bytes, list[str]]:
    """The bytes of a file, and what was done to a valid one."""
    seeds, mutations = measured_seeds.hdf5_seeds(kind), measured_mutations.ENTRY_MUTATIONS
    data = seeds[rng.integers(len(seeds))]
    names = chosen(rng, mutations, 3, none=0.25)
    if rng.random() < 3 * RARELY:
        names, mutations = ["bomb"], measured_mutations.RARE
    for name in names:
        data = hdf5_mutations.changed(data, partial(mutations[name], rng, layout=layout))
    return damaged(rng, data, names, zipped=False, needed=not names), names


def _npz(rng: Rng, entries: tuple[tuple[str, bytes], ...]) -> tuple[bytes, list[str]]:
    draft = NpzDraft(list(entries), method=(0, 0, 8)[rng.integers(3)])
    names = _changed(rng, draft, 3, none=0.25, among=_OF_ENTRIES)
    return damaged(rng, draft.packed(), names, zipped=True, needed=not names), names


def _npy(rng: Rng, array: np.ndarray) -> tuple[bytes, list[str]]:
    """A single array; what is done to the entries of an NPZ file is done to one."""
    draft = NpzDraft([("array.npy", npy(array))])
    names = _changed(rng, draft, 2, none=0.3, among=_OF_ONE_ARRAY)
    return damaged(rng, draft.entries[0][1], names, zipped=False, needed=not names), names


def _changed(rng: Rng, draft: NpzDraft, most: int, none: float, among: Collection[str]) -> list[str]:
    names = chosen(rng, among, most, none)
    for name in names:
        npz_mutations.ENTRY_MUTATIONS[name](rng, draft)
    return names


def _case(
    kind: str, name: str, made: tuple[bytes, list[str]], beside: Mapping[str, bytes] | None = None
) -> Case:
    data, names = made
    return Case(kind, tuple(names), {name: data, **(beside or {})}, _BOMB_BYTES if "bomb" in names else 0)


def _cxi(rng: Rng) -> Case:
    return _case("cxi", "case.cxi", _hdf5("cxi", measured_seeds.CXI, rng))


def _training(rng: Rng) -> Case:
    return _case("training", "case.h5", _hdf5("training", measured_seeds.TRAINING, rng))


def _export(rng: Rng) -> Case:
    seeds = measured_seeds.export_entries()
    return _case("export", "case.npz", _npz(rng, seeds[rng.integers(len(seeds))]))


def _stack(rng: Rng) -> Case:
    arrays = measured_seeds.stack_arrays()
    array = arrays[rng.integers(len(arrays))]
    beside = {
        "frames.npy": measured_seeds.frames_bytes(),
        "positions.csv": measured_seeds.table_texts()[0].encode(),
        "product.h5": measured_seeds.product_bytes(),
    }
    form = rng.integers(3)
    if form == 0:
        return _case("stack", "case.h5", _hdf5("stack", measured_seeds.STACK, rng), beside)
    if form == 1:
        return _case("stack", "case.npy", _npy(rng, next(iter(array.values()))), beside)
    entries = tuple((f"{key}.npy", npy(value)) for key, value in array.items())
    return _case("stack", "case.npz", _npz(rng, entries), beside)


def _table(rng: Rng) -> Case:
    beside = {"frames.npy": measured_seeds.frames_bytes()}
    form = rng.random()
    if form < 0.2:
        return _case("table", "case.h5", _hdf5("table", measured_seeds.TABLE, rng), beside)
    if form < 0.4:
        return _case("table", "case.npy", _npy(rng, measured_seeds.table_array()), beside)
    texts = measured_seeds.table_texts()
    lines = texts[rng.integers(len(texts))].splitlines()
    names = chosen(rng, table_mutations.TEXT_MUTATIONS, 3, none=0.2)
    for name in names:
        table_mutations.TEXT_MUTATIONS[name](rng, lines)
    encoding = table_mutations.ENCODINGS[rng.integers(len(table_mutations.ENCODINGS))]
    data = ("\r\n", "\n", "\n", "\r")[rng.integers(4)].join(lines).encode(encoding, "replace")
    if encoding != "utf-8":
        names.append(encoding)
    return _case("table", "case.csv", (damaged(rng, data, names, False, needed=not names), names), beside)


MAKERS: Mapping[str, Callable[[Rng], Case]] = {
    "cxi": _cxi,
    "training": _training,
    "export": _export,
    "stack": _stack,
    "table": _table,
}
