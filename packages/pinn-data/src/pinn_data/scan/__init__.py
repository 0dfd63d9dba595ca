"""A measured scan: its patterns, positions, probe and geometry, and what each of them means."""

from pinn_data.scan.positions import select_region
from pinn_data.scan.scan import Scan

__all__ = ["Scan", "select_region"]
