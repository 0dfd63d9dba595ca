"""Small valid files of others, as `pinn convert` takes them: CXI, training data, products, stacks, tables."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
from pinn_data.files.cxi_writer import write_cxi
from pinn_data.files.product import Product, write_product
from pinn_data.scan.far_field import FarField
from pinn_data.scan.scan import Scan

from .hdf5_mutations import Layout
from .seeds import npy

__all__ = [
    "CXI",
    "STACK",
    "TABLE",
    "TRAINING",
    "export_entries",
    "frames_bytes",
    "hdf5_seeds",
    "product_bytes",
    "stack_arrays",
    "table_array",
    "table_texts",
]

N, FRAMES = 16, 6  # with fewer pixels nobody looks for a near field
_DISTANCE_M, _WAVELENGTH_M, _PIXEL_M = 2.0, 1.2e-10, 75e-6
_OBJECT_PIXEL_M = _WAVELENGTH_M * _DISTANCE_M / (N * _PIXEL_M)
_DETECTOR = "entry_1/instrument_1/detector_1"

CXI = Layout(
    (
        f"{_DETECTOR}/data",
        "entry_1/data_1/data",
        f"{_DETECTOR}/distance",
        f"{_DETECTOR}/x_pixel_size",
        f"{_DETECTOR}/y_pixel_size",
        f"{_DETECTOR}/basis_vectors",
        f"{_DETECTOR}/corner_position",
        f"{_DETECTOR}/mask",
        f"{_DETECTOR}/data_dark",
        "entry_1/instrument_1/source_1/energy",
        "entry_1/instrument_1/source_1/wavelength",
        "entry_1/instrument_1/source_1/illumination",
        "entry_1/sample_1/geometry_1/translation",
    ),
    (f"{_DETECTOR}/data", "entry_1/instrument_1/source_1/energy"),
)
TRAINING = Layout(
    (
        *(
            "patterns",
            "bad_pixels",
            "indexes",
            "probe",
            "object",
            "probe_position_x_px",
            "probe_position_y_px",
        ),
        *("object_pixel_width_m", "object_pixel_height_m", "detector_object_distance_m", "photon_energy_eV"),
    ),
    ("patterns", "probe"),
)
STACK = Layout(("patterns", "bad_pixels", "indexes"), ("patterns", "bad_pixels"))
TABLE = Layout(("motors/xy",), ("motors/xy", "motors"))


def _rng() -> np.random.Generator:
    return np.random.default_rng(23)


@cache
def _counts(height: int = N, width: int = N) -> np.ndarray:
    """Counts of a lopsided spot in the middle."""
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((y - height // 2 - 0.4) ** 2 / 5 + (x - width // 2 + 0.7) ** 2 / 9))
    return _rng().poisson(200 * spot, (FRAMES, height, width)).astype(np.uint16)


@cache
def _positions() -> np.ndarray:
    return _rng().uniform((9, 20), (15, 40), (FRAMES, 2))


@cache
def _probe() -> np.ndarray:
    rng = _rng()
    return (rng.standard_normal((2, N, N)) + 1j * rng.standard_normal((2, N, N))).astype(np.complex64)


@cache
def _object() -> np.ndarray:
    rng = _rng()
    return (rng.standard_normal((30, 52)) + 1j * rng.standard_normal((30, 52))).astype(np.complex64)


def _hdf5(entries: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in entries.items():
            file[name] = value
    return buffer.getvalue()


@cache
def hdf5_seeds(kind: str) -> tuple[bytes, ...]:
    """The valid files of a kind, in HDF5."""
    makers: Mapping[str, Callable[[], tuple[bytes, ...]]] = {
        "cxi": lambda: (_own_cxi(), _beamline_cxi()),
        "training": lambda: (_hdf5(_training()), _hdf5({**_training(), "indexes": np.arange(FRAMES)})),
        "stack": lambda: (
            _hdf5({"patterns": _counts(), "bad_pixels": np.eye(N, dtype=bool), "indexes": np.arange(FRAMES)}),
            _packed_stack(),
        ),
        "table": lambda: (_hdf5({"motors/xy": _positions()}),),
    }
    return makers[kind]()


def _own_cxi() -> bytes:
    scan = Scan(_counts(), "counts", _positions(), _probe())
    with TemporaryDirectory() as folder:
        geometry = FarField(_DISTANCE_M, _WAVELENGTH_M, _PIXEL_M)
        return write_cxi(Path(folder) / "a.cxi", scan, geometry).read_bytes()


def _beamline_cxi() -> bytes:
    """Frames that are not square, with a mask and a corner, and without a probe."""
    height, width = 20, 24
    corner = [(width // 2) * _PIXEL_M, (height // 2) * _PIXEL_M, _DISTANCE_M]
    translation = np.zeros((FRAMES, 3))
    translation[:, :2] = _positions()[:, ::-1] * _OBJECT_PIXEL_M
    mask = np.zeros((height, width), np.uint32)
    mask[3, 5], mask[4, 4] = 1, 0x1000
    return _hdf5(
        {
            "cxi_version": 160,
            "entry_1/data_1/data": _counts(height, width),
            f"{_DETECTOR}/distance": _DISTANCE_M,
            f"{_DETECTOR}/x_pixel_size": _PIXEL_M,
            f"{_DETECTOR}/y_pixel_size": _PIXEL_M,
            f"{_DETECTOR}/basis_vectors": [[0, -_PIXEL_M], [-_PIXEL_M, 0], [0, 0]],
            f"{_DETECTOR}/corner_position": corner,
            f"{_DETECTOR}/mask": mask,
            f"{_DETECTOR}/data_dark": np.zeros((height, width), np.uint16),
            "entry_1/instrument_1/source_1/energy": 1.655e-15,
            "entry_1/sample_1/geometry_1/translation": translation,
        }
    )


def _training() -> dict[str, Any]:
    return {
        "patterns": _counts(),
        "bad_pixels": np.eye(N, dtype=bool),
        "probe": _probe(),
        "object": _object(),
        "probe_position_x_px": _positions()[:, 1] - 0.5,
        "probe_position_y_px": _positions()[:, 0] - 0.5,
        "object_pixel_width_m": _OBJECT_PIXEL_M,
        "object_pixel_height_m": _OBJECT_PIXEL_M,
        "detector_object_distance_m": _DISTANCE_M,
        "photon_energy_eV": 10332.0,
    }


def _packed_stack() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset(
            "exchange/data", data=_counts(), chunks=(2, N, N), compression="gzip", shuffle=True
        )
        file["patterns"] = h5py.SoftLink("/exchange/data")
    return buffer.getvalue()


@cache
def export_entries() -> tuple[tuple[tuple[str, bytes], ...], ...]:
    """The entries of NPZ files of ptychodus: a scan to train with, and a product."""
    y, x = _positions().T
    training = {
        "diff3d": _counts(),
        "bad_pixels": np.eye(N, dtype=bool),
        "xcoords": x,
        "ycoords": y,
        "probeGuess": _probe(),
        "objectGuess": _object(),
    }
    product = {
        "name": np.array("product"),
        "comments": np.array("none"),
        "detector_object_distance_m": np.array(_DISTANCE_M),
        "photon_energy_eV": np.array(10332.0),
        "exposure_time_s": np.array(0.1),
        "probe_photon_count": np.array(1e4),
        "far_field": np.array(True),
        "probe_position_indexes": np.arange(FRAMES),
        "probe_position_x_m": x * _OBJECT_PIXEL_M,
        "probe_position_y_m": y * _OBJECT_PIXEL_M,
        "probe": _probe()[None],
        "probe_pixel_width_m": np.array(_OBJECT_PIXEL_M),
        "probe_pixel_height_m": np.array(_OBJECT_PIXEL_M),
        "object": _object()[None],
        "object_pixel_width_m": np.array(_OBJECT_PIXEL_M),
        "object_pixel_height_m": np.array(_OBJECT_PIXEL_M),
        "object_center_x_m": np.array(0.0),
        "object_center_y_m": np.array(1e-7),
        "object_layer_spacing_m": np.zeros(0),
        "opr_weights": np.ones((FRAMES, 1)),
        "loss_epochs": np.arange(2),
        "loss_values": np.array([3.0, 2.0]),
    }
    return tuple(
        tuple((f"{key}.npy", npy(value)) for key, value in arrays.items()) for arrays in (training, product)
    )


@cache
def stack_arrays() -> tuple[dict[str, np.ndarray], ...]:
    """What stacks of frames and probes in NPY (the first array alone) and NPZ hold."""
    return (
        {"patterns": _counts(), "bad_pixels": np.eye(N, dtype=bool), "indexes": np.arange(FRAMES)},
        {"frames": np.asfortranarray(_counts().astype(np.float32))},
        {"probe": _probe()},
    )


@cache
def frames_bytes() -> bytes:
    """A valid NPY stack of frames, to lie beside a hostile table or probe."""
    return npy(_counts())


@cache
def product_bytes() -> bytes:
    """A valid product, to lie beside its hostile frames."""
    with TemporaryDirectory() as folder:
        product = Product(
            _positions() * _OBJECT_PIXEL_M,
            _probe(),
            _object(),
            (_OBJECT_PIXEL_M, _OBJECT_PIXEL_M),
            detector_distance_m=_DISTANCE_M,
            photon_energy_eV=10332.0,
        )
        return write_product(Path(folder) / "product.h5", product).read_bytes()


@cache
def table_texts() -> tuple[str, ...]:
    """Positions as text, which tells its columns and unit."""
    metres = _positions() * _OBJECT_PIXEL_M
    return (
        "x_um,y_um\n" + "".join(f"{x * 1e6:.6f},{y * 1e6:.6f}\n" for y, x in metres),
        "# a remark\nframe;y [nm];x [nm]\n"
        + "".join(f"{n};{y * 1e9:g};{x * 1e9:g}\n" for n, (y, x) in enumerate(metres)),
        "y_m x_m\n" + "".join(f"{y:.4e} {x:.4e}\n" for y, x in metres),
    )


@cache
def table_array() -> np.ndarray:
    """Positions (n, 2) as (y, x), object pixels."""
    return _positions()
