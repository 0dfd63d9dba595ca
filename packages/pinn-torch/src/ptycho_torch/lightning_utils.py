"""Compat name of `pinn_torch.api.best_checkpoint`."""

from pinn_torch.api.best_checkpoint import find_best_checkpoint

__all__ = ["find_best_checkpoint"]
