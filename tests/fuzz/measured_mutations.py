"""Hostile measurements in HDF5: numbers that are none, other shapes, names and texts out of the file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import h5py
import numpy as np

from . import hdf5_mutations
from .byte_mutations import interesting
from .hdf5_mutations import Forged, Layout, Mutation, removed, replaced

__all__ = ["ENTRY_MUTATIONS", "RARE"]

Rng = np.random.Generator

_ODD_NAMES = ("a\nb", "\x1b[2Jcleared", "x" * 5000, "é\u2028", "..", "nul\\0", "patterns ", "'; x")
_ODD_NUMBERS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30, 1e308, -1e308, 1e-300, 5e-324, 0.5)


def _numbers(file: h5py.File, name: str) -> np.ndarray | None:
    """The numbers in a dataset; None where an earlier mutation left something else."""
    found = file.get(name) if file.get(name, getlink=True).__class__ is h5py.HardLink else None
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "biufc" or not found.shape is not None:
        return None
    return None if found.nbytes > 2**20 or found.is_virtual or found.external else found[()]


def odd_numbers(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """One number of a dataset, or all."""
    name = layout.name(rng)
    found = _numbers(file, name)
    if found is None or not found.size:
        return
    array = np.array(found, np.complex128 if found.dtype.kind == "c" else np.float64)
    odd = _ODD_NUMBERS[rng.integers(len(_ODD_NUMBERS))]
    if rng.random() < 0.5:
        array[...] = odd
    else:
        array.reshape(-1)[rng.integers(array.size)] = odd
    replaced(file, name, data=array)


def odd_geometry(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """Several small datasets become odd at once."""
    for name in layout.datasets:
        found = _numbers(file, name)
        if found is not None and 0 < found.size <= 6 and found.dtype.kind in "iuf" and rng.random() < 0.6:
            odd = _ODD_NUMBERS[rng.integers(len(_ODD_NUMBERS))]
            replaced(file, name, data=found * odd if rng.random() < 0.7 else np.full(found.shape, odd))


def odd_whole_numbers(rng: Rng, file: h5py.File, layout: Layout) -> None:
    name = layout.name(rng)
    found = _numbers(file, name)
    if found is not None and found.size:
        array = np.array(found.real, np.int64 if rng.random() < 0.7 else np.uint64)
        array.reshape(-1)[rng.integers(array.size)] = interesting(rng, 63)
        replaced(file, name, data=array)


def other_dtype(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """The same numbers in another dtype."""
    name = layout.name(rng)
    found = _numbers(file, name)
    kinds = ("?", "i1", ">i4", "u8", "f2", ">f8", "g", "c8", "c16", ">c16", "S3", "V5")
    if found is None:
        return
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        kind = kinds[rng.integers(len(kinds))]
        replaced(
            file, name, data=found.astype(kind) if kind in ("c8", "c16", ">c16") else found.real.astype(kind)
        )


def other_shape(rng: Rng, file: h5py.File, layout: Layout) -> None:
    name = layout.name(rng)
    found = _numbers(file, name)
    if found is None or not found.size:
        return
    array = np.atleast_1d(found)
    shapes = (
        array.T,
        array[:-1],
        array[..., :-1],
        np.concatenate([array, array[:1]]),
        array[None],
        array[..., None],
        array.reshape(-1),
        array[:0],
        array[..., :1],
        array.reshape(-1)[0],
        np.broadcast_to(array.reshape(-1)[:1], (3, 5, 7)),
        np.tile(array, 3),
    )
    replaced(file, name, data=shapes[rng.integers(len(shapes))])


def named_by_file(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """A dataset is found through a link, under a name that the file gives it."""
    name, odd = layout.name(rng), _ODD_NAMES[rng.integers(len(_ODD_NAMES))]
    file.move(name, odd)
    file[name] = h5py.SoftLink(f"/{odd}")


def many_names(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """Names at the top that are no good in a message, and nothing that was there."""
    for number in range(int(rng.integers(1, 400))):
        file.create_group(f"{_ODD_NAMES[rng.integers(len(_ODD_NAMES))]}{number}")
    removed(file, layout.datasets[0].partition("/")[0] if rng.random() < 0.5 else layout.datasets[0])


def group_elsewhere(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """A group on the way to a dataset is a link."""
    parts = layout.name(rng).split("/")
    way = "/".join(parts[: int(rng.integers(1, len(parts) + 1))])
    links = (
        h5py.ExternalLink("../outside/sentinel.h5", "/"),
        h5py.SoftLink(f"/{way}"),
        h5py.SoftLink("/"),
        h5py.SoftLink("/" + "./" * 3000),
    )
    removed(file, way)
    file[way] = links[rng.integers(len(links))]


def many_fields(rng: Rng, file: h5py.File, layout: Layout) -> None:
    count = int(rng.integers(1, 300))
    fields = [(f"{_ODD_NAMES[rng.integers(2)]}{n}", "f8") for n in range(count)]
    replaced(file, layout.name(rng), data=np.zeros(int(rng.integers(1, 7)), fields))


def holes(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """One chunk of very many was written, and nothing is compressed."""
    name, frames = layout.name(rng), int(rng.integers(1000, 60_000))
    shape = ((frames, 16, 16), (frames, 2), (frames,), (2 * frames, 40, 40))[rng.integers(4)]
    replaced(
        file,
        name,
        shape=shape,
        dtype=("u2", "f8", "c8")[rng.integers(3)],
        chunks=(shape[0] // 100, *shape[1:]),
    )
    if np.prod(file[name].chunks) * file[name].dtype.itemsize < 2**20:
        file[name][0] = 1


def scaled_away(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """Equal numbers, of which a filter leaves some bytes for each chunk of any size."""
    count = int(rng.integers(2**10, 2**18))
    replaced(file, layout.name(rng), data=np.ones(count, "i4"), chunks=(count,), scaleoffset=0)


def bomb(rng: Rng, file: h5py.File, layout: Layout) -> None:
    """A dataset very many times behind itself, or one of zeros, in some kB."""
    name = layout.name(rng)
    found = _numbers(file, name)
    if found is None or not found.size:
        return
    array = np.atleast_1d(found) if rng.random() < 0.7 else np.atleast_1d(np.zeros_like(found))
    times = int(rng.integers(4, 24)) * 2**20 // array.nbytes
    replaced(file, name, data=np.tile(array, (times, *(1,) * (array.ndim - 1))), compression="gzip")


def odd_filter(rng: Rng, file: h5py.File, layout: Layout) -> Forged:
    """A filter that nobody has, with a name that is no good in a message."""
    name = layout.name(rng)
    found = _numbers(file, name)
    replaced(
        file,
        name,
        data=np.atleast_1d(np.zeros(4) if found is None else found),
        compression="gzip",
        chunks=True,
    )
    number = (32000, 65000, 2, 0)[rng.integers(4)].to_bytes(2, "little")
    label = (b"a\n\x1b[2J\0\0", b"\xff\xfe\xfd\xfc\xfb\0\0\0", b"xxxxxxxx", b"\0" * 8)[rng.integers(4)]

    def forge(data: bytes) -> bytes:
        at = data.find(b"deflate\0")
        return data if at < 8 else data[: at - 8] + number + data[at - 6 : at] + label + data[at + 8 :]

    return forge


ENTRY_MUTATIONS: Mapping[str, Mutation] = {
    **hdf5_mutations.ENTRY_MUTATIONS,
    **{
        function.__name__: function
        for function in (
            odd_numbers,
            odd_geometry,
            odd_whole_numbers,
            other_dtype,
            other_shape,
            named_by_file,
            many_names,
            group_elsewhere,
            many_fields,
            holes,
            scaled_away,
            odd_filter,
        )
    },
}
RARE: Mapping[str, Mutation] = {"bomb": bomb}
