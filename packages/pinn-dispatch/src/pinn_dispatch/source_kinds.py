"""What `pinn convert` takes a file for: told by what is in it, never by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pinn_data.files.cxi import is_cxi
from pinn_data.files.hdf5 import is_hdf5, opened
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.product_npz import is_product_npz
from pinn_data.files.training_data import is_training_hdf5, is_training_npz

from pinn_dispatch.errors import UsageError
from pinn_dispatch.reconstruction import FILE_NAME

__all__ = ["Kind", "source_kind"]

Kind = Literal["scan", "cxi", "training", "product", "reconstruction", "raw"]


def source_kind(path: Path) -> Kind:
    """The kind of the file at `path`; 'raw' for a mere stack of patterns.

    Raises UsageError for something else, and what the readers raise for a damaged file.
    """
    if path.is_dir() and (path / FILE_NAME).is_file():
        return "reconstruction"
    if not path.is_file():
        what = "a folder: give a file inside it" if path.is_dir() else "missing: check the path"
        raise UsageError(f"{path} is {what}")
    if is_hdf5(path):
        with opened(path, "HDF5 file") as file:
            if is_training_hdf5(file):
                return "training"
            if "object" in file and "probe" in file:
                return "product"
            return "cxi" if is_cxi(file) else "raw"
    with path.open("rb") as opened_file:
        start = opened_file.read(6)
    if start == b"\x93NUMPY":
        return "raw"
    if not start.startswith(b"PK"):
        raise UsageError(
            f"{path} has no known format: give a scan, product or stack of patterns (NPZ, NPY), or a CXI "
            "file, product, training file or stack in HDF5"
        )
    with NpzReader(path) as file:
        if not file.keys:
            raise UsageError(
                f"{path} is a ZIP file without arrays, such as a model archive: give an NPZ file"
            )
        if "canvas_origin" in file:
            return "reconstruction"
        if is_training_npz(file):
            return "training"
        if "xcoords" in file or "probeGuess" in file:
            return "scan"
        return "product" if is_product_npz(file) else "raw"
