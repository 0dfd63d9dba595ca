"""From a scan to an image with the real commands and the real backend, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from pinn_archive import read_archive
from pinn_config import TrainingConfig
from pinn_config.architecture import network
from pinn_config.files import load_run
from pinn_data.files.npz import read_scan
from pinn_data.files.product import read_product
from pinn_data.optics.forward_model import diffraction_amplitude, residual
from pinn_dispatch.reconstruction import read_reconstruction


def test_training_leaves_what_it_says(run_folder):
    assert {"wts.h5.zip", "losses.csv", "config.yaml", "provenance.json", "training.png"} <= {
        p.name for p in run_folder.iterdir()
    }
    header, *rows = (run_folder / "losses.csv").read_text().splitlines()
    assert header.startswith("step,epoch,seconds,train_loss,val_loss")
    losses = [float(row.split(",")[3]) for row in rows]
    assert losses and np.isfinite(losses).all()


def test_the_archive_holds_the_network_of_the_written_configuration(run_folder):
    config, _ = load_run(run_folder / "config.yaml", TrainingConfig)
    archive = read_archive(run_folder)
    assert archive.backend == config.backend == "pytorch"
    weights = archive.models["diffraction_to_obj"].weights
    assert {name: w.shape for name, w in weights.items()} == network(config.model).parameters()


def test_the_residual_is_that_of_the_numpy_optics(image_folder, scan_file):
    """Through the reader, the geometry, the torch forward model and the files: one number, by two ways."""
    metrics = json.loads((image_folder / "metrics.json").read_text())
    scan, found = read_scan(scan_file), read_reconstruction(image_folder)
    predicted = diffraction_amplitude(found.object, found.probe, found.canvas.local(found.positions))
    assert residual(predicted, scan.amplitude()) == pytest.approx(metrics["R"], rel=1e-3)


def test_the_reconstruction_is_where_the_scan_was(image_folder, scan_file):
    scan, found = read_scan(scan_file), read_reconstruction(image_folder)
    assert np.array_equal(found.positions, scan.positions)
    product = read_product(image_folder / "reconstruction.h5")
    assert np.allclose(product.positions_px() + found.canvas.origin, scan.positions, atol=1e-6)
    assert np.array_equal(product.object[0], found.object)
    assert found.coverage.shape == found.object.shape and found.coverage.max() > 0


def test_reopened_in_a_fresh_process_to_the_bit(image_folder, run_folder, scan_file, tmp_path):
    command = [
        *(sys.executable, "-m", "pinn_dispatch.cli", "infer", "--quiet", "--accelerator", "cpu"),
        *("--refine", "none"),
        *("--model", str(run_folder / "wts.h5.zip"), "--data", str(scan_file), "--output", str(tmp_path)),
    ]
    subprocess.run(command, check=True, env=os.environ, capture_output=True)
    again, first = read_reconstruction(tmp_path), read_reconstruction(image_folder)
    assert np.array_equal(again.object, first.object)
    assert np.array_equal(again.coverage, first.coverage)


def test_the_same_seed_learns_the_same(run_folder, scan_file, pinn, tmp_path):
    code, _, _ = pinn(
        *("train", "--data", scan_file, "--output", tmp_path, "--nepochs", 1, "--accelerator", "cpu"),
        *("--logger", "none", "--seed", 3, "--quiet"),
    )
    assert code == 0
    first, again = (read_archive(f).models["diffraction_to_obj"].weights for f in (run_folder, tmp_path))
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_two_halves_agree(run_folder, scan_file, pinn, tmp_path):
    for frames in ("even", "odd"):
        code, _, err = pinn(
            *("infer", "--model", run_folder, "--data", scan_file, "--frames", frames),
            *("--output", tmp_path / frames, "--accelerator", "cpu", "--quiet"),
        )
        assert code == 0, err
    code, _, err = pinn(
        "evaluate", tmp_path / "even", "--against", tmp_path / "odd", "--output", tmp_path / "s"
    )
    assert code == 0, err
    scores = json.loads((tmp_path / "s" / "metrics.json").read_text())
    assert 0 <= scores["frc50_phase"] <= scores["frc17_phase"] <= 1


def test_a_region_and_gridsize_one(scan_file, pinn, tmp_path):
    arguments = ("--data", scan_file, "--accelerator", "cpu", "--quiet")
    code, _, err = pinn(
        *("train", *arguments, "--output", tmp_path / "run", "--region", "y<54", "--gridsize", 1),
        *("--nepochs", 1, "--logger", "none", "--validation", scan_file),
    )
    assert code == 0, err
    assert ",val_loss" in (tmp_path / "run" / "losses.csv").read_text()
    code, _, err = pinn(
        "infer", *arguments, "--model", tmp_path / "run", "--output", tmp_path / "i", "--region", "y>=54"
    )
    assert code == 0, err
    metrics = json.loads((tmp_path / "i" / "metrics.json").read_text())
    scan = read_scan(scan_file)
    assert (metrics["gridsize"], metrics["patterns"]) == (1, int((scan.positions[:, 0] >= 54).sum()))


def test_demo_in_small(pinn, tmp_path):
    arguments = ("--side", 8, "--nepochs", 1, "--max-seconds", 20, "--accelerator", "cpu")
    code, out, err = pinn("demo", "--output", tmp_path / "demo", *arguments, "--quiet")
    assert code == 0, err
    wanted = {
        "wts.h5.zip",
        "metrics.json",
        "reconstruction.npz",
        "reconstruction.h5",
        "config.yaml",
        "demo.png",
    }
    assert wanted <= {p.name for p in (tmp_path / "demo").iterdir()}
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert {"ssim_phase", "ssim_amp", "frc50_phase", "frc17_amp", "R", "seconds_training"} <= set(metrics)
    assert all(str(tmp_path / "demo" / name) in out for name in wanted)


@pytest.mark.parametrize("what", ["size", "flipped byte", "truncated"])
def test_bad_input_reaches_the_user_as_one_sentence(what, scan_file, run_folder, pinn, tmp_path):
    data, model = scan_file, run_folder / "wts.h5.zip"
    if what == "size":
        data = tmp_path / "other.npz"
        assert pinn("simulate", "--output", data, "-N", 32, "--size", 60, "--quiet")[0] == 0
    else:
        spoiled = bytearray(model.read_bytes())
        model = tmp_path / "spoiled.zip"
        if what == "truncated":
            del spoiled[len(spoiled) // 2 :]
        else:
            spoiled[len(spoiled) // 2] ^= 1
        model.write_bytes(spoiled)
    code, out, err = pinn("infer", "--model", model, "--data", data, "--output", tmp_path / "out", "--quiet")
    assert (code, out) == (2, "")
    assert err.startswith("pinn: error: ") and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_size_without_a_network_is_told_before_training(pinn, tmp_path):
    data = tmp_path / "small.npz"
    assert pinn("simulate", "--output", data, "-N", 32, "--size", 60, "--quiet")[0] == 0
    code, _, err = pinn("train", "--data", data, "--output", tmp_path / "out", "--quiet")
    assert code == 2
    assert "N=32" in err and "64, 128, 256" in err
    assert not (tmp_path / "out").exists()


def test_processes_that_share_a_scan_by_the_command_have_the_image_of_one(scan_file):
    pytest.importorskip("torch")
    from pinn_dispatch.solving import solve

    scan = read_scan(scan_file)
    one, two = (solve(scan, engine="pytorch", device="cpu", devices=n) for n in (1, 2))
    assert np.linalg.norm(one.object - two.object) < 1e-3 * np.linalg.norm(one.object)
    assert one.refined.facts["R"] == pytest.approx(two.refined.facts["R"], rel=1e-4)
