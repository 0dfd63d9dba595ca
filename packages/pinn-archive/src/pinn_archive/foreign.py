"""What lies in a file or folder that is no archive of this format: names only, to say whose it may be."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

__all__ = ["names_in"]

# Everything that the directory of a damaged or forged ZIP file makes `zipfile` raise (ValueError: names that
# are no text; NotImplementedError: other versions).
_UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, struct.error)


def names_in(path: str | os.PathLike[str]) -> frozenset[str]:
    """Names of the entries of a ZIP file, or of the files in a folder, two levels deep, joined by ``/``.

    Empty where `path` is neither, or too damaged to tell. Nothing but the directory is read; a name may be
    anything.
    """
    path = Path(path)
    if path.is_dir():
        return frozenset(
            item.relative_to(path).as_posix() for depth in ("*", "*/*") for item in path.glob(depth)
        )
    try:
        with zipfile.ZipFile(path) as file:
            return frozenset(file.namelist())
    except _UNREADABLE:
        return frozenset()
