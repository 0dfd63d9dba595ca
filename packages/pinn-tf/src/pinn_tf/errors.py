"""What can go wrong in the TensorFlow backend. Every class is also the builtin that callers catch already."""

from __future__ import annotations

__all__ = [
    "DispatchMissingError",
    "ModelArchiveError",
    "ModelNameError",
    "ModelPathError",
    "NotFiniteError",
    "TensorFlowMissingError",
    "TensorFlowRunError",
]


class DispatchMissingError(RuntimeError):
    """What chooses between backends is not installed."""


class TensorFlowMissingError(RuntimeError):
    """TensorFlow cannot be imported, or is too old."""


class TensorFlowRunError(ValueError):
    """A scan, a model and a configuration that do not fit together."""


class ModelArchiveError(ValueError):
    """An archive that is sound but does not hold a model that this backend can build."""


class ModelPathError(ModelArchiveError, FileNotFoundError):
    """There is nothing at the path where a model should be."""


class ModelNameError(ModelArchiveError, KeyError):
    """An archive has no model of that name."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put quotes around the sentence


class NotFiniteError(RuntimeError):
    """The loss became NaN or infinite, so the training was stopped."""
