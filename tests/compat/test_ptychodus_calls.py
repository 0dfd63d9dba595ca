"""ptychodus 1.7.0's calls, process by process as it makes them: settings are pickled by one that has no
framework, a second one trains, a third one opens the model that was saved and reconstructs.

What is called is in ``parent.py``, ``tensorflow_client.py`` and ``torch_client.py``. The client itself, which
is no part of this repository, is run by ``make ptychodus``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from client_calls import export
from pinn_data.testing import small_scan

pytestmark = pytest.mark.processes
HERE = Path(__file__).parent


def _run(script: str, *arguments: object, cwd: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("library", ["tensorflow", "torch"])
def test_a_model_is_trained_saved_opened_and_used_as_the_client_does(library, tmp_path):
    folder, here = tmp_path / "data", tmp_path / "cwd"
    here.mkdir()
    scan = small_scan(rows=6, columns=5)
    for name in ("train_data.npz", "test_data.npz"):
        export(folder / name, scan)
    _run("parent.py", library, folder, cwd=here)
    _run(f"{library}_client.py", "train", folder, cwd=here)
    if library == "tensorflow":
        # The client keeps the archive as model.zip, and opens it unpacked: no wts.h5.zip is there then.
        with zipfile.ZipFile(folder / "out" / "wts.h5.zip") as saved:
            saved.extractall(folder / "model")
        assert (folder / "model" / "manifest.dill").is_file()
    _run(f"{library}_client.py", "reconstruct", folder, cwd=here)

    image = np.load(folder / "image.npy")
    assert image.ndim == 2 and image.dtype == np.complex64 and np.isfinite(image).all()
    # Both libraries are taken to be centred, this one on the object that was given, that one on the scan.
    middle = (np.array(scan.object.shape) - 1) / 2
    if library == "torch":
        middle = (scan.positions.min(0) + scan.positions.max(0)) / 2 - 0.5
    found = _agreement(image, scan.object, middle)
    assert found > 0.6
    for turned in (image[::-1], image[:, ::-1], image[::-1, ::-1]):
        assert _agreement(turned, scan.object, middle) < found
    assert list(here.iterdir()) == []


def _agreement(image: np.ndarray, truth: np.ndarray, middle: np.ndarray) -> float:
    """Correlation, 0 to 1, of the image's central pixels with those of the truth about `middle`."""
    reach = 12
    (r, c), (y, x) = np.array(image.shape) // 2, np.rint(middle + 0.25).astype(int)
    a = image[r - reach : r + reach + 1, c - reach : c + reach + 1]
    b = truth[y - reach : y + reach + 1, x - reach : x + reach + 1]
    a, b = a - a.mean(), b - b.mean()
    return float(abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b))
