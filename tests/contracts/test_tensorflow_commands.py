"""`pinn` with the TensorFlow backend: the same commands, flags and files, and no PyTorch in the process."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from pinn_archive import read_archive
from pinn_config import TrainingConfig
from pinn_config.files import load_run
from pinn_data.files.npz import read_scan
from pinn_data.optics.forward_model import diffraction_amplitude, residual
from pinn_dispatch.reconstruction import read_reconstruction

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed"),
]

_PINN = """
import sys
from pinn_dispatch.cli import main
code = main(sys.argv[2:])
assert sys.argv[1] not in sys.modules, sys.argv[1]
sys.exit(code)
"""


def _pinn(*arguments, without="torch"):
    """(exit code, output, errors) of the command, in a process that never imports `without`."""
    command = [sys.executable, "-c", _PINN, without, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def learned(scan_file, tmp_path_factory):
    """What `pinn train --backend tensorflow` leaves after two epochs, with many of its flags."""
    folder = tmp_path_factory.mktemp("learned")
    code, _, err = _pinn(
        *("train", "--data", scan_file, "--output", folder, "--backend", "tensorflow", "--seed", 3),
        *("--architecture", "unet", "--gridsize", 2, "--nepochs", 2, "--batch-size", 8),
        *("--validation", scan_file, "--learning-rate", 2e-3, "--scheduler", "Exponential"),
        *("--gradient-clip-val", 1, "--accumulate-grad-batches", 2, "--num-workers", 1, "--logger", "csv"),
        *("--precision", "32-true", "--deterministic", "--accelerator", "cpu", "--quiet"),
    )
    assert code == 0, err
    return folder


@pytest.fixture(scope="module")
def image(scan_file, learned, tmp_path_factory):
    """What `pinn infer` leaves for that model, whose archive says which backend, without the solver."""
    folder = tmp_path_factory.mktemp("image")
    code, _, err = _pinn(
        *("infer", "--model", learned, "--data", scan_file, "--output", folder),
        *("--accelerator", "cpu", "--quiet", "--refine", "none"),
    )
    assert code == 0, err
    return folder


def test_training_leaves_what_it_leaves_with_pytorch(learned):
    assert {
        "wts.h5.zip",
        "losses.csv",
        "config.yaml",
        "provenance.json",
        "training.png",
        "checkpoints",
        "logs",
    } <= {p.name for p in learned.iterdir()}
    header, *rows = (learned / "losses.csv").read_text().splitlines()
    assert header.startswith("step,epoch,seconds,train_loss,val_loss")
    assert np.isfinite([float(row.split(",")[3]) for row in rows]).all() and rows[-1].split(",")[4]
    config, execution = load_run(learned / "config.yaml", TrainingConfig)
    assert read_archive(learned).backend == config.backend == "tensorflow"
    assert execution.accum_steps == 2 and config.model.architecture == "unet"


def test_the_image_lies_where_the_scan_was_and_its_residual_is_that_of_the_numpy_optics(image, scan_file):
    metrics = json.loads((image / "metrics.json").read_text())
    assert metrics["backend"] == "tensorflow"
    scan, found = read_scan(scan_file), read_reconstruction(image)
    predicted = diffraction_amplitude(found.object, found.probe, found.canvas.local(found.positions))
    assert residual(predicted, scan.amplitude()) == pytest.approx(metrics["R"], rel=1e-3)
    assert np.array_equal(found.positions, scan.positions)


def test_pytorch_makes_the_same_image_of_the_same_archive(image, learned, scan_file, tmp_path):
    if find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    code, _, err = _pinn(
        *("infer", "--model", learned, "--data", scan_file, "--output", tmp_path, "--backend", "pytorch"),
        *("--accelerator", "cpu", "--quiet", "--refine", "none"),
        without="tensorflow",
    )
    assert code == 0, err
    first, second = (read_reconstruction(folder).object for folder in (image, tmp_path))
    assert np.linalg.norm(first - second) < 1e-4 * np.linalg.norm(first)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--devices=2", "devices=2 was given"),
        ("execution:\n  strategy: ddp\n", "strategy='ddp' was given"),
        ("model:\n  architecture: refined\n  cbam_encoder: true\n", "channel_attention"),
    ],
)
def test_what_means_nothing_here_gets_a_sentence(given, words, scan_file, pinn, tmp_path):
    out, settings = tmp_path / "out", tmp_path / "settings.yaml"
    settings.write_text(given)
    flag = [given] if given.startswith("--") else ["--config", settings]
    arguments = ("--data", scan_file, "--output", out, "--backend", "tensorflow", "--quiet")
    code, _, err = pinn("train", *arguments, *flag)
    assert code == 2
    assert err.startswith("pinn: error: ") and err.count("\n") == 1, err
    assert words in err and "tensorflow" in err and "pytorch" in err
    assert not out.exists()
