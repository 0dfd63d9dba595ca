"""Data files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pinn_config.whole_file import whole_file

from pinn_data.errors import DataWriteError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """`pinn_config.whole_file.whole_file`, whose errors are one sentence each.

    Raises DataWriteError for a missing or unwritable folder, a full disk, or a folder at `path`.
    """
    target = Path(path)
    if target.is_dir():
        raise DataWriteError(f"{target} is a folder: give the name of a file to write")
    try:
        with whole_file(target) as temporary:
            yield temporary
    except OSError as error:
        # DataFileNotFoundError and its kin are sentences already; only the system's errors are translated.
        raise error if isinstance(error, ValueError) else _explained(target, error) from error


def _explained(target: Path, error: OSError) -> DataWriteError:
    if isinstance(error, FileNotFoundError):
        return DataWriteError(
            f"{target} cannot be written because the folder {target.parent} does not exist: create it"
        )
    reason = (error.strerror or str(error)).lower()
    return DataWriteError(
        f"{target} cannot be written ({reason}): choose a folder with free space that you may write to"
    )
