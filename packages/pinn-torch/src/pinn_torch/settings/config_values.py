"""Values that the PyTorch configs and the canonical ones call by different names: one function for each.

Each gives the canonical value, and raises `ConfigError` (a ValueError) with the values that there are.
Importing this loads no framework.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pinn_config.errors import ConfigError
from pinn_config.validation import shown

__all__ = [
    "accelerator",
    "amp_activation",
    "gridsize",
    "logger_backend",
    "model_type",
    "probe_mask",
    "wants_mae",
]

_MODES = {"Unsupervised": "pinn", "Supervised": "supervised"}
_ACTIVATIONS = {"silu": "swish", "SiLU": "swish"} | {
    name: name for name in ("sigmoid", "swish", "softplus", "relu")
}
_LOSSES = {"Poisson": False, "poisson": False, "MAE": True, "mae": True}
_ACCELERATORS = {"cuda": "auto"} | {name: name for name in ("auto", "cpu", "gpu", "mps", "tpu")}
_LOGGERS = {"Mlflow": "mlflow", "Lightning": "csv"}


def gridsize(grid_size: Any) -> int:
    """The side of a square ``grid_size``."""
    try:
        rows, columns = grid_size
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"grid_size must be two whole numbers, rows and columns, not {shown(grid_size)}"
        ) from error
    if rows != columns:
        raise ConfigError(
            f"Non-square grids not supported: grid_size is {rows} x {columns}, so give the same number twice"
        )
    return int(rows)


def model_type(mode: Any) -> str:
    """``pinn`` or ``supervised`` of a ``mode``."""
    if mode not in _MODES:
        raise ConfigError(f"Invalid mode {mode!r}: give 'Unsupervised' or 'Supervised'")
    return _MODES[mode]


def amp_activation(name: Any) -> str:
    """The activation of the amplitude; ``silu`` is ``swish``."""
    if name not in _ACTIVATIONS:
        raise ConfigError(f"Unknown activation {name!r}: give one of {', '.join(map(repr, _ACTIVATIONS))}")
    return _ACTIVATIONS[name]


def probe_mask(mask: Any) -> bool:
    """Whether the circular mask is on; pixels of a mask ask for it, with a warning that it is a circle."""
    if mask is None or isinstance(mask, bool):
        return bool(mask)
    warnings.warn(
        "probe_mask is an array of pixels, but only a circular mask is supported: give True, or mask the "
        "probe itself",
        UserWarning,
        stacklevel=3,
    )
    return True


def wants_mae(name: str, loss: Any) -> bool:
    """Whether the loss of the field `name` is the mean absolute error, not the likelihood."""
    return _one_of(name, loss, _LOSSES)


def accelerator(device: Any) -> str:
    """The accelerator of a ``device``. ``cuda`` is a GPU where there is one and the CPU elsewhere, as the
    clients expect that send it from every machine."""
    return _one_of("device", device, _ACCELERATORS)


def logger_backend(orchestrator: Any) -> str:
    """Who records the metrics under an ``orchestrator``; Lightning does so as CSV."""
    return _one_of("orchestrator", orchestrator, _LOGGERS)


def _one_of(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, known))}, not {shown(value)}")
    return known[value]
