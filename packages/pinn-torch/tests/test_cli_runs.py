"""The commands in processes of their own: from a scan to a network, from both to an image."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shlex import split as _words

import numpy as np
import pytest
from PIL import Image
from pinn_archive import read_archive
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.files import load_run
from pinn_data.files.npz import read_scan, write_scan
from pinn_torch.workflows import reconstruct
from torch_scans import small_scan

pytestmark = pytest.mark.processes

_TRAIN = _words("--train_data_file train.npz --n_images 24 --max_epochs 1 --batch_size 6 --gridsize 2")
_TRAIN += _words("--n_filters_scale 1 --accelerator cpu --logger csv --seed 3")


def _run(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Scans, a training and a reconstruction, by the commands."""
    folder = tmp_path_factory.mktemp("runs")
    write_scan(folder / "train.npz", small_scan(rows=5, columns=5), unit="counts")
    write_scan(folder / "test.npz", small_scan(rows=4, columns=5), unit="counts")
    trained = _run(
        folder, "ptycho_torch.train", *_TRAIN, "--output_dir", "run", "--test_data_file", "test.npz"
    )
    assert trained.returncode == 0, trained.stderr
    (folder / "train.out").write_text(trained.stdout)
    (folder / "train.err").write_text(trained.stderr)
    made = _run(
        folder,
        "ptycho_torch.inference",
        *_words("--model_path run --test_data test.npz --output_dir image --accelerator cpu"),
        *_words("--inference-batch-size 5 --quiet"),
    )
    assert made.returncode == 0, made.stderr
    (folder / "infer.out").write_text(made.stdout)
    (folder / "infer.err").write_text(made.stderr)
    return folder


def test_a_training_leaves_what_it_says(folder):
    assert {path.name for path in (folder / "run").iterdir()} >= {
        "wts.h5.zip",
        "losses.csv",
        "provenance.json",
        "config.yaml",
        "lightning_logs",
        "checkpoints",
    }
    assert not (folder / "lightning_logs").exists()
    archive = read_archive(folder / "run")
    assert archive.backend == "pytorch" and archive.params["config"]["model"]["gridsize"] == 2
    with open(folder / "run" / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["step", "epoch", "seconds", "train_loss", "val_loss"]
    assert rows[-1]["val_loss"] and np.isfinite(float(rows[-1]["train_loss"]))
    config, execution = load_run(folder / "run" / "config.yaml", TrainingConfig)
    assert (config.n_groups, config.nepochs, config.model.n_filters_scale) == (24, 1, 1)
    assert (execution.accelerator, execution.logger_backend) == ("cpu", "csv")


def test_the_results_are_one_block_and_progress_goes_elsewhere(folder):
    out = (folder / "train.out").read_text().splitlines()
    assert out[0] == "training on 25 patterns of 64 x 64: refined, gridsize 2, 24 groups, 1 epochs"
    names = [line.split()[0] for line in out[1:]]
    assert names == [
        "archive",
        "losses",
        "configuration",
        "provenance",
        "loss",
        "parameters",
        "seconds",
        "next",
    ]
    assert len({line.index(line.split(maxsplit=1)[1]) for line in out[1:]}) == 1
    err = (folder / "train.err").read_text()
    assert "settings of the training; explicit overrides: " in err and "training ━" in err
    quiet = (folder / "infer.out").read_text().splitlines()
    assert [line.split()[0] for line in quiet] == [
        "reconstruction",
        "amplitude",
        "phase",
        "image",
        "residual",
        "of",  # held-out frames
        "verdict",
        "seconds",
    ]
    assert (folder / "infer.err").read_text() == ""


def test_an_inference_leaves_the_image_that_the_workflow_makes(folder):
    files = {"reconstruction.npz", "reconstructed_amplitude.png", "reconstructed_phase.png"}
    assert {path.name for path in (folder / "image").iterdir()} == files
    model = read_archive(folder / "run").params["config"]
    expected = reconstruct(folder / "run", read_scan(folder / "test.npz"))
    assert expected.gridsize == model["model"]["gridsize"] == 2
    with np.load(folder / "image" / "reconstruction.npz") as stored:
        np.testing.assert_allclose(stored["object"], expected.object, atol=1e-5)
        np.testing.assert_allclose(stored["amplitude"], np.abs(expected.object), atol=1e-5)
        assert tuple(stored["canvas_origin"]) == tuple(expected.canvas.origin)
    rows, columns = expected.object.shape
    for name in files - {"reconstruction.npz"}:
        with Image.open(folder / "image" / name) as picture:
            assert picture.width > picture.height * columns / rows
            assert np.ptp(np.asarray(picture.convert("L"))) > 100


def test_the_written_configuration_repeats_the_training_to_the_bit(folder):
    again = _run(
        folder,
        "pinn_torch.cli",
        *_words("train --config run/config.yaml --output_dir again --seed 3 --quiet"),
    )
    assert again.returncode == 0, again.stderr
    first, second = (
        read_archive(folder / name).models["diffraction_to_obj"].weights for name in ("run", "again")
    )
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_workers_do_not_change_the_weights(folder):
    """As the warning says that goes with them."""
    made = _run(
        folder, "pinn_torch.cli", "train", *_TRAIN, *_words("--output_dir w2 --num-workers 2 --quiet")
    )
    assert made.returncode == 0, made.stderr
    (warned,) = made.stderr.splitlines()
    assert warned.startswith("num_workers=2 with deterministic=True: the workers draw nothing"), warned
    other = _run(folder, "pinn_torch.cli", "train", *_TRAIN, *_words("--output_dir w0 --quiet"))
    assert other.returncode == 0 and other.stderr == "", other.stderr
    first, second = (
        read_archive(folder / name).models["diffraction_to_obj"].weights for name in ("w0", "w2")
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_defaults_of_an_inference_are_those_of_its_training(folder):
    """One that names the files alone, as the examples do."""
    done = _run(folder, "pinn_torch.cli", *_words("infer --model-path run/wts.h5.zip --test-data test.npz"))
    assert done.returncode == 0, done.stderr
    assert "gridsize 2" in done.stdout and (folder / "inference_outputs" / "reconstruction.npz").is_file()
    assert "the file itself: gridsize=2" in done.stderr
    assert InferenceConfig.__dataclass_fields__["output_dir"].default == Path("inference_outputs")


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("ptycho_torch.train", "--train_data_file no.npz", "Training data file not found: no.npz"),
        ("ptycho_torch.train", "--train_data_file train.npz --num-workers -1", "num_workers must be >= 0"),
        ("ptycho_torch.inference", "--model_path run --test_data no.npz", "Test data file not found: no.npz"),
        ("ptycho_torch.inference", "--model_path run", "no scan to reconstruct was given"),
        ("ptycho_torch.inference", "--test_data test.npz", "no model was given: use --model_path PATH"),
        (
            "ptycho_torch.inference",
            "--model_path run --test_data test.npz --accelerator cuda",
            "this machine has none: choose 'cpu' or 'auto'",
        ),
    ],
)
def test_bad_input_ends_with_2(folder, module, arguments, words):
    if "cuda" in arguments:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
    done = _run(folder, module, *arguments.split())
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_an_interrupt_ends_with_130_and_leaves_what_to_resume_from(folder):
    code = (
        # Processes that tests start in the background ignore the signal otherwise.
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "runpy.run_module('ptycho_torch.train', run_name='__main__')"
    )
    arguments = [*_TRAIN, *_words("--max_epochs 100000 --early-stop-patience 100000 --output_dir stopped")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--quiet"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (folder / "stopped" / "checkpoints" / "resume.ckpt").exists():
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=300)
    finally:
        running.kill()
    assert running.returncode == 130, err
    assert (
        out == ""
        and "interrupted; run the same command again to continue a training from its last epoch" in err
    )
    assert not (folder / "stopped" / "wts.h5.zip").exists()
