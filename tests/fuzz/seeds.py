"""Small valid files, as bytes, from which the hostile ones are made."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pinn_archive import ModelPayload, write_archive
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import to_yaml
from pinn_data.files.npz import write_scan
from pinn_data.files.product import Product, write_product
from pinn_data.scan.scan import Scan

__all__ = ["archive_entries", "npz_entries", "product_bytes", "yaml_text"]

N, FRAMES = 8, 5
_SIZE = (30, 34)


def _complex(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    """The array as the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def unzipped(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of a ZIP file."""
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return [(name, file.read(name)) for name in file.namelist()]


@cache
def npz_entries() -> tuple[tuple[tuple[str, bytes], ...], ...]:
    """Scans as beamlines write them, one of our own making, one with its frames last, and a
    reconstruction."""
    rng = np.random.default_rng(11)
    y, x = rng.uniform(8, 20, (2, FRAMES))
    counts = rng.poisson(30.0, (FRAMES, N, N))
    foreign = {
        "diff3d": counts.astype(np.uint16),
        "xcoords": x,
        "ycoords": y,
        "xcoords_start": x,
        "ycoords_start": y,
        "probeGuess": _complex(rng, N, N),
        "objectGuess": _complex(rng, *_SIZE),
        "scan_index": np.zeros(FRAMES, np.int64),
    }
    last = {**foreign, "diff3d": np.asfortranarray(np.moveaxis(np.sqrt(counts), 0, -1).astype(np.float32))}
    reconstruction = {
        "object": _complex(rng, *_SIZE),
        "coverage": rng.uniform(0, 3, _SIZE).astype(np.float32),
        "canvas_origin": np.array([2, -1]),
        "xcoords": x,
        "ycoords": y,
        "probeGuess": _complex(rng, 2, N, N),
        "metadata": np.array(json.dumps({"backend": "pytorch", "residual": 0.1})),
    }
    with TemporaryDirectory() as folder:
        scan = Scan(counts, "counts", np.stack([y, x], 1), foreign["probeGuess"], metadata={"nphotons": 1e3})
        own = write_scan(Path(folder) / "own.npz", scan).read_bytes()
    made = [
        tuple((f"{key}.npy", npy(value)) for key, value in arrays.items())
        for arrays in (foreign, last, reconstruction)
    ]
    return (made[0], tuple(unzipped(own)), made[1], made[2])


def _config(**changes: Any) -> TrainingConfig:
    return TrainingConfig(ModelConfig(N=64, gridsize=2), nepochs=3, **changes)


@cache
def archive_entries() -> tuple[tuple[tuple[str, bytes], ...], ...]:
    """The entries of two archives, one of each backend."""
    import dataclasses

    found = []
    for seed, backend, native in ((1, "pytorch", "model.ckpt"), (2, "tensorflow", "model.keras")):
        rng = np.random.default_rng(seed)
        weights = {"kernel": rng.standard_normal((3, 2)).astype(np.float32), "steps": np.array(17)}
        config = json.loads(json.dumps(dataclasses.asdict(_config()), default=str))
        execution = json.loads(json.dumps(dataclasses.asdict(PyTorchExecutionConfig()), default=str))
        with TemporaryDirectory() as folder:
            path = write_archive(
                Path(folder),
                models={
                    "diffraction_to_obj": ModelPayload(weights, native, rng.bytes(40)),
                    "autoencoder": ModelPayload({}),
                },
                params={"config": config, "execution": execution, "log_intensity_scale": 0.5},
                arrays={"probe": rng.standard_normal((2, 3)) + 1j * rng.standard_normal((2, 3))},
                backend=backend,
                provenance={"epochs": 50, "data": {"name": "scan_3.npz"}},
            )
            found.append(tuple(unzipped(path.read_bytes())))
    return tuple(found)


@cache
def product_bytes() -> bytes:
    """A product with every optional part."""
    rng = np.random.default_rng(5)
    with TemporaryDirectory() as folder:
        product = Product(
            rng.uniform(-1e-6, 1e-6, (FRAMES, 2)),
            _complex(rng, 1, 2, N, N),
            _complex(rng, 2, *_SIZE),
            (1e-8, 2e-8),
            detector_distance_m=1.5,
            photon_energy_eV=8000.0,
            name="product",
            comments="none",
            opr_weights=np.ones((FRAMES, 1)),
            loss_epochs=[0, 1],
            loss_values=[3.0, 2.0],
        )
        return write_product(Path(folder) / "product.h5", product).read_bytes()


@cache
def yaml_text() -> str:
    """The file of a training with everything in it."""
    return to_yaml(_config(), PyTorchExecutionConfig())
