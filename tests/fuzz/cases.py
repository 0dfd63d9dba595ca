"""Which file has which number: a case is drawn from (seed, number) alone, so any can be made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from . import archive_mutations, hdf5_mutations, measured_cases, npz_mutations, seeds, yaml_mutations
from .hostile_file import RARELY, Case, chosen, damaged

__all__ = ["KINDS", "Case", "case"]

Rng = np.random.Generator

# HDF5 is three times as slow as all others, and the files of the last kinds the least likely to arrive.
KINDS: Mapping[str, float] = {
    "npz": 0.4,
    "archive": 0.25,
    "folder": 0.07,
    "product": 0.05,
    "yaml": 0.05,
    "cxi": 0.04,
    "training": 0.03,
    "export": 0.04,
    "stack": 0.04,
    "table": 0.03,
}


def case(seed: int, number: int) -> Case:
    """The case of that number."""
    rng = np.random.default_rng([seed, number])
    return _MAKERS[str(rng.choice(list(KINDS), p=list(KINDS.values())))](rng)


def _npz(rng: Rng) -> Case:
    draft = npz_mutations.npz_draft(rng)
    usual = {name: change for name, change in npz_mutations.ENTRY_MUTATIONS.items() if name != "bomb"}
    names = chosen(rng, usual, 3, none=0.25)
    if rng.random() < RARELY:
        names = ["bomb"]
    for name in names:
        npz_mutations.ENTRY_MUTATIONS[name](rng, draft)
    data = damaged(rng, draft.packed(), names, zipped=True, needed=not names)
    return Case("npz", tuple(names), {"case.npz": data})


def _draft(rng: Rng, names: list[str], none: float) -> archive_mutations.ArchiveDraft:
    draft = archive_mutations.archive_draft(rng)
    names += chosen(rng, archive_mutations.ENTRY_MUTATIONS, 2, none)
    for name in names:
        archive_mutations.ENTRY_MUTATIONS[name](rng, draft)
    return draft


def _archive(rng: Rng) -> Case:
    names: list[str] = []
    draft = _draft(rng, names, none=0.3)
    packing = "strict" if rng.random() < 0.7 else chosen(rng, archive_mutations.PACKINGS, 1, 0.0)[0]
    data = archive_mutations.PACKINGS[packing](rng, draft)
    if packing != "strict":
        names.append(packing)
    data = damaged(rng, data, names, zipped=True, needed=not names)
    return Case("archive", tuple(names), {"wts.h5.zip": data})


def _folder(rng: Rng) -> Case:
    names: list[str] = []
    draft = _draft(rng, names, none=0.5)
    trick, files = archive_mutations.in_a_folder(rng, draft)
    return Case("folder", (*names, trick), files)


def _product(rng: Rng) -> Case:
    data, mutations = seeds.product_bytes(), hdf5_mutations.ENTRY_MUTATIONS
    names = chosen(rng, mutations, 2, none=0.6)
    if rng.random() < 3 * RARELY:
        names, mutations = ["bomb"], hdf5_mutations.RARE
    for name in names:
        change = partial(mutations[name], rng, layout=hdf5_mutations.PRODUCT)
        data = hdf5_mutations.changed(data, change)
    data = damaged(rng, data, names, zipped=False, needed=not names)
    unpacked = 32 * 2**20 if "bomb" in names else 0
    return Case("product", tuple(names), {"case.h5": data}, unpacked)


def _yaml(rng: Rng) -> Case:
    lines = seeds.yaml_text().splitlines()
    names = chosen(rng, yaml_mutations.TEXT_MUTATIONS, 3, none=0.2)
    for name in names:
        yaml_mutations.TEXT_MUTATIONS[name](rng, lines)
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    data = damaged(rng, data, names, zipped=False, needed=not names)
    return Case("yaml", tuple(names), {"case.yaml": data})


_MAKERS: Mapping[str, Callable[[Rng], Case]] = {
    "npz": _npz,
    "archive": _archive,
    "folder": _folder,
    "product": _product,
    "yaml": _yaml,
    **measured_cases.MAKERS,
}
