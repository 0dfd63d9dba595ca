"""Compat names of `pinn_torch.api`."""
