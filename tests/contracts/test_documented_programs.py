"""The Python programs in the documentation run as they stand, on small scans: those of a document one after
the other, in a process of its own.

Epochs and groups are fewer, and what a block takes from the program around it is put before it (`GIVEN`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from documents import DOCUMENTS, blocks
from pinn_data.files.npz import write_scan
from pinn_data.files.product import Product, write_product
from pinn_data.testing import small_scan

NEEDS = {
    "docs/clients.md": "torch",
    "packages/pinn-dispatch/README.md": "torch",
    "packages/pinn-tf/README.md": "tensorflow",
    "packages/pinn-torch/README.md": "torch",
}

_MODULE = """
from pinn_config import ModelConfig
from pinn_data.files.npz import read_scan
from pinn_data.optics.probe import probe_modes
from pinn_tf.runtime.requirements import require_tensorflow
require_tensorflow()
from pinn_tf.model.module import PtychoPINN
scan = read_scan("scan.npz")
module = PtychoPINN(ModelConfig(N=64, n_filters_scale=1), probe_modes(scan.probe), 2.0, seed=0)
X = np.sqrt(scan.diffraction[:2, ..., None]).astype(np.float32)
local_offsets = np.zeros((2, 1, 2, 1), np.float32)
"""
_PRODUCT = """
from pinn_data.files.npz import read_scan
patterns = read_scan("scan.npz").diffraction
"""
GIVEN = {"model = models_of(module)": _MODULE, "product = read_product(": _PRODUCT}

SMALLER = {
    r"nepochs=50?\b": "nepochs=1",
    r"output_dir=": "n_groups=16, output_dir=",
    r'"output_dir":': '"n_groups": 16, "output_dir":',
    r'"nepochs": 50?\b': '"nepochs": 3',
    r"max_seconds=240\b": "max_seconds=2",
}

PROGRAMS = {
    document: [text for language, text in blocks(document) if language == "python"] for document in DOCUMENTS
}


def test_the_lists_name_what_there_is():
    shown = "".join(text for texts in PROGRAMS.values() for text in texts)
    assert all(shown.count(line) == 1 for line in GIVEN)
    assert all(re.search(pattern, shown) for pattern in SMALLER)
    assert set(NEEDS) <= {document for document, texts in PROGRAMS.items() if texts}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    scan = small_scan()
    for name in ("scan", "scan_3", "train", "test", "other"):
        write_scan(folder / f"{name}.npz", scan, unit="counts")
    pixel = (1e-8, 1e-8)
    positions = scan.positions * pixel
    product = Product(positions, scan.probe, scan.object, pixel, detector_distance_m=2, photon_energy_eV=8e3)
    write_product(folder / "product.h5", product)
    return folder


@pytest.mark.processes
@pytest.mark.parametrize("document", [document for document, texts in PROGRAMS.items() if texts])
def test_the_programs_of_a_document_run(document, scans, tmp_path):
    framework = NEEDS.get(document)
    if framework is not None and find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    for file in scans.iterdir():
        (tmp_path / file.name).symlink_to(file)
    text = "import numpy as np\n"
    for block in PROGRAMS[document]:
        text += "".join(given for line, given in GIVEN.items() if line in block) + block
    for shown, small in SMALLER.items():
        text = re.sub(shown, small, text)
    program = tmp_path / "program.py"
    program.write_text(text)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
