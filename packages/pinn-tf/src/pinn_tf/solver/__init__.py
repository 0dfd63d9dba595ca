"""The physics solver on TensorFlow: its operations by name. Importing this module loads no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinn_tf.runtime.requirements import require_tensorflow

if TYPE_CHECKING:
    from pinn_tf.solver.array_operations import TensorFlowOperations

__all__ = ["operations"]


def operations(device: str | None = None, *, double: bool = False) -> TensorFlowOperations:
    """The operations on a device: 'cpu', 'cuda', 'mps' or 'gpu'; None: on a GPU that TensorFlow sees, else on
    the CPU.

    double : float64 in place of float32

    Raises TensorFlowMissingError, and RunError for a device that TensorFlow does not see.
    """
    require_tensorflow()
    from pinn_tf.runtime.devices import device_of
    from pinn_tf.solver.array_operations import TensorFlowOperations

    return TensorFlowOperations(device_of("auto" if device is None else device), double=double)
