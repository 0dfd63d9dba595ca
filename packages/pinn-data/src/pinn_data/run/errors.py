"""What can go wrong in a training or a reconstruction, whichever backend computes. Each class is also the
builtin that a caller already catches."""

from __future__ import annotations

__all__ = ["ModelArchiveError", "ModelNameError", "ModelPathError", "NotFiniteError", "RunError"]


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
