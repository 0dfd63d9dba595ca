"""What is accepted out of a hostile file must be valid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pinn_data.files.product import Product
from pinn_data.json_values import as_json
from pinn_data.scan.scan import Scan
from pinn_dispatch.info.description import Description
from pinn_dispatch.info.kinds import describe
from pinn_dispatch.info.rasters import raster

__all__ = ["require", "sound_description", "sound_product", "sound_scan"]

_SIDE_PX = 26  # of a picture on a terminal


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


def sound_description(path: Path) -> Description:
    """All that `pinn info` prints and draws of the file; raises AssertionError where a terminal should not
    see it."""
    found = describe(path)
    for item in (found, *found.parts):
        for name, value in item.words.items():
            require(f"{name}{value}".isprintable() and len(value) <= 2000, f"words {name!r}: {value[:100]!r}")
    json.dumps(as_json(found.as_json(), lambda _: None), allow_nan=False)
    for picture in found.all_pictures():
        image = raster(picture, _SIDE_PX, _SIDE_PX)
        require(bool(np.isfinite(image).all()), f"picture {picture.title}")
    return found
