"""Atomic writes: a file is written beside its place, flushed to disk, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["unfinished_files", "whole_file"]

_ENDING = ".tmp"
_UNFINISHED = f".*.{'[0-9a-f]' * 12}{_ENDING}"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, to be written inside the ``with`` block and renamed at its end.

    If the block raises, the temporary file is removed and whatever stood at `path` stays as it was.

    Raises OSError where the file system refuses. If only the last flush, of the folder, fails, the new file
    is complete under its name.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}{_ENDING}")
    # O_EXCL with mode 0o666: nobody else's file, and permissions that follow the user's umask.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush(target.parent)


def unfinished_files(folder: Path) -> list[Path]:
    """Temporary files that killed processes left in `folder`."""
    return sorted(folder.glob(_UNFINISHED))


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder; its file systems journal the rename themselves
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
