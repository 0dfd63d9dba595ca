"""The commands, whole, with a backend that needs no framework."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys

import attrs
import numpy as np
import pytest
from pinn_config import PyTorchExecutionConfig, TrainingConfig
from pinn_config.files import load_run
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.files.product import read_product
from pinn_data.run.results import SCALES
from pinn_data.run.run_record import PROVENANCE_KEYS, without_times
from pinn_data.scan.stored_patterns import StoredPatterns
from pinn_dispatch.demo_scans import demo_scans, geometry
from pinn_dispatch.reconstruction import read_reconstruction


@pytest.fixture
def trained(pinn, backend, scan_file, tmp_path):
    code, _, err = pinn("train", "--data", scan_file, "--output", tmp_path / "run", "--quiet")
    assert (code, err) == (0, "")
    return tmp_path / "run"


@pytest.mark.parametrize(("rank", "writes"), [("0", True), ("1", False)])
def test_of_processes_that_were_started_together_the_first_writes(
    pinn, trained, backend, scan_file, tmp_path, monkeypatch, rank, writes
):
    """torchrun and srun start the same command several times; every process takes part in the run."""
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    calls = len(backend.CALLS)
    code, out, _ = pinn("train", "--data", scan_file, "--output", tmp_path / "a", "--devices", "auto")
    assert code == 0 and (out != "") == writes
    assert (tmp_path / "a" / "losses.csv").exists() == writes
    images = ("--data", scan_file, "--output", tmp_path / "b", "--devices", "auto")
    code, out, _ = pinn("infer", "--model", trained, *images)
    assert code == 0 and (out != "") == writes
    assert (tmp_path / "b" / "reconstruction.npz").exists() == writes
    assert len(backend.CALLS) == calls + 2


def test_a_scan_of_which_no_image_is_to_be_expected_is_refused(pinn, backend, scan, trained, tmp_path):
    """Unless it is taken anyway: then it is told, also where a person asks for quiet."""
    path = write_scan(tmp_path / "m.npz", attrs.evolve(scan, positions=scan.positions * 2e-8), unit="counts")
    words = "all 49 positions lie within"
    for number, command in enumerate((["train"], ["infer", "--model", trained], ["reconstruct"])):
        command += ["--data", path, "--output", tmp_path / str(number), "--quiet"]
        code, _, err = pinn(*command)
        assert code == 2 and err.count(words) == 1 and "metres, not object pixels" in err
        assert not (tmp_path / str(number)).exists()
        if (
            command[0] == "infer"
        ):  # this backend cuts its image out of the truth, of which there is none there
            continue
        code, _, err = pinn(*command, "--anyway")
        assert code == 0 and err.count(f"warning: {words}") == 1
    code, _, err = pinn("convert", path, "--output", tmp_path / "converted.npz", "--quiet")
    assert code == 0 and err.count(f"warning: {words}") == 1
    code, out, _ = pinn("info", path)
    assert code == 0 and "metres, not object pixels" in out


def test_train_leaves_what_it_says(pinn, backend, scan_file, tmp_path):
    code, out, _ = pinn(
        "train",
        "--data",
        scan_file,
        "--output",
        tmp_path / "run",
        "--region",
        "y<30",
        "--nepochs",
        3,
        "--seed",
        7,
        "--max_seconds",
        9,
        "--validation",
        scan_file,
        "--batch_size",
        4,
    )
    assert code == 0
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "wts.h5.zip",
        "losses.csv",
        "config.yaml",
        "provenance.json",
        "training.png",
    }
    record = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert set(record) == {*PROVENANCE_KEYS, "scales"} and tuple(record["scales"]) == SCALES
    assert record["input"]["sha256"] == hashlib.sha256(scan_file.read_bytes()).hexdigest()
    assert record["seeds"]["seed"] == 7 and record["configuration"]["training"]["nepochs"] == 3
    assert "pinn-dispatch" in record["packages"] and str(tmp_path) not in json.dumps(record)
    assert str(tmp_path / "run" / "wts.h5.zip") in out
    call = backend.CALLS[-1]
    assert (call["seed"], call["max_seconds"]) == (7, 9.0)
    assert call["scan"].positions[:, 0].max() < 30
    assert len(call["validation"]) > len(call["scan"]) == call["config"].n_groups
    config, execution = load_run(tmp_path / "run" / "config.yaml", TrainingConfig)
    assert (config, execution) == (call["config"], call["execution"])
    assert (config.nepochs, config.batch_size, config.model.N, config.train_data_file) == (
        3,
        4,
        16,
        scan_file,
    )
    assert (
        (tmp_path / "run" / "losses.csv")
        .read_text()
        .startswith("step,epoch,seconds,train_loss,val_loss\n0,0,0.0,1.0,\n")
    )


@pytest.mark.parametrize(
    ("flags", "steps", "said"),
    [
        ((), 30, "learning rate 0.004 (MultiStage, warm-up 30 steps)"),
        (("--warmup-steps", 7), 7, "learning rate 0.004 (MultiStage, warm-up 7 steps)"),
        (("--warmup-steps", 0), 0, "learning rate 0.004 (MultiStage)"),
    ],
)
def test_the_recipe_has_a_warm_up_and_says_so(pinn, backend, scan_file, tmp_path, flags, steps, said):
    """The configs have none; `pinn train` and `pinn demo` print and record theirs."""
    assert PyTorchExecutionConfig().warmup_steps == 0
    code, out, _ = pinn("train", "--data", scan_file, "--output", tmp_path / "run", *flags)
    assert code == 0 and said in out and backend.CALLS[-1]["execution"].warmup_steps == steps
    assert load_run(tmp_path / "run" / "config.yaml", TrainingConfig)[1].warmup_steps == steps


def test_train_again_from_the_written_configuration(pinn, backend, trained, tmp_path):
    first = backend.CALLS[-1]
    code, _, _ = pinn("train", "--config", trained / "config.yaml", "--output", tmp_path / "again", "--quiet")
    assert code == 0
    again = backend.CALLS[-1]
    assert again["scan"].equals(first["scan"])
    first["config"].output_dir = again["config"].output_dir
    assert (again["config"], again["execution"]) == (first["config"], first["execution"])


def test_train_bridges_before_the_backend_runs(pinn, backend, scan_file, tmp_path, monkeypatch):
    from pinn_config import legacy

    seen = {}
    train = backend.train
    monkeypatch.setattr(backend, "train", lambda *a, **k: (seen.update(legacy.cfg), train(*a, **k))[1])
    monkeypatch.setattr(backend.train, "__signature__", __import__("inspect").signature(train), raising=False)
    before = dict(legacy.cfg)
    try:
        assert (
            pinn("train", "--data", scan_file, "--output", tmp_path / "o", "--gridsize", 1, "--nepochs", 11)[
                0
            ]
            == 0
        )
    finally:
        legacy.cfg.clear()
        legacy.cfg.update(before)
    assert (seen["N"], seen["gridsize"], seen["nepochs"]) == (16, 1, 11)


def test_the_patterns_of_a_large_scan_stay_in_the_file(pinn, backend, scan_file, tmp_path, monkeypatch):
    monkeypatch.setattr("pinn_data.scan.stored_patterns.LARGE", 0)
    run, region = tmp_path / "run", ("--region", "y<30")
    data = ("--data", scan_file)
    assert pinn("train", *data, *region, "--validation", scan_file, "--output", run)[0] == 0
    assert pinn("infer", "--model", run, *data, "--frames", "even", "--output", tmp_path / "image")[0] == 0
    for given in (backend.CALLS[0]["scan"], backend.CALLS[0]["validation"], backend.CALLS[1]["scan"]):
        assert isinstance(given.diffraction, StoredPatterns)


def test_a_mask_reaches_what_is_learned_validated_and_reconstructed(pinn, backend, scan, scan_file, tmp_path):
    bad = np.zeros((scan.N, scan.N), bool)
    bad[2, 5:7] = True
    np.save(tmp_path / "good.npy", ~bad)
    flags = ["--data", scan_file, "--mask", tmp_path / "good.npy", "--invert-mask"]
    run = tmp_path / "run"
    assert pinn("train", *flags, "--validation", scan_file, "--output", run)[0] == 0
    assert pinn("infer", "--model", run, *flags, "--output", tmp_path / "image")[0] == 0
    for given in (backend.CALLS[0]["scan"], backend.CALLS[0]["validation"], backend.CALLS[1]["scan"]):
        assert np.array_equal(given.bad_pixels, bad)
    assert "mask" in json.loads((tmp_path / "image" / "metrics.json").read_text())
    code, _, err = pinn("train", "--data", scan_file, "--invert-mask", "--output", run)
    assert code == 2 and "give --mask FILE too" in err


def test_infer_leaves_what_it_says(pinn, backend, scan, scan_file, trained, tmp_path):
    image = tmp_path / "image"
    code, out, _ = pinn(
        "infer", "--model", trained, "--data", scan_file, "--output", image, "--inference-batch-size", 3
    )
    assert code == 0
    assert {p.name for p in image.iterdir()} == {
        "reconstruction.npz",
        "reconstruction.h5",
        "reconstruction.png",
        "metrics.json",
        "reconstruct.log",
    }
    call = backend.CALLS[-1]
    assert call["execution"].inference_batch_size == 3
    assert call["model"] == trained / "wts.h5.zip"
    metrics = json.loads((image / "metrics.json").read_text())
    assert {"R", "seconds_network", "seconds_total", "gridsize", "patterns", "model", "data"} <= set(metrics)
    assert (metrics["patterns"], metrics["backend"]) == (len(scan), "pytorch")
    assert call["config"].backend == "pytorch" and call["config"].refine == "auto"
    assert f"{metrics['R']:.4f}" in out
    found = read_reconstruction(image)
    record = metrics["provenance"]
    assert set(record) == set(PROVENANCE_KEYS) and tuple(metrics["scales"]) == SCALES
    archive, data = (
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (trained / "wts.h5.zip", scan_file)
    )
    assert (record["model"]["sha256"], record["input"]["sha256"]) == (archive, data)
    assert found.metadata["provenance"] == without_times(record)
    assert found.metadata["scales"] == metrics["scales"]
    comments = read_product(image / "reconstruction.h5").comments
    assert archive in comments and data in comments and scan_file.name in comments
    y, x = found.canvas.origin
    height, width = found.canvas.shape
    assert np.array_equal(found.object, scan.object[y : y + height, x : x + width])
    assert len(read_product(image / "reconstruction.h5").positions_m) == len(scan)


def test_halves_and_truth_are_scored(pinn, backend, scan_file, trained, tmp_path):
    for frames in ("even", "odd"):
        arguments = ("--data", scan_file, "--output", tmp_path / frames, "--frames", frames, "--quiet")
        assert pinn("infer", "--model", trained, *arguments)[0] == 0
    scores = tmp_path / "scores"
    code, out, _ = pinn("evaluate", tmp_path / "even", "--against", tmp_path / "odd", "--output", scores)
    assert code == 0 and "FRC falls to 0.5 at 1.00" in out
    assert json.loads((scores / "metrics.json").read_text())["frc17_phase"] == 1.0
    assert (scores / "frc.csv").read_text().startswith("frequency,amplitude,phase\n0.0,")
    assert (scores / "evaluation.png").stat().st_size > 10_000
    code, out, _ = pinn("evaluate", tmp_path / "even", "--reference", scan_file, "--roi", "14,40,14,40")
    assert code == 0 and "SSIM 1.000" in out
    product = tmp_path / "odd" / "reconstruction.h5"
    code, out, _ = pinn("evaluate", product, "--reference", scan_file, "--roi", "14,40,14,40")
    assert code == 0 and "SSIM 1.000" in out


def test_the_archive_says_which_backend(pinn, provide, trained, scan_file, tmp_path):
    provide(tensorflow="fake_backend")
    code, _, err = pinn("infer", "--model", trained, "--data", scan_file, "--output", tmp_path / "image")
    assert code == 1
    assert "PyTorch backend selected" in err and "pip install torch>=2.2" in err
    assert "or open the archive with the backend 'tensorflow', which is installed" in err
    assert not (tmp_path / "image").exists()


def test_another_backend_opens_it_if_it_is_named(pinn, provide, backend, trained, scan_file, tmp_path):
    provide(tensorflow="fake_backend")
    image = tmp_path / "image"
    arguments = ("--model", trained, "--data", scan_file, "--output", image, "--backend", "tensorflow")
    assert pinn("infer", *arguments)[0] == 0
    assert backend.CALLS[-1]["config"].backend == "tensorflow"
    assert json.loads((image / "metrics.json").read_text())["backend"] == "tensorflow"


def test_a_missing_backend_is_told_before_the_demo_simulates(pinn, provide, tmp_path):
    provide()
    code, out, err = pinn("demo", "--output", tmp_path / "demo")
    assert code == 1 and out == ""
    assert "pip install torch>=2.2" in err and err.count("\n") == 1
    assert not (tmp_path / "demo").exists()


def test_demo_leaves_what_it_says(pinn, backend, tmp_path):
    code, out, err = pinn("demo", "--output", tmp_path / "demo", "--side", 12, "--quiet", "--max-seconds", 5)
    assert (code, err) == (0, "")
    names = {p.name for p in (tmp_path / "demo").iterdir()}
    assert {
        "wts.h5.zip",
        "metrics.json",
        "reconstruction.npz",
        "reconstruction.h5",
        "config.yaml",
        "demo.png",
    } <= names
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert metrics["ssim_phase"] > 0.99  # the fake backend hands back the truth
    assert {"R", "seconds_training", "seconds_demo", "frc50_phase", "frc17_phase"} <= set(metrics)
    # The solver, from the network's image and a probe that is right, leaves it right.
    assert metrics["solver"]["ssim_phase"] > 0.9 and set(metrics["cpu_seconds"]) == {
        "training",
        "network",
        "solver",
    }
    solved = {p.name for p in (tmp_path / "demo" / "solved").iterdir()}
    assert solved == {"reconstruction.npz", "reconstruction.h5", "reconstruction.png"}
    assert all(str(tmp_path / "demo" / name) in out for name in ("demo.png", "wts.h5.zip", "metrics.json"))
    assert "SSIM" in out and "seconds" in out
    executed = backend.CALLS[0]["execution"]
    assert (executed.scheduler, executed.warmup_steps, executed.learning_rate) == ("MultiStage", 30, 4e-3)
    assert load_run(tmp_path / "demo" / "config.yaml", TrainingConfig)[1].warmup_steps == 30
    learned, unseen = (call["scan"] for call in backend.CALLS)
    assert len(learned) == 144 and learned.N == 64
    assert not np.array_equal(learned.object[:64, :64], unseen.object[:64, :64])


def test_the_two_scans_of_the_demo():
    learned, unseen = demo_scans(3, side=8)
    again, _ = demo_scans(3, side=8)
    assert learned.equals(again)
    assert not learned.equals(demo_scans(4, side=8)[0])
    assert learned.unit == unseen.unit == "counts"
    assert np.array_equal(learned.probe, unseen.probe)
    assert learned.nphotons == pytest.approx(5e5, rel=0.02)
    g = geometry(64)
    wavelength = 1.23984198e-6 / g["photon_energy_eV"]
    assert g["pixel_size_m"] * 64 * 75e-6 == pytest.approx(wavelength * g["detector_distance_m"])


def test_simulate_and_info(pinn, tmp_path):
    path, counts = tmp_path / "new" / "scan.npz", tmp_path / "b.npz"
    flags = ("--size", 80, "-N", 32, "--seed", 5)
    code, out, _ = pinn("simulate", "--output", path, *flags)
    assert code == 0 and str(path) in out and "stored as amplitude" in out
    scan = read_scan(path)
    assert (scan.N, scan.unit, scan.object.shape) == (32, "amplitude", (80, 80))
    assert pinn("simulate", "--output", counts, *flags, "--unit", "counts", "--quiet")[0] == 0
    with np.load(path) as ours, np.load(counts) as theirs:
        # For readers that know of no label.
        np.testing.assert_allclose(ours["diff3d"] ** 2, theirs["diff3d"], rtol=1e-6)
    assert np.array_equal(read_scan(counts).diffraction, scan.counts())
    code, out, _ = pinn("info", path, tmp_path / "b.npz")
    assert code == 0
    for unit in ("amplitude", "counts"):
        assert f"{len(scan)} of 32 x 32 pixels, taken as {unit} (as labelled)" in out


def test_info_on_what_the_commands_leave(pinn, backend, scan_file, trained, tmp_path):
    image = tmp_path / "image"
    assert pinn("infer", "--model", trained, "--data", scan_file, "--output", image, "--quiet")[0] == 0
    code, out, err = pinn("info", trained, trained / "wts.h5.zip", image, image / "reconstruction.h5")
    assert (code, err) == (0, "")
    assert out.count("model archive, format 3.0") == 2
    assert "diffraction_to_obj (18 parameters)" in out and "N 16, gridsize " in out
    assert (
        "kind   folder of a run\nfiles  config.yaml, losses.csv, provenance.json, training.png, wts.h5.zip\n"
        in out
    )
    assert "  recorded    5 steps in 0.4 s" in out
    assert re.search(r"^  kind +reconstruction$", out, re.M) and "ptychodus product" in out


@pytest.fixture
def interruptible():
    """SIGINT interrupts even where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupted(pinn, backend, scan_file, tmp_path, monkeypatch, interruptible):
    monkeypatch.setattr("pinn_dispatch.dispatch.train", _interrupt)
    code, _, err = pinn("train", "--data", scan_file, "--output", tmp_path / "run", "--quiet")
    assert code == 130
    assert "interrupted" in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def _interrupt(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("the interrupt was lost")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_fails_because_of_a_request_to_stop_is_that_request(
    number, code, pinn, backend, scan_file, tmp_path, monkeypatch, interruptible
):
    def broken(*_args, **_kwargs):
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            raise ValueError("a file that was cut short") from None

    monkeypatch.setattr("pinn_dispatch.dispatch.train", broken)
    found, _, err = pinn("train", "--data", scan_file, "--output", tmp_path / "run", "--quiet")
    assert (found, err) == (code, "pinn: interrupted; finished results are kept\n")
    assert not (tmp_path / "run").exists()


def test_our_own_errors_are_failures_and_say_so(pinn, backend, scan_file, tmp_path, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pinn_dispatch.dispatch.train", broken)
    code, _, err = pinn("train", "--data", scan_file, "--output", tmp_path / "run", "--quiet")
    assert code == 1
    assert "ZeroDivisionError" in err and "--debug" in err and "Traceback" not in err
    code, _, err = pinn("train", "--data", scan_file, "--output", tmp_path / "run", "--debug")
    assert code == 1 and "Traceback" in err


def test_as_a_program(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pinn_dispatch.cli",
        "simulate",
        "--output",
        str(tmp_path / "s.npz"),
        "--size",
        "100",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "s.npz" in run.stdout and run.stderr == ""
    failed = subprocess.run(
        [*command[:3], "info", str(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == f"pinn: error: {tmp_path / 'none'} does not exist: check the path\n"
