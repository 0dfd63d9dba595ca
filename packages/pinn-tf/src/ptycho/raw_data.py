"""Scans as `RawData` under their historical name. See `pinn_data.grouping.raw_data`."""

from pinn_data.grouping.raw_data import RawData

__all__ = ["RawData"]
