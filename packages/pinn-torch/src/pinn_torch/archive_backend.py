"""Archives of this backend, and of others: who opens one that is foreign is told both backends' names.

Importing this loads no framework.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pinn_archive.contents import Archive
from pinn_archive.errors import ArchiveError
from pinn_archive.foreign import names_in
from pinn_archive.reader import find_archive, read_archive

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
        What `use` raises; where it is an archive of another backend, naming both.
    """
    try:
        archive = read_archive(path)
    except ArchiveError as error:
        if _is_of_keras(path):
            raise _of_another_backend(path, "tensorflow", str(error)) from error
        raise
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


def _is_of_keras(path: Path) -> bool:
    """Whether an archive that is none of this format holds a network of the public TensorFlow backend."""
    names = {PurePosixPath(name).name for name in names_in(find_archive(path)) if "/" in name}
    return bool({"model.keras", "saved_model.pb"} & names)
