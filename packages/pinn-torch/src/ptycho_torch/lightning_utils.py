"""Compat name of `pinn_torch.checkpoints.find_best_checkpoint`."""

from pinn_torch.checkpoints import find_best_checkpoint

__all__ = ["find_best_checkpoint"]
