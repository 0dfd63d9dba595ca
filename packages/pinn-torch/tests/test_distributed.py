"""Two processes train and reconstruct what one does, within float32; only the first writes."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_torch.archive.model_archive import load_model
from pinn_torch.backend import TORCH
from pinn_torch.errors import NotFiniteError, RunError
from pinn_torch.runtime.devices import same_arithmetic_afterwards
from torch_scans import network_image, quiet, small_scan, small_training

pytestmark = pytest.mark.processes

# Batches of 5, 5 and 1: one process has nothing of the last.
_LEFT_OVER = {"batch_size": 5, "n_groups": 11}
# With steps of 1e-3 what two processes round otherwise grows a hundredfold with every epoch.
_SMALL = 1e-5


def _state(archive):
    return load_model(archive).module.state_dict()


def _movement(before, after):
    """The change of everything that is trained, as one vector."""
    return torch.cat([(after[name] - before[name]).flatten().double() for name in sorted(before)])


def _run(
    folder, *, devices, callbacks=(), seed=0, architecture="cnn", execution=None, model=None, **settings
):
    model = ModelConfig(architecture=architecture, gridsize=2, n_filters_scale=1, **(model or {}))
    config = TrainingConfig(model=model, output_dir=folder, **{"nepochs": 1} | _LEFT_OVER | settings)
    run = quiet(devices=devices, strategy="ddp", **(execution or {}))
    with same_arithmetic_afterwards():
        job = TORCH.training_job(
            small_scan(), config, run, validation=small_scan(rows=3), seed=seed, max_seconds=None
        )
        return TORCH.run_job(job, callbacks=callbacks)


def _gradients(folder, **settings):
    """The gradients before each step of the optimiser, as this process sees them."""
    seen = []

    class Sees(lightning.Callback):  # local, so no other process could have it
        def on_before_optimizer_step(self, trainer, module, optimizer):
            grads = [p.grad for p in module.parameters() if p.requires_grad]
            seen.append(torch.cat([g.flatten().double() for g in grads]))

    _run(folder, callbacks=[Sees()], **settings)
    return seen


@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
def test_two_processes_have_the_gradients_of_one(tmp_path, architecture):
    """With weights that do not move, every step sees the same network; left-over batches included."""
    settings = {"architecture": architecture, "execution": {"learning_rate": 1e-30, "accum_steps": 2}}
    one = _gradients(tmp_path / "1", devices=1, **settings)
    two = _gradients(tmp_path / "2", devices=2, **settings)
    assert len(one) == len(two) == 2
    for a, b in zip(one, two, strict=True):
        assert float((a - b).norm() / a.norm()) < 1e-5


def test_two_processes_normalise_a_batch_as_one(tmp_path):
    """The statistics are those of the whole batch, and what is gathered of them is, too."""
    settings = {"architecture": "unet", "model": {"batch_norm": True}, "execution": {"learning_rate": 1e-30}}
    one, two = (_gradients(tmp_path / f"{n}", devices=n, **settings) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert float((a - b).norm() / a.norm()) < 1e-4
    first, second = (_state(tmp_path / n / "wts.h5.zip") for n in "12")
    gathered = [name for name in first if name.endswith(("mean", "variance"))]
    assert gathered
    for name in gathered:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["cnn", "unet", "unrolled"])
def test_two_processes_train_the_network_of_one(tmp_path, architecture):
    """Adam's steps have one size whatever the gradient's, so a weight whose gradient is all rounding may go
    either way: the movement as a whole is compared."""
    still = {"n_groups": 1, "execution": {"learning_rate": 1e-30}}
    start = _state(_run(tmp_path / "0", devices=1, architecture=architecture, **still).archive)
    settings = {"architecture": architecture, "nepochs": 2, "execution": {"learning_rate": _SMALL}}
    one = _run(tmp_path / "1", devices=1, **settings)
    two = _run(tmp_path / "2", devices=2, **settings)
    a, b = _movement(start, _state(one.archive)), _movement(start, _state(two.archive))
    assert float((a - b).norm() / a.norm()) < 0.02
    assert float((a - b).abs().max()) < 2 * _SMALL  # of two epochs of three steps
    for first, second in zip(one.history, two.history, strict=True):
        assert first["step"] == second["step"] and first["learning_rate"] == second["learning_rate"]
        for name in ("train_loss", "train_deviance", "val_loss"):
            assert second[name] == first[name] or second[name] == pytest.approx(first[name], rel=1e-3)


def test_what_two_processes_write_is_what_one_writes(tmp_path, monkeypatch):
    """Every file once, every metric once, and the mean over all that was looked at."""
    monkeypatch.chdir(tmp_path)
    execution = {
        "logger_backend": "csv",
        "enable_checkpointing": True,
        "checkpoint_save_top_k": -1,
        "learning_rate": _SMALL,
    }
    rows = {}
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        _run(folder, devices=devices, nepochs=4, execution=execution)
        (file,) = folder.rglob("metrics.csv")
        rows[devices] = list(csv.DictReader(file.open()))
    names = [
        sorted(p.relative_to(tmp_path / d).as_posix().split("loss=")[0] for p in (tmp_path / d).rglob("*"))
        for d in ("1", "2")
    ]
    assert names[0] == names[1]
    assert len(rows[1]) == len(rows[2]) > 0
    for one, two in zip(rows[1], rows[2], strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == value or float(two[name]) == pytest.approx(float(value), rel=1e-3)
    provenance = [load_model(tmp_path / d / "wts.h5.zip").provenance for d in ("1", "2")]
    assert [p["training_processes"] for p in provenance] == [1, 2]
    assert [p["steps"] for p in provenance] == [12, 12]


def test_all_processes_stop_at_the_same_step(tmp_path):
    """At a time that only one clock can say, and because nothing improves."""
    timed = small_training(
        tmp_path / "a",
        small_scan(),
        nepochs=100_000,
        max_seconds=1.0,
        execution={"devices": 2, "scheduler": "Exponential"},
    )
    assert 1 <= timed.history[-1]["step"] < 200_000
    still = _run(
        tmp_path / "b", devices=2, nepochs=50, execution={"learning_rate": 1e-30, "early_stop_patience": 2}
    )
    assert load_model(still.archive).provenance["epochs"] < 50


def test_a_loss_that_is_not_finite_stops_all(tmp_path):
    with pytest.raises(NotFiniteError, match=r"the loss became \S+ at step \d+: lower the learning rate"):
        _run(tmp_path, devices=2, nepochs=5, execution={"learning_rate": 1e30})
    assert not (tmp_path / "wts.h5.zip").exists()


def test_a_bar_is_shown_once(tmp_path, capfd):
    _run(tmp_path, devices=2, execution={"enable_progress_bar": True})
    shown = capfd.readouterr()
    assert shown.out == "" and shown.err.count("epoch 1/1") == 1


@pytest.mark.parametrize(
    "strategy", ["auto", "ddp", "ddp_spawn", "ddp_notebook", "ddp_find_unused_parameters_true"]
)
def test_with_one_device_every_strategy_is_a_plain_training(tmp_path, strategy):
    """A client's callback may be one that no other process could have; ptychodus asks for ddp_spawn."""
    result = small_training(tmp_path, small_scan(), execution={"strategy": strategy})
    assert load_model(result.archive).provenance["training_processes"] == 1


def test_a_strategy_that_is_none_of_these_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"strategy='fsdp' .*: choose auto or ddp"):
        small_training(tmp_path / "out", small_scan(), execution={"strategy": "fsdp"})
    assert not (tmp_path / "out").exists()


def test_more_gpus_than_there_are_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        RunError, match=r"devices=3 .* this process sees 2 CUDA device\(s\): give at most 2, or auto$"
    ):
        small_training(tmp_path / "out", small_scan(), execution={"devices": 3, "accelerator": "cuda"})
    assert not (tmp_path / "out").exists()


# Reconstruction


@pytest.mark.parametrize(
    ("architecture", "gridsize", "processes"), [("cnn", 2, 2), ("unrolled", 1, 3), ("refined", 2, 2)]
)
def test_processes_reconstruct_the_image_of_one(trained, architecture, gridsize, processes):
    archive, scan, shares = trained(architecture, gridsize), small_scan(), []
    one = network_image(archive, scan)
    more = network_image(
        archive, scan, execution=quiet(devices=processes), progress=lambda told: shares.append(told.fraction)
    )
    scale = np.abs(one.object).max()
    np.testing.assert_allclose(more.object, one.object, atol=1e-4 * scale)
    np.testing.assert_allclose(more.coverage, one.coverage, atol=1e-4 * one.coverage.max())
    assert more.residual == pytest.approx(one.residual, rel=1e-5)
    assert more.canvas == one.canvas and shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_a_process_may_have_no_group_to_reconstruct(trained):
    config = InferenceConfig(load_model(trained()).config.model, n_groups=2)
    one = network_image(trained(), small_scan(), config)
    more = network_image(trained(), small_scan(), config, quiet(devices=3))
    np.testing.assert_allclose(more.object, one.object, atol=1e-4 * np.abs(one.object).max())


# Started together by torchrun or srun

_TRAINED = {"gridsize": 2, "architecture": "unrolled", "batch_size": 5, "n_groups": 11, "nepochs": 2}
_PROGRAM = f"""
import json, os, sys
from pathlib import Path
import numpy as np
from pinn_data.command.processes import launched_process
from torch_scans import network_image
from torch_scans import quiet, small_scan, small_training
folder, rank = Path(sys.argv[1]), launched_process().rank
execution = {{"devices": "auto", "enable_checkpointing": True}}
result = small_training(folder, small_scan(), execution=execution, seed=0, **{_TRAINED})
image = network_image(result.archive, small_scan(), execution=quiet(devices="auto"))
np.save(folder.parent / f"{{rank}}.npy", image.object)
print(json.dumps([len(result.history), image.residual]), flush=True)
"""


def _free_port() -> str:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return str(chosen.getsockname()[1])


def _environments(launcher: str) -> list[dict[str, str]]:
    """What each of two processes finds; for srun of two machines, both of which are this one."""
    port = _free_port()
    shared = {"MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    if launcher == "torchrun":
        return [shared | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    shared = {"MASTER_PORT": port, "SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "train"}
    shared |= {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS": "2"}
    shared |= {"SLURM_STEP_NODELIST": "localhost,elsewhere", "SLURM_NNODES": "2", "SLURM_LOCALID": "0"}
    return [shared | {"SLURM_PROCID": rank, "SLURM_NODEID": rank} for rank in "01"]


def _started(environment: dict[str, str], *arguments: str, program: str = _PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=Path(__file__).parent,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_processes_that_a_launcher_started_do_one_run_together(tmp_path, launcher):
    """Every one is given the same arguments and has the same result; the files are written once."""
    processes = [_started(environment, str(tmp_path / "2")) for environment in _environments(launcher)]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    alone = small_training(tmp_path / "1", small_scan(), execution={"enable_checkpointing": True}, **_TRAINED)
    image = network_image(alone.archive, small_scan())
    expected = [len(alone.history), pytest.approx(image.residual, rel=1e-3)]
    assert [json.loads(out) for out, _ in said] == [expected, expected]
    first, second = (np.load(tmp_path / f"{rank}.npy") for rank in "01")
    assert np.array_equal(first, second)
    assert np.abs(first - image.object).max() < 1e-2 * np.abs(image.object).max()
    files = [sorted(p.name.split("=-")[0] for p in (tmp_path / d).rglob("*")) for d in "12"]
    assert files[0] == files[1]


def test_another_number_of_devices_than_a_launcher_started_is_refused(tmp_path, monkeypatch):
    for name, value in _environments("torchrun")[0].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=r"torchrun started 2 .*, but devices=3: give devices=2 or auto"):
        small_training(tmp_path / "out", small_scan(), execution={"devices": 3})
    assert not (tmp_path / "out").exists()


_OTHER_SEED = _PROGRAM.replace("seed=0", "seed=rank")


def test_processes_that_were_given_different_arguments_are_told(tmp_path):
    processes = [
        _started(environment, str(tmp_path / "2"), program=_OTHER_SEED)
        for environment in _environments("torchrun")
    ]
    for process in processes:
        assert "different data or settings: start all of them with the same" in process.communicate()[1]
        assert process.returncode == 1
    assert not (tmp_path / "2" / "wts.h5.zip").exists()


# Killed and resumed

_LONG = """
import sys
from pathlib import Path
from torch_scans import small_scan, small_training
result = small_training(Path(sys.argv[1]), small_scan(), gridsize=2, nepochs=20, batch_size=6,
                        architecture="unrolled", execution={"enable_checkpointing": True, "devices": 2})
print("resumed", result.resumed_after, flush=True)
"""


def test_a_kill_of_two_processes_loses_at_most_the_current_epoch(tmp_path):
    resume = tmp_path / "checkpoints" / "resume.ckpt"
    process = _started({}, str(tmp_path), program=_LONG)
    try:
        deadline = time.monotonic() + 120
        while not resume.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    kept = torch.load(resume, weights_only=True)["epoch"] + 1
    again = _started({}, str(tmp_path), program=_LONG)
    assert f"resumed {kept}" in again.communicate()[0]
    assert (tmp_path / "wts.h5.zip").exists() and not resume.exists()
