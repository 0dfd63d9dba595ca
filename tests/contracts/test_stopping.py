"""Asked to stop in the midst of a backend's work, `pinn` ends with its exit code, and goes on from what it
kept.

What stands above the last line is not looked at: TensorFlow's C++ prints a traceback of its own where the
request comes within a call back into Python. That `pinn` prints none is shown in pinn-dispatch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec

import pytest
from pinn_archive import read_archive

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.name == "nt", reason="Windows has other signals"),
]

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(module) is None, reason=f"no {module} here"))
    for name, module in (("pytorch", "torch"), ("tensorflow", "tensorflow"))
]

_PINN = """
import signal, sys
# Processes that tests start in the background ignore it otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pinn_dispatch import registry
from pinn_dispatch.cli import main

backend = registry.load_backend
class Telling:
    def __init__(self, name):
        self.module = backend(name)
        self.train = self.module.train
    def reconstruct(self, *arguments, **options):
        tell = lambda progress: print("share", progress.fraction, file=sys.stderr, flush=True)
        return self.module.reconstruct(*arguments, **{**options, "progress": tell})
registry.load_backend = Telling
sys.exit(main())
"""


def _started(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", _PINN, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _stopped(running, when, request):
    """(exit code, errors) of the process that gets the signal `request` as soon as `when` returns True."""
    try:
        while not when():
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.01)
        running.send_signal(request)
        _, err = running.communicate(timeout=300)
    finally:
        running.kill()
    return running.returncode, err


def _written(path):
    """When, in ns; 0: never."""
    return path.stat().st_mtime_ns if path.exists() else 0


def _is_newer(path, than):
    return _written(path) > than


def _halves(folder):
    return [path for path in folder.rglob("*") if path.suffix in (".tmp", ".part")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_that_was_stopped_goes_on(backend, scan_file, tmp_path):
    """Stopped twice, each time after an epoch that is kept."""
    folder = tmp_path / "run"
    arguments = [
        *("train", "--data", scan_file, "--output", folder, "--backend", backend, "--nepochs", 12),
        *("--architecture", "cnn", "--gridsize", 1, "--n-filters-scale", 1, "--accelerator", "cpu"),
        *("--precision", "32-true", "--logger", "csv"),
    ]
    resume = folder / "checkpoints" / {"pytorch": "resume.ckpt", "tensorflow": "resume.npz"}[backend]
    for request, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = _written(resume)
        found, err = _stopped(_started(*arguments), partial(_is_newer, resume, before), request)
        assert found == code, err
        assert err.endswith("pinn: interrupted; finished results are kept\n")
        assert ("resuming a training that was stopped after epoch" in err) == (before > 0)
        assert resume.exists()
        assert _halves(folder) == [] and not (folder / "wts.h5.zip").exists()
    again = _started(*arguments)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "resuming a training that was stopped after epoch" in err
    assert str(folder / "wts.h5.zip") in out and not resume.exists() and _halves(folder) == []
    epochs = [int(row.split(",")[1]) for row in (folder / "losses.csv").read_text().splitlines()[1:]]
    assert sorted(set(epochs)) == list(range(12)) and read_archive(folder).backend == backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reconstruction_that_was_stopped_leaves_nothing(backend, scan_file, run_folder, tmp_path):
    running = _started(
        *("infer", "--data", scan_file, "--model", run_folder, "--output", tmp_path / "deep" / "image"),
        *("--backend", backend, "--accelerator", "cpu", "--quiet"),
    )
    code, err = _stopped(running, lambda: running.stderr.readline().startswith("share"), signal.SIGINT)
    assert code == 130, err
    assert err.endswith("pinn: interrupted; finished results are kept\n")
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_demo_that_was_stopped_keeps_its_scans(backend, tmp_path):
    """While the framework is loaded."""
    running = _started("demo", "--side", 8, "--output", tmp_path / "demo", "--backend", backend)
    code, err = _stopped(running, lambda: running.stdout.readline().startswith("2/5"), signal.SIGINT)
    assert code == 130, err
    assert err.endswith("pinn: interrupted; finished results are kept\n")
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"scan_learned.npz", "scan_unseen.npz"}
    assert _halves(tmp_path) == [] and not (tmp_path / "demo" / "wts.h5.zip").exists()
