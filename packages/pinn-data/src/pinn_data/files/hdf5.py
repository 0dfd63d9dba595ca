"""Datasets out of HDF5 files that nobody vouches for.

A link is followed only within the file; what lies in another one (external links, external storage, virtual
datasets) is refused, and so is a dataset that declares more than its stored bytes can hold, before memory is
allocated.

Source: HDF5 file format specification, version 3, sections III and IV.A.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import (
    DataFileNotFoundError,
    DataFormatError,
    DataKeyError,
    DataRangeError,
    PinnDataError,
    ShapeError,
    naming,
)
from pinn_data.files.hdf5_texts import check_texts

__all__ = [
    "checked_dataset",
    "find_dataset",
    "is_hdf5",
    "label",
    "missing",
    "opened",
    "read_attribute",
    "read_numbers",
    "read_one",
]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DEFLATE_LIMIT = 1032  # no deflate stream expands by more; a dataset that claims more is forged
_LARGEST_CHUNK = 8 * 2**20  # bytes that a dataset smaller than its chunk may unpack to; inflating takes twice
_MOST_HOLES = 2  # times what was written may be declared; the rest would come out as zeros
_MOST_LINKS = 16  # of one name, on its way to a dataset
_BROKEN = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError)


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as an HDF5 file does."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


@contextmanager
def opened(path: Path, what: str) -> Iterator[h5py.File]:
    """The HDF5 file at `path`, to read; whatever the library complains about is one sentence.

    what : what it should be, for messages ('CXI file')

    Raises DataFileNotFoundError, DataFormatError (foreign, truncated, damaged).
    """
    if not path.is_file():
        why = "is a folder: give the file" if path.is_dir() else "does not exist: check the path"
        raise DataFileNotFoundError(f"{path} {why} of the {what}")
    try:
        with naming(path), h5py.File(path, "r") as file:
            yield file
    except PinnDataError:
        raise
    except _BROKEN as error:
        if isinstance(error, PermissionError):
            raise DataFormatError(
                f"{path} cannot be read (permission denied): check its permissions"
            ) from error
        raise DataFormatError(
            f"{path} is not a readable {what} ({one_line(error)}): it has another format, or is truncated "
            "or damaged, so copy or export it again"
        ) from error


def find_dataset(file: h5py.File, *names: str) -> h5py.Dataset | None:
    """The first of these names that is there, checked as by `checked_dataset`; None where none is."""
    for name in names:
        found = _follow(file, name)
        if found is not None:
            return checked_dataset(found, name)
    return None


def label(dataset: h5py.Dataset) -> str:
    """The name of a dataset for a message; the file chose it, where a link led there."""
    return one_line(str(dataset.name).lstrip("/"), 60)


def checked_dataset(found: Any, name: str) -> h5py.Dataset:
    """`found` if it is a dataset of numbers that lies in its own file and can be as large as it says.

    Raises DataFormatError.
    """
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise DataFormatError(
            f"'{name}' is a group or lies in another file, but a dataset is needed: store the data itself"
        )
    if found.shape is None:
        raise DataRangeError(f"'{name}' has dtype {one_line(found.dtype)} and no values: export it again")
    stored = found.id.get_storage_size()
    chunk = math.prod(found.chunks) * found.dtype.itemsize if found.chunks else 0
    if chunk > max(found.nbytes, _LARGEST_CHUNK):
        raise DataFormatError(
            f"'{name}' holds {found.nbytes} bytes in chunks of {chunk}: the file is forged or badly packed, "
            "so export it again"
        )
    if max(found.nbytes, chunk) > _DEFLATE_LIMIT * max(stored, 1):
        raise DataFormatError(
            f"'{name}' declares {max(found.nbytes, chunk)} bytes (shape {found.shape}) but {stored} are "
            "stored: the file is truncated or forged, so export it again"
        )
    if chunk and found.nbytes > _MOST_HOLES * found.id.get_num_chunks() * chunk:
        raise DataFormatError(
            f"'{name}' has shape {found.shape}, but only {found.id.get_num_chunks()} of its chunks "
            f"{found.chunks} were ever written: the recording was cut short or the file is forged, so export "
            "what there is"
        )
    creation = found.id.get_create_plist()
    for number in range(creation.get_nfilters()):
        code, _, _, title = creation.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            text = title.decode("utf-8", errors="replace") if isinstance(title, bytes) else str(title)
            text = one_line(text, 60) or "unnamed"
            raise DataFormatError(
                f"'{name}' is compressed by the HDF5 filter {code} ({text}), which is not "
                "installed: repack the file with 'h5repack -f GZIP=1'"
            )
    return found


def read_numbers(dataset: h5py.Dataset, kinds: str = "iufb") -> NDArray[Any]:
    """The whole of a small dataset.

    kinds : kinds of dtype that may be there

    Raises DataRangeError where it holds something else.
    """
    _check_kind(dataset, kinds)
    return np.asarray(dataset[()])


def read_attribute(holder: h5py.File | h5py.Dataset, key: str) -> Any:
    """The one number or text under the attribute `key`.

    Raises DataFormatError where there are several, and what :func:`pinn_data.files.hdf5_texts.check_texts`
    raises.
    """
    attribute = holder.attrs.get_id(key)
    shape = attribute.shape
    if math.prod(shape) != 1:
        raise DataFormatError(
            f"the attribute {key} of '{one_line(holder.name)}' has shape {shape}, but one value is needed: "
            "export it again"
        )
    if attribute.dtype.hasobject:
        check_texts(Path(holder.file.filename))
    return holder.attrs[key]


def read_one(dataset: h5py.Dataset) -> float:
    """The one finite number in a dataset (scalar, or of equal numbers).

    Raises DataRangeError, ShapeError.
    """
    if dataset.size is None or not 1 <= dataset.size <= 2**20:
        raise ShapeError(f"'{label(dataset)}' has shape {dataset.shape}, but one number is needed: store one")
    values = read_numbers(dataset).reshape(-1)
    value = float(values[0])
    if not np.isfinite(value) or not (values == values[0]).all():
        raise DataRangeError(
            f"'{label(dataset)}' holds {values.size} number(s) from {values.min():g} to {values.max():g}, "
            "but one finite number is needed: store one"
        )
    return value


def missing(names: str, what: str, advice: str) -> DataKeyError:
    """The error for a dataset that is not there."""
    return DataKeyError(f"the dataset '{names}' is missing, but {what} needs it: {advice}")


def _check_kind(dataset: h5py.Dataset, kinds: str) -> None:
    if dataset.dtype.kind not in kinds:
        raise DataRangeError(
            f"'{label(dataset)}' has dtype {one_line(dataset.dtype)}, but "
            f"{'complex ' if kinds == 'c' else '' if 'c' in kinds else 'real '}numbers are needed: export it "
            "again"
        )


def _follow(file: h5py.File, name: str) -> Any:
    """What lies at `name`; None where nothing does. Every link on the way is looked at before it is used."""
    here: Any = file["/"]
    way = [part for part in reversed(name.split("/")) if part not in ("", ".")]
    links = 0
    while way:
        if not isinstance(here, h5py.Group):
            return None
        part = way.pop()
        link = here.get(part, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.SoftLink):
            links += 1
            if links > _MOST_LINKS:
                raise DataFormatError(f"'{name}' is a circular link: store the data itself")
            if link.path.startswith("/"):
                here = file["/"]
            way += [part for part in reversed(link.path.split("/")) if part not in ("", ".")]
        elif isinstance(link, h5py.HardLink):
            here = here[part]
        else:
            raise DataFormatError(
                f"'{name}' is a link into another file, which is not followed: store the data itself"
            )
    return here
