"""What can go wrong in the PyTorch backend. Every class is also the builtin that a caller already catches."""

from __future__ import annotations

from pinn_data.errors import ModelArchiveError, ModelNameError, ModelPathError, NotFiniteError, RunError

__all__ = [
    "ModelArchiveError",
    "ModelNameError",
    "ModelPathError",
    "NotFiniteError",
    "PathNotFoundError",
    "RunError",
    "TorchMissingError",
    "UsageError",
    "WorkerError",
]


class TorchMissingError(RuntimeError):
    """PyTorch cannot be imported, or is too old."""


class PathNotFoundError(FileNotFoundError):
    """There is no file at a path that a caller named."""


class UsageError(ValueError):
    """The command line does not say what to do, or contradicts itself."""


class WorkerError(RuntimeError):
    """One of several processes of a run failed; its notes hold what that process said last."""
