"""Where things are: the names inside an archive, their limits, and the canonical file name outside it.

The written format is `FORMAT.md` next to this file; section numbers below are its sections.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from pinn_archive.errors import ArchiveError

__all__ = [
    "FILE_NAME",
    "FORMAT_NAME",
    "MANIFEST_DILL",
    "MANIFEST_JSON",
    "MAX_ENTRIES",
    "MAX_JSON_BYTES",
    "MAX_NAME_BYTES",
    "MAX_TOTAL_BYTES",
    "PARAMS_JSON",
    "PARAMS_NPZ",
    "VERSION",
    "WEIGHTS",
    "archive_path",
    "check_label",
    "check_name",
    "check_names",
    "native_entry",
    "weights_entry",
]

FORMAT_NAME = "pinn-archive"
VERSION = "3.0"
"""``major.minor``. The public implementation wrote 1.x and 2.x, which hold pickled code and are not read."""

FILE_NAME = "wts.h5.zip"
MANIFEST_DILL = "manifest.dill"
MANIFEST_JSON = "manifest.json"
PARAMS_JSON = "params.json"
PARAMS_NPZ = "params.npz"
WEIGHTS = "weights.safetensors"

MAX_ENTRIES = 1024
MAX_NAME_BYTES = 201
MAX_JSON_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 2**32 - 2
"""The classic ZIP frame counts in 32 bits; an archive that needs more is refused when it is written."""

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_-])?", re.ASCII)
# Names that Windows opens as devices, whatever their extension.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.ASCII | re.IGNORECASE)


def check_label(label: str, what: str) -> str:
    """`label`, if it can be one part of an entry's name on every file system (section 2).

    Raises
    ------
    ArchiveError
        Anything but 1 to 100 of ``A-Z a-z 0-9 _ . -``, first no ``.`` or ``-`` and last no ``.``; a Windows
        device.
    """
    if not isinstance(label, str) or not _LABEL.fullmatch(label) or _DEVICE.fullmatch(label):
        raise ArchiveError(
            f"{what} {label!r} cannot be used in an archive: "
            "give 1 to 100 of the characters A-Z a-z 0-9 _ . - "
            "that neither start with '.' or '-', nor end with '.', nor are a Windows device such as 'con'."
        )
    return label


def check_name(name: str) -> str:
    """`name`, if it is a relative path of at most two parts that stays inside its folder."""
    parts = name.split("/")
    if len(parts) > 2:
        raise ArchiveError(
            f"entry name {name!r} has {len(parts)} parts: an archive holds 'file' and 'model/file' only."
        )
    for part in parts:
        check_label(part, "entry name")
    return name


def check_names(names: Iterable[str]) -> list[str]:
    """`names` in ascending order, if no two of them are one file on a file system that ignores case.

    Raises
    ------
    ArchiveError
        A bad name, the same name twice, names that differ in case only, or a file that is also a folder.
    """
    ordered = sorted(check_name(name) for name in names)
    if len(ordered) > MAX_ENTRIES:
        raise ArchiveError(f"{len(ordered)} entries are too many: an archive holds at most {MAX_ENTRIES}.")
    seen: set[str] = set()
    for name in ordered:
        if name.casefold() in seen:
            raise ArchiveError(
                f"entry {name!r} is there twice (upper and lower case count as the same): rename one."
            )
        seen.add(name.casefold())
    for name in ordered:
        folder, _, file = name.rpartition("/")
        if file and folder and folder.casefold() in seen:
            raise ArchiveError(f"entry {folder!r} is both a file and the folder of {name!r}: rename one.")
    return ordered


def weights_entry(model: str) -> str:
    """Name of the entry with the canonical weights of `model`."""
    return f"{model}/{WEIGHTS}"


def native_entry(model: str, native_name: str) -> str:
    """Name of the entry with the payload that only the writing backend reads."""
    return f"{model}/{native_name}"


def archive_path(path: str | os.PathLike[str]) -> Path:
    """The file that `write_archive(path, ...)` writes.

    A folder, or a name without ``.zip``, means `FILE_NAME` inside that folder; ``.../wts.h5`` (the historical
    base name) means ``.../wts.h5.zip``; any other name that ends in ``.zip`` is that file.

    >>> [archive_path(name).as_posix() for name in ("out", "out/wts.h5", "best.zip")]
    ['out/wts.h5.zip', 'out/wts.h5.zip', 'best.zip']
    """
    path = Path(path)
    if path.is_dir():
        return path / FILE_NAME
    if path.name == FILE_NAME.removesuffix(".zip"):
        return path.with_name(FILE_NAME)
    if path.suffix.lower() == ".zip":
        return path
    return path / FILE_NAME
