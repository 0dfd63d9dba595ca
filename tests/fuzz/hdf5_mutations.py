"""Hostile HDF5 files: links out of the file, declared sizes, other types, missing parts."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress

import attrs
import h5py
import numpy as np

__all__ = [
    "ENTRY_MUTATIONS",
    "PRODUCT",
    "RARE",
    "Forged",
    "Layout",
    "Mutation",
    "changed",
    "removed",
    "replaced",
]

Rng = np.random.Generator
Forged = Callable[[bytes], bytes]


@attrs.frozen
class Layout:
    """What lies in a file of one kind.

    datasets : their names
    holders : two of them that have attributes, besides the file itself
    """

    datasets: tuple[str, ...]
    holders: tuple[str, str]

    def name(self, rng: Rng) -> str:
        """Any dataset."""
        return self.datasets[rng.integers(len(self.datasets))]


Mutation = Callable[[Rng, h5py.File, Layout], Forged | None]

PRODUCT = Layout(
    (
        "object",
        "probe",
        "probe_position_x_m",
        "probe_position_y_m",
        "probe_position_indexes",
        "object_layer_spacing_m",
        "opr_weights",
        "loss_epochs",
        "loss_values",
    ),
    ("object", "probe"),
)


# What a mutation meets that needs what another one took away.
_IN_THE_WAY = (KeyError, RuntimeError, OSError, ValueError, TypeError)


def changed(data: bytes, change: Callable[[h5py.File], Forged | None]) -> bytes:
    """The HDF5 file after `change`, and after what that wants done to its bytes."""
    buffer, forged = io.BytesIO(data), None
    try:
        opened = h5py.File(buffer, "r+")
    except OSError:  # an earlier one forged its bytes
        return data
    with opened as file, suppress(*_IN_THE_WAY):
        forged = change(file)
    return buffer.getvalue() if forged is None else forged(buffer.getvalue())


def removed(file: h5py.File, name: str) -> None:
    """Take a name away."""
    with suppress(KeyError):  # another mutation was here
        del file[name]


def _holder(rng: Rng, file: h5py.File, layout: Layout) -> h5py.Group | h5py.Dataset:
    """Something that has attributes: the file, or one of two datasets if that is still one."""
    name = ("/", *layout.holders)[rng.integers(3)]
    found = file.get(name, getlink=True)
    return file[name] if name != "/" and isinstance(found, h5py.HardLink) else file


def replaced(file: h5py.File, name: str, **options: object) -> None:
    """Another dataset in the place of this one, with its attributes."""
    attributes = dict(file[name].attrs) if name in file and isinstance(file[name], h5py.Dataset) else {}
    removed(file, name)
    file.create_dataset(name, **options).attrs.update(attributes)


def link_elsewhere(rng: Rng, file: h5py.File, layout: Layout) -> None:
    links = (
        h5py.ExternalLink("../outside/sentinel.h5", "/object"),
        h5py.ExternalLink("/etc/passwd", "/"),
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink(f"/{layout.holders[0]}"),
        h5py.SoftLink("/"),
    )
    name = layout.name(rng)
    removed(file, name)
    file[name] = links[rng.integers(len(links))]


def link_through_group(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """A soft link whose way leads through an external one."""
    name = layout.name(rng)
    removed(file, name)
    file["way"] = h5py.ExternalLink("../outside/sentinel.h5", "/")
    file[name] = h5py.SoftLink("/way/object")


def stored_elsewhere(rng: Rng, file: h5py.File, layout: Layout) -> None:
    name = layout.name(rng)
    replaced(file, name, shape=(40,), dtype="u1", external=[("../outside/sentinel", 0, 40)])


def virtual(rng: Rng, file: h5py.File, layout: Layout) -> None:
    name = layout.name(rng)
    removed(file, name)
    layout = h5py.VirtualLayout((4, 4), "c8")
    layout[...] = h5py.VirtualSource("../outside/sentinel.h5", "object", (4, 4))
    file.create_virtual_dataset(name, layout)


def huge(rng: Rng, file: h5py.File, layout: Layout) -> None:
    shape = ((2**40,), (2**20, 2**20), (1, 2**16, 2**16), (10**7,))[rng.integers(4)]
    replaced(file, layout.name(rng), shape=shape, dtype=("c8", "f8", "u1")[rng.integers(3)], chunks=True)


def huge_chunk(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """Few numbers in a chunk of many MB, which its filter has shrunk to some kB."""
    name = layout.name(rng)
    options = {"compression": "gzip"} if rng.random() < 0.5 else {"compression": "lzf"}
    replaced(
        file, name, data=np.ones(5), chunks=(int(rng.integers(2, 6)) * 2**20,), maxshape=(None,), **options
    )


def bomb(rng: Rng, file: h5py.File, layout: Layout) -> None:
    replaced(file, layout.name(rng), data=np.zeros(int(rng.integers(2, 5)) * 2**20), compression="gzip")


def other_type(rng: Rng, file: h5py.File, layout: Layout) -> None:
    text = h5py.string_dtype()
    values: tuple[object, ...] = (
        np.array(["a", "b"], dtype="S1"),
        np.array(["a\nb", "\x1b"], dtype=text),
        np.zeros(3, dtype=[("a", "f8"), ("b", "i4")]),
        np.array([True, False]),
        h5py.Empty("f8"),
        np.float64(3),
        np.zeros(5, "V8"),
        np.zeros((5, 1, 1, 1, 1), "c8"),
        np.full((2, 8, 8), np.nan, "c8"),
        np.full(5, 2**63, "u8"),
        np.zeros(0),
    )
    replaced(file, layout.name(rng), data=values[rng.integers(len(values))])


def shared_heap(rng: Rng, file: h5py.File, layout: Layout) -> Forged:
    """Many references to one long text: some kB that would be read as very many."""
    name, count = layout.name(rng), int(rng.integers(500, 3000))
    replaced(file, name, shape=(count,), dtype=h5py.string_dtype())
    file[name][0] = "x" * 60_000
    file.flush()
    start = file[name].id.get_offset()  # of the references, 16 bytes each

    def share(data: bytes) -> bytes:
        return data[:start] + data[start : start + 16] * count + data[start + 16 * count :]

    return share


def group_for_dataset(rng: Rng, file: h5py.File, layout: Layout) -> None:
    name = layout.name(rng)
    removed(file, name)
    file.create_group(name)


def part_gone(rng: Rng, file: h5py.File, layout: Layout) -> None:
    name = layout.name(rng)
    if rng.random() < 0.5 and name in file:
        del file[name]
        return
    first, second = layout.holders
    whole = first in file and second in file
    holder = (file, file[first], file[second])[rng.integers(3)] if whole else file
    names = sorted(holder.attrs)
    if names:
        del holder.attrs[names[rng.integers(len(names))]]


def odd_attribute(rng: Rng, file: h5py.File, layout: Layout) -> None:
    holder = _holder(rng, file, layout)
    names = sorted(holder.attrs)
    if not names:
        return
    name = names[rng.integers(len(names))]
    values: tuple[object, ...] = (
        "text\nmore",
        b"\xff\xfe",
        np.array([1.0, 2.0]),
        np.array([], "f8"),
        h5py.Empty("f8"),
        np.nan,
        -1.0,
        0.0,
        1e308,
        1j,
        np.array(["a"] * 500, dtype=h5py.string_dtype()),
        np.zeros(2, dtype=[("a", "f8")]),
        2**63,
    )
    holder.attrs[name] = values[rng.integers(len(values))]


ENTRY_MUTATIONS: Mapping[str, Mutation] = {
    function.__name__: function
    for function in (
        link_elsewhere,
        link_through_group,
        stored_elsewhere,
        virtual,
        huge,
        huge_chunk,
        other_type,
        shared_heap,
        group_for_dataset,
        part_gone,
        odd_attribute,
    )
}
RARE: Mapping[str, Mutation] = {"bomb": bomb}
