"""Archives that another backend wrote: an error about one names both backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pinn_archive.contents import Archive
from pinn_archive.errors import ForeignArchiveError
from pinn_archive.reader import read_archive

from pinn_data.errors import ModelArchiveError

__all__ = ["use_archive"]

T = TypeVar("T")


def use_archive(path: Path, backend: str, use: Callable[[Archive], T]) -> T:
    """Read the archive at `path` for the active `backend` and return what `use` makes of it.

    Raises
    ------
    ArchiveError, ArchiveNotFoundError
        No sound archive.
    ModelArchiveError
        What `use` raises, and an archive of the public implementation. If another backend wrote the archive,
        the message names both.
    """
    try:
        archive = read_archive(path)
    except ForeignArchiveError as error:
        raise ModelArchiveError(error.told_by(f"the active backend {backend!r}")) from error
    try:
        return use(archive)
    except ModelArchiveError as error:
        if archive.backend == backend:
            raise
        raise ModelArchiveError(
            f"{path} was written by the backend {archive.backend!r} and cannot be opened by the active "
            f"backend {backend!r}: choose the backend {archive.backend!r}, or train again "
            f"({str(error).rstrip('.')})"
        ) from error
