"""Settings that this version cannot honour are refused, not ignored."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig

from pinn_torch.errors import TorchRunError

__all__ = ["refuse_unsupported"]

_WITHOUT_EFFECT: dict[type, tuple[str, ...]] = {
    PyTorchExecutionConfig: ("devices",),
}


def refuse_unsupported(*configs: Any) -> None:
    """Returns if every setting that would have no effect is at its default.

    Raises
    ------
    TorchRunError
        Naming each setting that is not.
    """
    for config in configs:
        if isinstance(config, TrainingConfig) and not config.positions_provided:
            raise TorchRunError(
                "positions_provided=False was given, but groups and image are made from positions, which a "
                "scan always has: leave it at true (the flag is one of former simulation scripts)"
            )
    wrong = [
        f"{item.name}={getattr(config, item.name)!r}"
        for config in configs
        for item in fields(config)
        if item.name in _WITHOUT_EFFECT.get(type(config), ())
        and item.default is not MISSING
        and getattr(config, item.name) != item.default
    ]
    if wrong:
        raise TorchRunError(
            f"{', '.join(wrong)} cannot be honoured by this version of pinn-torch: leave it at the default"
        )
