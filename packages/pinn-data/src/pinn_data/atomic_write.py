"""Files that appear whole or not at all: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pinn_data.errors import DataWriteError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, to be written inside the ``with`` block and renamed at its end.

    When the block raises, the temporary file is removed and whatever stood at `path` stays as it was.

    Raises DataWriteError for a missing or unwritable folder, a full disk, or a folder at `path`.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    if target.is_dir():
        raise DataWriteError(f"{target} is a folder, but a file is to be written there: give a file name")
    try:
        # O_EXCL with mode 0o666: nobody else's file, and permissions that follow the user's umask.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise _explained(target, error) from error
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # DataFileNotFoundError and its kin are sentences already; only the system's errors are translated.
        raise error if isinstance(error, ValueError) else _explained(target, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush(target.parent)


def _explained(target: Path, error: OSError) -> DataWriteError:
    if isinstance(error, FileNotFoundError):
        return DataWriteError(
            f"{target} cannot be written because the folder {target.parent} does not exist: create it"
        )
    reason = (error.strerror or str(error)).lower()
    return DataWriteError(
        f"{target} cannot be written ({reason}): choose a folder with free space that you may write to"
    )


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows can neither open nor flush a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
