"""Compat name of `pinn_torch.api.module.ConfiguredModule`."""

from pinn_torch.api.module import ConfiguredModule as PtychoPINN_Lightning

__all__ = ["PtychoPINN_Lightning"]
