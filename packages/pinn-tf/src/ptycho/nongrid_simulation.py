"""Simulated scans under their historical name. See `pinn_data.simulate_file`."""

from pinn_data.simulate_file import simulate_from_npz

__all__ = ["simulate_from_npz"]
