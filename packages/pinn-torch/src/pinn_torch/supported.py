"""Settings that cannot be honoured are refused, not ignored."""

from __future__ import annotations

from typing import Any

from pinn_config.configs import TrainingConfig

from pinn_torch.errors import TorchRunError

__all__ = ["refuse_unsupported"]


def refuse_unsupported(*configs: Any) -> None:
    """Returns if every setting has an effect.

    Raises
    ------
    TorchRunError
        Naming the setting that has none.
    """
    for config in configs:
        if isinstance(config, TrainingConfig) and not config.positions_provided:
            raise TorchRunError(
                "positions_provided=False was given, but groups and image are made from positions, which a "
                "scan always has: leave it at true (the flag is one of former simulation scripts)"
            )
