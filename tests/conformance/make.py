"""Files as the versions that are installed write them, for later versions to read.

``python tests/conformance/make.py files|pytorch|tensorflow`` writes ``<what>-<version>.tar.xz`` beside this
program and its row in ``provenance.json``. A file that is there already is left alone: what a version wrote
is never made again. Each backend is made in a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tarfile
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import numpy as np

HERE = Path(__file__).parent
PROVENANCE = HERE / "provenance.json"
_PACKAGES = {"files": "pinn-data", "pytorch": "pinn-torch", "tensorflow": "pinn-tf"}
_LIBRARIES = {
    "files": ("h5py",),
    "pytorch": ("torch", "lightning", "safetensors"),
    "tensorflow": ("tensorflow", "keras", "safetensors"),
}
_EVERY_THIRD = (slice(None, None, 3),) * 2


def main(what: str) -> None:
    target = HERE / f"{what}-{version(_PACKAGES[what])}.tar.xz"
    if target.exists():
        raise SystemExit(f"{target.name} is there already, and what a version wrote stays as it is")
    with tempfile.TemporaryDirectory() as folder:
        (write_files if what == "files" else write_archive)(Path(folder), what)
        with tarfile.open(target, "w:xz") as packed:
            for path in sorted(Path(folder).iterdir()):
                packed.add(path, arcname=path.name)
    rows = json.loads(PROVENANCE.read_text()) if PROVENANCE.exists() else {}
    names = ("pinn-config", "pinn-data", "pinn-archive", _PACKAGES[what], "numpy", *_LIBRARIES[what])
    rows[target.name] = {
        "command": f"python tests/conformance/make.py {what}",
        "date": date.today().isoformat(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in names},
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
    }
    PROVENANCE.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"{target.name}: {target.stat().st_size / 1e3:.0f} kB")


def arrays() -> dict[str, np.ndarray]:
    """What the files hold, from whole numbers, so that it is the same on every machine and for ever."""
    k = np.arange(3 * 8 * 8).reshape(3, 8, 8)
    rows, columns = np.mgrid[:14, :17]
    return {
        "counts": ((k * 37) % 101).astype(np.uint16),
        "positions": np.array([[4.25, 5.5], [6.0, 9.75], [8.5, 4.125]]),
        "probe": ((k[:2] % 7) - 3 + 1j * ((k[:2] % 5) - 1)).astype(np.complex64),
        "object": ((rows % 4) + 1 + 1j * ((columns % 3) - 1)).astype(np.complex64),
    }


def write_files(folder: Path, _: str) -> None:
    """Scans in each unit, and a product."""
    from pinn_data.files.npz import write_scan
    from pinn_data.files.product import product_from_reconstruction, write_product
    from pinn_data.scan.positions import Canvas
    from pinn_data.scan.scan import Scan

    a = arrays()
    scan = Scan(a["counts"], "counts", a["positions"], a["probe"], a["object"], metadata={"sample": "gold"})
    for unit in ("counts", "amplitude", "intensity"):
        write_scan(folder / f"{unit}.npz", scan, unit=unit)
    product = product_from_reconstruction(
        a["object"],
        a["positions"],
        a["probe"],
        Canvas(origin=(-2, 3), shape=a["object"].shape),
        pixel_size_m=(2e-8, 3e-8),
        detector_distance_m=1.5,
        photon_energy_eV=8000.0,
        name="conformance",
    )
    write_product(folder / "product.h5", product)


def write_archive(folder: Path, backend: str) -> None:
    """A scan, a model that was trained on it for one epoch, and the image that it makes of it."""
    from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
    from pinn_config.execution import PyTorchExecutionConfig
    from pinn_data.files.npz import read_scan, write_scan
    from pinn_data.testing import small_scan

    if backend == "pytorch":
        from pinn_torch.workflows import reconstruct, train
    else:
        from pinn_tf.workflows import reconstruct, train
    small = attrs.evolve(small_scan(rows=3, photons=1e3), object=None)
    write_scan(folder / "scan.npz", small, unit="counts")
    scan = read_scan(folder / "scan.npz")
    model = ModelConfig(architecture="unrolled", gridsize=2, n_filters_scale=1)
    with tempfile.TemporaryDirectory() as run:
        config = TrainingConfig(
            model, nepochs=1, batch_size=4, n_groups=12, neighbor_count=5, output_dir=Path(run)
        )
        quiet = PyTorchExecutionConfig(
            accelerator="cpu", logger_backend="none", enable_checkpointing=False, enable_progress_bar=False
        )
        archive = train(scan, config, quiet, seed=2).archive
        (folder / "wts.h5.zip").write_bytes(archive.read_bytes())
    found = reconstruct(folder / "wts.h5.zip", scan, InferenceConfig(model, **settings()))
    np.savez_compressed(
        folder / "expected.npz",
        object=found.object[_EVERY_THIRD],
        origin=np.array(found.canvas.origin),
        shape=np.array(found.object.shape),
        residual=found.residual,
    )


def settings() -> dict[str, Any]:
    """Of the reconstruction."""
    return {"neighbor_count": 3, "refine": "none"}


if __name__ == "__main__":
    main(sys.argv[1])
