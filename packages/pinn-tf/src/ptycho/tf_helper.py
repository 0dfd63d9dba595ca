"""Stitching of predicted patches under its historical name. See `pinn_data.mosaic`."""

from pinn_data.mosaic import reassemble_position

__all__ = ["reassemble_position"]
