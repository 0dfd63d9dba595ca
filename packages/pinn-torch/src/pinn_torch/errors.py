"""What can go wrong in the PyTorch backend. Every class is also the builtin that a caller already catches."""

from __future__ import annotations

__all__ = [
    "ModelArchiveError",
    "ModelNameError",
    "ModelPathError",
    "NotFiniteError",
    "PathNotFoundError",
    "TorchMissingError",
    "TorchRunError",
    "UsageError",
    "WorkerError",
]


class TorchMissingError(RuntimeError):
    """PyTorch cannot be imported, or is too old."""


class TorchRunError(ValueError):
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


class PathNotFoundError(FileNotFoundError):
    """There is no file at a path that a caller named."""


class UsageError(ValueError):
    """The command line does not say what to do, or contradicts itself."""


class WorkerError(RuntimeError):
    """One of several processes of a run failed; its notes hold what that process said last."""
