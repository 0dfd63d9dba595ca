"""docs/cluster.md: the batch script runs as it stands there, with stand-ins for SLURM's own commands."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

_GUIDE = Path(__file__).parents[2] / "docs" / "cluster.md"

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not hasattr(signal, "SIGUSR1"), reason="there is no bash"
)

# Starts the command on two machines of one task each, both of which are this one, as srun would.
_SRUN = """\
import os, subprocess, sys
from pathlib import Path
assert sys.argv[1] == "--kill-on-bad-exit=1" and sys.argv[2] == "pinn-torch", sys.argv
step = len(list(Path().glob("step-*")))
Path(f"step-{step}").touch()
small = ["--accelerator", "cpu"]
if sys.argv[3] == "train":
    small += ["--nepochs", os.environ["TEST_EPOCHS"], "--n_filters_scale", "1", "--logger", "none"]
words = [word for word in sys.argv[3:] if word != "--quiet"]
shared = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2", "SLURM_LOCALID": "0", "SLURM_NTASKS": "2",
          "SLURM_STEP_NODELIST": "localhost,elsewhere", "SLURM_STEP_ID": str(step)}
command = [sys.executable, "-m", "pinn_torch.cli", *words, *small]
ranks = [{"SLURM_PROCID": rank, "SLURM_NODEID": rank} for rank in "01"]
tasks = [subprocess.Popen(command, env=os.environ | shared | rank) for rank in ranks]
sys.exit(max(abs(task.wait()) for task in tasks))
"""
_SCONTROL = """\
import os, sys
from pathlib import Path
Path("requeued").write_text(" ".join(sys.argv[1:]))
"""


def _job_number() -> str:
    """One for which the port that follows from it is free."""
    for number in range(1000 + os.getpid() % 1000, 9000, 7):
        with socket.socket() as tried:
            if tried.connect_ex(("localhost", 15000 + number)):
                return str(number)
    raise AssertionError("no free port")


@pytest.fixture
def submitted(tmp_path, scan_file):
    """submitted(epochs): the script of the guide, started as SLURM would, in a folder with its scans."""
    (script,) = re.findall(r"```bash\n(#!/bin/bash.*?)```", _GUIDE.read_text(), re.DOTALL)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("srun", _SRUN), ("scontrol", _SCONTROL)):
        (tools / name).write_text(f"#!{sys.executable}\n{text}")
        (tools / name).chmod(0o755)
    for name in ("scan.npz", "other.npz"):
        shutil.copy(scan_file, tmp_path / name)
    job, jobs = _job_number(), []

    def submit(epochs: int) -> subprocess.Popen[str]:
        for old in tmp_path.glob("step-*"):
            old.unlink()
        environment = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "TEST_EPOCHS": str(epochs)}
        environment |= {
            "SLURM_JOB_ID": job,
            "SLURM_CPUS_PER_TASK": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        output = (tmp_path / "output").open("a")
        jobs.append(
            subprocess.Popen(
                ["bash", "-c", script],
                cwd=tmp_path,
                env=os.environ | environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        )
        return jobs[-1]

    yield submit
    for started in jobs:
        _end(started)


def _end(job: subprocess.Popen[str]) -> None:
    try:
        os.killpg(job.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended, with all that it started
    job.wait()


def test_the_batch_script_trains_and_reconstructs(submitted, tmp_path):
    assert submitted(1).wait(300) == 0, (tmp_path / "output").read_text()
    for name in ("run/wts.h5.zip", "run/losses.csv", "image/reconstruction.npz"):
        assert (tmp_path / name).is_file(), name
    said = (tmp_path / "output").read_text()
    assert said.count("archive ") == 1 and said.count("residual R") == 1
    assert not (tmp_path / "requeued").exists()


def test_a_job_whose_time_is_up_queues_again_and_goes_on(submitted, tmp_path):
    job, resume = submitted(12), tmp_path / "run" / "checkpoints" / "resume.ckpt"
    deadline = time.monotonic() + 200
    while not resume.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(job.pid, signal.SIGUSR1)
    job.wait(60)
    assert (tmp_path / "requeued").read_text().startswith("requeue ")
    _end(job)  # as SLURM does then
    assert resume.exists() and not (tmp_path / "image").exists()
    assert submitted(12).wait(300) == 0, (tmp_path / "output").read_text()
    assert (tmp_path / "output").read_text().count("resuming a training that was stopped after epoch") == 1
    assert (tmp_path / "image" / "reconstruction.npz").is_file()
