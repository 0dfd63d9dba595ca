"""ptychodus products as NPZ: the entries of the HDF5 product without its groups.

Layout (ptychodus 1.7.0, ``plugins/npz_product_file.py``): what is an attribute of the HDF5 file is an entry
here, and those of its ``probe`` and ``object`` are ``probe_pixel_width_m``, ``object_center_x_m`` and so on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import DataRangeError, ShapeError, naming
from pinn_data.files.hdf5 import is_hdf5
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.npz_header import read_text
from pinn_data.files.product import NUMBERS, Product, read_product

__all__ = ["is_product_npz", "read_any_product", "read_product_npz"]


def is_product_npz(file: NpzReader) -> bool:
    """Whether an NPZ file is laid out as a product."""
    return "probe_position_x_m" in file and "object" in file


def read_any_product(path: str | os.PathLike[str]) -> Product:
    """The product in a file of either format, told by its contents.

    Raises what `read_product_npz` and :func:`pinn_data.files.product.read_product` raise.
    """
    source = Path(path)
    return read_product(source) if not source.is_file() or is_hdf5(source) else read_product_npz(source)


def read_product_npz(path: str | os.PathLike[str]) -> Product:
    """The product in an NPZ file of ptychodus.

    Raises DataFileNotFoundError, DataFormatError (foreign, truncated, pickled), DataKeyError (missing entry),
    and what :class:`Product` raises.
    """
    with naming(path), NpzReader(path) as file:
        fields: dict[str, Any] = {}
        for field, (keys, needed) in NUMBERS.items():
            found = [key for key in keys if key in file]
            if found or needed:
                fields[field] = _number(file, (found or keys)[0])
        for field in ("opr_weights",):
            if field in file:
                fields[field] = _numbers(file, field)
        if "object_layer_spacing_m" in file:
            fields["layer_spacing_m"] = _numbers(file, "object_layer_spacing_m")
        losses = "loss_values" if "loss_values" in file else "costs"
        if losses in file:
            values = _numbers(file, losses).reshape(-1)
            fields["loss_values"] = values
            fields["loss_epochs"] = (
                _numbers(file, "loss_epochs") if "loss_epochs" in file else np.arange(len(values))
            )
        x, y = _numbers(file, "probe_position_x_m"), _numbers(file, "probe_position_y_m")
        if x.ndim != 1 or x.shape != y.shape:
            raise ShapeError(
                f"the positions have shapes {y.shape} (y) and {x.shape} (x), but one number per frame is "
                "needed: export it again"
            )
        pixel = _pair(file, "object_pixel_height_m", "object_pixel_width_m")
        has_own = "probe_pixel_height_m" in file and "probe_pixel_width_m" in file
        return Product(
            positions_m=np.stack([y, x], axis=1),
            position_indexes=_numbers(file, "probe_position_indexes"),
            probe=_numbers(file, "probe"),
            object=_numbers(file, "object"),
            object_pixel_m=pixel,
            probe_pixel_m=_pair(file, "probe_pixel_height_m", "probe_pixel_width_m") if has_own else pixel,
            object_center_m=_pair(file, "object_center_y_m", "object_center_x_m"),
            name=read_text(file, "name") or "Unnamed",
            comments=read_text(file, "comments") or "",
            far_field=bool(_number(file, "far_field")) if "far_field" in file else True,
            **fields,
        )


def _numbers(file: NpzReader, key: str) -> NDArray[Any]:
    array = file.read(key)
    if array.dtype.kind not in "iufcb":
        raise DataRangeError(
            f"'{key}' has dtype {one_line(array.dtype)}, but numbers are needed: export it again"
        )
    return array


def _number(file: NpzReader, key: str) -> float:
    array = _numbers(file, key)
    if array.size != 1 or array.dtype.kind == "c":
        raise ShapeError(f"'{key}' has shape {array.shape}, but one number is needed: export it again")
    return float(array.reshape(-1)[0])


def _pair(file: NpzReader, height: str, width: str) -> tuple[float, float]:
    return _number(file, height), _number(file, width)
