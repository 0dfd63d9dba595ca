"""The lifecycle of a program's reconstructor with each real backend, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from pinn_dispatch.registry import BACKENDS

_PROGRAM = """
import json, pickle, sys, threading
from pathlib import Path
import numpy as np
from pinn_config import InferenceConfig, ModelConfig
from pinn_data.testing import small_scan
from pinn_dispatch import dispatch
from pinn_dispatch.reconstructor import Cancel, CancelledError, Reconstructor

backend, folder = sys.argv[1], Path(sys.argv[2])
frameworks = ("torch", "lightning", "tensorflow", "keras")
scan, other = small_scan(), small_scan(rows=3)
client = Reconstructor(backend)
client.configure(
    model={"n_filters_scale": 1, "architecture": "cnn"},
    training={"nepochs": 3, "batch_size": 3, "n_groups": 6, "output_dir": folder / "run"},
    execution={"logger_backend": "none", "checkpoint_save_top_k": 0},
)
(folder / "data").mkdir()
client.export_training_data(folder / "data", scan)
client.export_training_data(folder / "data" / "test_data.npz", other)
loaded_before = [name for name in frameworks if name in sys.modules]

# In a thread, cancelled from this one, in the second of three epochs.
told, cut, ready, go_on = [], [], threading.Event(), threading.Event()
def watch(progress):
    told.append(progress)
    if progress.step == 3:
        ready.set()
        go_on.wait(120)
worker = threading.Thread(target=lambda: cut.append(client.train(folder / "data", on_progress=watch)))
worker.start()
assert ready.wait(300)
assert client.cancel()
go_on.set()
worker.join(300)
cut = cut[0]
opened = Reconstructor(backend).open(folder / "run").reconstruct(other)

client.configure(training={"output_dir": folder / "whole"})
told_whole = []
whole = client.train(folder / "data", on_progress=told_whole.append)
saved = client.save(folder / "saved.zip")
again = pickle.loads(pickle.dumps(Reconstructor(backend).open(saved)))
told_image = []
found = again.reconstruct(other, on_progress=told_image.append)
expected = dispatch.reconstruct(saved, other, InferenceConfig(ModelConfig(N=other.N)))
try:
    again.reconstruct(other, on_progress=lambda progress: Cancel)
    error = None
except CancelledError as caught:
    error = str(pickle.loads(pickle.dumps(caught)))

def fractions(told):
    return [progress.fraction for progress in told]

print(json.dumps({
    "loaded_before": loaded_before,
    "cut": [cut["cancelled"], cut["bundle_path"].is_file(), told[-1].step, told[-1].finished],
    "cut_history": [len(cut["history"]["train_loss"]), len(cut["history"]["val_loss"])],
    "cut_opened": bool(np.isfinite(opened.object).all()),
    "whole": [whole["cancelled"], whole["history_epochs"], whole["backend"]],
    "training": fractions(told_whole),
    "finished": [progress.finished for progress in told_whole],
    "val_loss": [whole["history"]["val_loss"],
                 list(dict.fromkeys(p.val_loss for p in told_whole if p.val_loss is not None))],
    "train_loss": [whole["history"]["train_loss"], [
        float(np.mean(list({p.step: p.loss for p in told_whole if p.epoch == e and p.step > 2 * e}.values())))
        for e in range(3)
    ]],
    "image": fractions(told_image),
    "same_file": saved.read_bytes() == client.model_path.read_bytes(),
    "same": [
        found.object.tobytes() == expected.object.tobytes(),
        found.coverage.tobytes() == expected.coverage.tobytes(),
        found.residual == expected.residual,
        found.canvas == expected.canvas,
        found.provenance["model"] == expected.provenance["model"],
    ],
    "error": error,
    "places": sorted(path.name for path in Path().iterdir()),
}))
"""


@pytest.mark.processes
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_lifecycle(backend, tmp_path):
    if find_spec(BACKENDS[backend].framework) is None:
        pytest.skip(f"{BACKENDS[backend].title} is not installed")
    (tmp_path / "cwd").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, backend, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path / "cwd",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["loaded_before"] == []
    # Stopped after the third step, the first of the second epoch, which is not validated any more.
    assert found["cut"] == [True, True, 3, False] and found["cut_history"] == [2, 1] and found["cut_opened"]
    assert found["whole"] == [False, 3, backend]
    for told in (found["training"], found["image"]):
        assert told == sorted(told) and told[0] == 0 and told[-1] == 1
    assert found["finished"] == [False] * (len(found["finished"]) - 1) + [True]
    assert found["val_loss"][0] == found["val_loss"][1] and len(found["val_loss"][0]) == 3
    assert found["train_loss"][0] == pytest.approx(found["train_loss"][1], rel=1e-12)
    assert found["same_file"] and all(found["same"])
    assert "cancelled when 0% of it was done" in found["error"]
    assert found["places"] == []  # nothing in the working directory
