"""Paths that a caller names, checked before anything else is done. Importing this loads no framework."""

from __future__ import annotations

import os
from pathlib import Path

from pinn_torch.errors import PathNotFoundError

__all__ = ["existing_file"]


def existing_file(what: str, path: str | os.PathLike[str]) -> Path:
    """The path of a data file that is there.

    what : Training or Test, for the message

    Raises PathNotFoundError (a FileNotFoundError).
    """
    if not Path(path).is_file():
        raise PathNotFoundError(
            f"{what} data file not found: {path}"
            + (", which is a folder: give the NPZ file in it" if Path(path).is_dir() else "")
        )
    return Path(path)
