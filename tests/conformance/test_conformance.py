"""What earlier versions wrote opens today, and says the same: files with their provenance beside this test.

``make.py`` made them; ``provenance.json`` says with which command, versions and machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from pinn_archive.reader import read_archive
from pinn_config.superseded import PARAMETERS
from pinn_data.files.npz import read_scan
from pinn_data.files.product import read_product

HERE = Path(__file__).parent
PACKED = sorted(HERE.glob("*.tar.xz"))
ARCHIVES = [path for path in PACKED if not path.name.startswith("files")]


def unpacked(path: Path, folder: Path) -> Path:
    with tarfile.open(path) as packed:
        packed.extractall(folder, filter="data")
    return folder


def test_every_file_is_the_one_whose_provenance_is_told():
    rows = json.loads((HERE / "provenance.json").read_text())
    assert sorted(rows) == [path.name for path in PACKED] and len(ARCHIVES) >= 2
    for path in PACKED:
        row = rows[path.name]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        what, version = re.fullmatch(r"(\w+)-(\d+\.\d+\.\d+)\.tar\.xz", path.name).groups()
        assert row["command"].endswith(f"make.py {what}") and version in row["versions"].values()


@pytest.mark.parametrize("path", [p for p in PACKED if p not in ARCHIVES], ids=lambda path: path.name)
def test_scans_and_products_say_what_they_said(path, tmp_path):
    folder, a = unpacked(path, tmp_path), _make().arrays()
    for unit in ("counts", "amplitude", "intensity"):
        scan = read_scan(folder / f"{unit}.npz")
        # The specification wants amplitudes in the file, and the label tells what they were.
        np.testing.assert_allclose(scan.counts(), a["counts"], rtol=1e-6)
        for name in ("positions", "probe", "object"):
            np.testing.assert_array_equal(getattr(scan, name), a[name])
        assert scan.metadata["sample"] == "gold"
    product = read_product(folder / "product.h5")
    np.testing.assert_allclose(np.add(product.positions_px(), (-2, 3)), a["positions"])
    np.testing.assert_array_equal(product.object[0], a["object"])
    np.testing.assert_array_equal(product.probe[0], a["probe"])
    assert product.object_pixel_m == (2e-8, 3e-8) and product.name == "conformance"


def _make():
    import importlib.util

    spec = importlib.util.spec_from_file_location("conformance_make", HERE / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_an_archive_is_read_without_a_framework(path, tmp_path):
    archive = read_archive(unpacked(path, tmp_path) / "wts.h5.zip")
    assert archive.backend == path.name.split("-")[0]
    assert set(archive.models) == {"autoencoder", "diffraction_to_obj"}


_RECONSTRUCT = """
import sys
from pathlib import Path
import numpy as np
from pinn_config.configs import InferenceConfig, ModelConfig
from pinn_archive.reader import read_archive
from pinn_data.files.npz import read_scan
from {package}.workflows import reconstruct

for folder in map(Path, sys.argv[1:]):
    config = InferenceConfig(ModelConfig(), **{settings})
    found = reconstruct(folder / "wts.h5.zip", read_scan(folder / "scan.npz"), config)
    np.savez(folder / "found.npz", object=found.object, origin=found.canvas.origin, residual=found.residual)
    payload = read_archive(folder / "wts.h5.zip").models["diffraction_to_obj"]
    if folder.name.startswith("{backend}"):
        (folder / payload.native_name).write_bytes(payload.native)
        np.savez(folder / "native.npz", **weights_of(folder / payload.native_name))
    np.savez(folder / "stored.npz", **payload.weights)
assert "{other}" not in sys.modules
"""

# A program of the backend's own users opens the file of its framework that lies in an archive.
_NATIVE = {
    "pytorch": """
import torch
from pinn_torch.archive.model_archive import load_model
from pinn_torch.model.network import write_weights

def weights_of(path):
    module = load_model(path.parent).module
    torch.nn.init.ones_(module.network.trained["stage0/conv1"].kernel)
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    return write_weights(module.network)
""",
    "tensorflow": """
import keras
import pinn_tf.models
from pinn_tf.model.network import write_weights

def weights_of(path):
    return write_weights(keras.saving.load_model(path, safe_mode=True).module.network)
""",
}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("backend", "package", "other"),
    [("pytorch", "pinn_torch", "tensorflow"), ("tensorflow", "pinn_tf", "torch")],
    ids=["pytorch", "tensorflow"],
)
def test_archives_give_the_same_image_as_when_they_were_written(backend, package, other, tmp_path):
    """By either backend, whichever wrote them, without the arrays of 0.1.0 that no network has now."""
    folders = [unpacked(path, tmp_path / path.name) for path in ARCHIVES]
    settings = _make().settings()
    program = _NATIVE[backend]
    program += _RECONSTRUCT.format(package=package, other=other, backend=backend, settings=settings)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", program, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    for folder in folders:
        with np.load(folder / "found.npz") as found, np.load(folder / "expected.npz") as expected:
            assert found["object"].shape == tuple(expected["shape"])
            np.testing.assert_array_equal(found["origin"], expected["origin"])
            image = found["object"][::3, ::3]
            difference = np.linalg.norm(image - expected["object"]) / np.linalg.norm(expected["object"])
            assert difference < 1e-3
            assert float(found["residual"]) == pytest.approx(float(expected["residual"]), rel=1e-3)
        if folder.name.startswith(backend):
            with np.load(folder / "native.npz") as native, np.load(folder / "stored.npz") as stored:
                assert native.files and all(np.array_equal(native[n], stored[n]) for n in native.files)
                assert set(stored.files) - set(native.files) <= set(PARAMETERS)
