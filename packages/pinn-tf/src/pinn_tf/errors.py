"""What can go wrong in the TensorFlow backend. Every class is also the builtin that callers catch already."""

from __future__ import annotations

from pinn_data.errors import ModelArchiveError, ModelNameError, ModelPathError, NotFiniteError, RunError

__all__ = [
    "DispatchMissingError",
    "ModelArchiveError",
    "ModelNameError",
    "ModelPathError",
    "NotFiniteError",
    "RunError",
    "TensorFlowMissingError",
]


class DispatchMissingError(RuntimeError):
    """What chooses between backends is not installed."""


class TensorFlowMissingError(RuntimeError):
    """TensorFlow cannot be imported, or is too old."""
