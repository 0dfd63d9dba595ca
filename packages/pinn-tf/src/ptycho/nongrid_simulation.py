"""Simulated scans under their historical name. See `pinn_data.simulation.simulate_file`."""

from pinn_data.simulation.simulate_file import simulate_from_npz

__all__ = ["simulate_from_npz"]
