"""Stitching of predicted patches under its historical name. See `pinn_data.stitching.reassembly`."""

from pinn_data.stitching.reassembly import reassemble_position

__all__ = ["reassemble_position"]
