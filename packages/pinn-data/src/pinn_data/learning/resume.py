"""The file from which a stopped training goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pinn_config.whole_file import unfinished_files

__all__ = ["remove_resume_point", "resume_point"]

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


def resume_point(path: Path, fingerprint: str, read: Callable[[Path], tuple[T, str, int]]) -> T | None:
    """What a training with the same fingerprint left at `path` when it was stopped; None: nothing.

    read : the content of the file, its fingerprint and the number of its last epoch; it must run no code
    """
    if not path.exists():
        return None
    try:
        content, found, epoch = read(path)
    except Exception as error:
        _LOG.warning("%s cannot be read (%s), so the training starts anew", path, error)
        return None
    if found != fingerprint:
        _LOG.warning("%s belongs to a training with other data or settings, so this one starts anew", path)
        return None
    _LOG.info("resuming a training that was stopped after epoch %d, from %s", epoch + 1, path)
    return content


def remove_resume_point(path: Path) -> None:
    """Remove the file of a training that is over, and what processes left beside it and in the output folder
    when they were killed while they wrote."""
    path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        for file in unfinished_files(folder):
            file.unlink(missing_ok=True)
