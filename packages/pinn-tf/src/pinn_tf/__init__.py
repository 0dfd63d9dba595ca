"""The TensorFlow backend of PtychoPINN: network, physics, training and reconstruction.

Importing this package loads no framework; the functions below load TensorFlow when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
BACKEND = "tensorflow"
"""The name of this backend: in archives, on the command line, in messages."""

__all__ = ["Reconstruction", "TrainingResult", "reconstruct", "train"]

if TYPE_CHECKING:
    from pinn_tf.workflows import Reconstruction, TrainingResult, reconstruct, train


def __getattr__(name: str) -> Any:
    if name in __all__:
        from pinn_tf import workflows

        return getattr(workflows, name)
    raise AttributeError(f"module 'pinn_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
