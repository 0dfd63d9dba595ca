"""What is accepted out of a hostile file must be valid."""

from __future__ import annotations

import numpy as np
from pinn_data.npz import Scan
from pinn_data.product import Product

__all__ = ["require", "sound_product", "sound_scan"]


def require(sound: bool, what: str) -> None:
    """Raises AssertionError about `what`."""
    if not sound:
        raise AssertionError(what)


def sound_scan(scan: Scan) -> Scan:
    """The scan; raises AssertionError where it is none."""
    require(scan.positions.shape == (len(scan), 2) and bool(np.isfinite(scan.positions).all()), "positions")
    require(bool(np.isfinite(scan.probe).all()) and scan.probe.shape[-1] == scan.N, "probe")
    require(scan.diffraction.shape == (len(scan), scan.N, scan.N), "patterns")
    require(bool(np.isfinite(scan.diffraction).all()) and scan.diffraction.min() >= 0, "pattern values")
    return scan


def sound_product(product: Product) -> Product:
    """The product; raises AssertionError where it is none."""
    require(product.positions_px().shape == product.positions_m.shape, "positions")
    require(bool(np.isfinite(product.object).all()), "object")
    return product
