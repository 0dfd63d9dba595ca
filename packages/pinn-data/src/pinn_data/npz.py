"""Scans as NPZ files, under the name that programs of version 0.1.0 import."""

from pinn_data.files.npz import read_scan, write_scan
from pinn_data.scan.scan import Scan

__all__ = ["Scan", "read_scan", "write_scan"]
