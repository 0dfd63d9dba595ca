"""What can be wrong with measured data, as exceptions that a caller can already catch.

Every class is a :class:`PinnDataError`, hence a :class:`ValueError`, and derives besides from the builtin
that fits (``FileNotFoundError``, ``KeyError``, ``OSError``).  A message is one sentence: what was given, what
is allowed, what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pinn_config.quoting import one_line


class PinnDataError(ValueError):
    """Something about the data or its description that only the caller can put right."""


class DataFileNotFoundError(PinnDataError, FileNotFoundError):
    """The named file does not exist (or is a folder)."""


class DataFormatError(PinnDataError):
    """The file exists but is not what it should be: foreign, truncated, damaged or unsafe."""


class DataWriteError(PinnDataError, OSError):
    """The file could not be written; nothing was left behind under its name."""


class DataKeyError(PinnDataError, KeyError):
    """An entry that the format requires is missing from the file."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument; a sentence must not arrive in quotation marks.
        return str(self.args[0]) if self.args else ""


class DataTypeError(PinnDataError, TypeError):
    """A value is no scan at all, but something of another kind."""


class UnitError(PinnDataError):
    """The unit of a diffraction stack is unknown or contradicts the numbers in it."""


class ShapeError(PinnDataError):
    """An array has the wrong number of axes or the wrong lengths, or two arrays do not fit together."""


class DataRangeError(PinnDataError):
    """An array holds numbers that cannot have been measured: NaN, infinity, negative counts."""


class EmptyScanError(ShapeError):
    """There is no frame, or no position, to work on."""


class LabelError(PinnDataError):
    """A scan comes without an object that can be learned from."""


class RequestError(PinnDataError):
    """Something was asked for that the scans at hand do not allow."""


class PositionError(PinnDataError):
    """Scan positions are unusable, or lie where they cannot be served."""


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names out of a file, which may be anything, for a message; ``'nothing'`` where there are none."""
    found = [one_line(name, 60) for name in names]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "nothing") + more


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its contents, where the sentence lacks it."""
    try:
        yield
    except PinnDataError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


# What can go wrong in a training or a reconstruction, whichever backend computes. No PinnDataError: the data
# may be sound.


class RunError(ValueError):
    """A scan, a model and a configuration that do not fit together."""


class ModelArchiveError(ValueError):
    """The archive is sound but does not hold a model that this backend can build."""


class ModelPathError(ModelArchiveError, FileNotFoundError):
    """There is nothing at the path where a model should be."""


class ModelNameError(ModelArchiveError, KeyError):
    """An archive has no model of that name."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put quotes around the sentence


class NotFiniteError(RuntimeError):
    """The loss became NaN or infinite, so the training was stopped."""
