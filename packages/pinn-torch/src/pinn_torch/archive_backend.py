"""Archives of this backend, and of others: who opens one that is foreign is told both backends' names.

Importing this loads no framework.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pinn_archive.contents import Archive
from pinn_archive.errors import ForeignArchiveError
from pinn_archive.reader import read_archive

from pinn_torch.errors import ModelArchiveError

__all__ = ["BACKEND", "opened"]

BACKEND = "pytorch"
"""What archives that this package writes name as their backend."""

T = TypeVar("T")


def opened(path: Path, use: Callable[[Archive], T]) -> T:
    """What `use` makes of the archive at `path`.

    Raises
    ------
    ArchiveError, ArchiveNotFoundError
        No sound archive.
    ModelArchiveError
        What `use` raises, and an archive of the public implementation; where it is of another backend,
        naming both.
    """
    try:
        archive = read_archive(path)
    except ForeignArchiveError as error:
        raise ModelArchiveError(error.told_by(f"the active backend {BACKEND!r}")) from error
    try:
        return use(archive)
    except ModelArchiveError as error:
        if archive.backend == BACKEND:
            raise
        raise _of_another_backend(path, archive.backend, str(error)) from error


def _of_another_backend(path: Path, backend: str, why: str) -> ModelArchiveError:
    return ModelArchiveError(
        f"{path} was written by the backend {backend!r} and cannot be opened by the active backend "
        f"{BACKEND!r}: choose the backend {backend!r}, or train again ({why.rstrip('.')})"
    )
