"""An interrupted training goes on as if nothing had happened, and the best epochs are kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import load_model
from pinn_tf.training import run as training
from pinn_tf.training.checkpoints import BestEpochs, ResumePoint, Stopped
from tf_trainings import network_image, same, small_training, state_of

_KEEP = {"enable_checkpointing": True}
_SETTINGS = {"nepochs": 4, "batch_size": 3, "n_groups": 6, "gridsize": 1, "predicted_neighbors": 1}


class _Interrupted(BaseException):
    pass


def _interrupt(monkeypatch, epoch):
    """The training dies before the first step of this epoch."""
    original = training.GroupBatches.epoch

    def dies(self, number):
        if number == epoch:
            raise _Interrupted
        return original(self, number)

    monkeypatch.setattr(training.GroupBatches, "epoch", dies)


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "unrolled", "execution": _KEEP | {"scheduler": "MultiStage", "accum_steps": 2}},
        {"execution": _KEEP | {"scheduler": "Adaptive", "precision": "bf16-mixed"}, "probe_trainable": True},
        {"historical": True, "architecture": "refined"},
    ],
    ids=["unrolled", "cnn", "historical"],
)
def test_an_interrupted_training_resumes_to_the_same_weights_to_the_bit(
    eager, tmp_path, monkeypatch, caplog, settings
):
    settings = _SETTINGS | {"validation": small_scan(rows=2)} | settings
    whole = small_training(tmp_path / "whole", small_scan(), **settings)
    with monkeypatch.context() as patch, pytest.raises(_Interrupted):
        _interrupt(patch, 2)
        small_training(tmp_path / "cut", small_scan(), **settings)
    assert not (tmp_path / "cut" / "wts.h5.zip").exists()
    with caplog.at_level("INFO", logger="pinn_data"):
        resumed = small_training(tmp_path / "cut", small_scan(), **settings)
    assert resumed.resumed_after == 2 and whole.resumed_after is None
    assert "resuming a training that was stopped after epoch 2" in caplog.text
    assert same(state_of(whole.archive), state_of(resumed.archive))
    for first, second in zip(whole.history, resumed.history, strict=True):
        assert first | {"seconds": 0} == second | {"seconds": 0}
    kept = [{p.name for p in (tmp_path / name / "checkpoints").iterdir()} for name in ("whole", "cut")]
    assert kept[0] == kept[1] and len(kept[0]) == (0 if settings.get("historical") else 1)


@pytest.fixture
def stopped(eager, tmp_path, monkeypatch):
    """The folder of a training that was stopped after its second epoch."""
    with monkeypatch.context() as patch, pytest.raises(_Interrupted):
        _interrupt(patch, 2)
        small_training(tmp_path / "out", small_scan(), execution=_KEEP, **_SETTINGS)
    return tmp_path / "out"


@pytest.mark.parametrize("change", [{"batch_size": 2}, {"seed": 1}, {"historical": True}])
def test_other_settings_start_anew_and_say_so(stopped, caplog, change):
    result = small_training(stopped, small_scan(), execution=_KEEP, **_SETTINGS | change)
    assert result.resumed_after is None and result.history[0]["step"] == 1
    assert "belongs to a training with other data or settings, so this one starts anew" in caplog.text


def test_what_changes_no_result_may_change(stopped):
    """The second time without --quiet, for example, and in a folder of another name."""
    stopped.rename(stopped.with_name("moved"))
    change = {"enable_progress_bar": True, "num_workers": 1, "logger_backend": "csv"}
    result = small_training(stopped.with_name("moved"), small_scan(), execution=_KEEP | change, **_SETTINGS)
    assert result.resumed_after == 2


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "pickle", "other arrays"])
def test_a_resume_file_that_is_none_is_passed_over_and_runs_nothing(eager, tmp_path, caplog, content):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    trap, path = tmp_path / "trap", folder / "resume.npz"
    if content == "pickle":
        np.savez(path, state=np.array([_Trap(trap)], dtype=object))
    elif content == "other arrays":
        np.savez(path, state=np.array(json.dumps({"epoch": 1})))
    else:
        path.write_bytes(content)
    assert small_training(tmp_path, small_scan(), execution=_KEEP, n_groups=4).resumed_after is None
    assert "cannot be read" in caplog.text and not trap.exists() and not path.exists()


def test_a_resume_point_gives_back_what_it_was_given(tmp_path):
    point = ResumePoint(tmp_path / "a", "print")
    assert point.found() is None
    arrays = {"module.0": np.arange(3, dtype=np.float32), "optimiser.0": np.array(7)}
    for epoch in (0, 1):
        point.write(Stopped(epoch, arrays, {"rate": 0.1, "rows": [{"step": 1, "val_loss": None}]}))
    (tmp_path / "a" / ".resume.npz.0123456789ab.tmp").write_bytes(b"what a kill in the midst of writing left")
    found = point.found()
    assert found.epoch == 1 and found.state == {"rate": 0.1, "rows": [{"step": 1, "val_loss": None}]}
    assert found.arrays.keys() == arrays.keys()
    assert all(np.array_equal(found.arrays[name], arrays[name]) for name in arrays)
    assert ResumePoint(tmp_path / "a", "another").found() is None
    point.finished()
    assert list((tmp_path / "a").iterdir()) == []


_SCRIPT = """
import sys
from pathlib import Path
from pinn_data.testing import small_scan
from tf_trainings import small_training
small_training(Path(sys.argv[1]), small_scan(), architecture="unrolled", nepochs=8, n_groups=4,
               execution={"enable_checkpointing": True})
"""


def _run(folder):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(folder)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        env=environment,
    )


def _finished(resume):
    """Epochs in a file that another process replaces now and then."""
    if not resume.exists():
        return 0
    with np.load(resume, allow_pickle=False) as file:
        return json.loads(str(file["state"]))["epoch"] + 1


@pytest.mark.processes
def test_kill_9_loses_at_most_the_current_epoch(tmp_path):
    resume = tmp_path / "cut" / "checkpoints" / "resume.npz"
    process = _run(tmp_path / "cut")
    try:
        deadline = time.monotonic() + 300
        while _finished(resume) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    kept = _finished(resume)
    assert 2 <= kept < 8 and not (tmp_path / "cut" / "wts.h5.zip").exists()
    cut, whole = (
        small_training(
            tmp_path / name, small_scan(), architecture="unrolled", nepochs=8, n_groups=4, execution=_KEEP
        )
        for name in ("cut", "whole")
    )
    assert (cut.resumed_after, whole.resumed_after) == (kept, None)
    assert same(state_of(whole.archive), state_of(cut.archive))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.sampled_from(["min", "max"]), st.integers(1, 4))
def test_the_best_are_kept_and_no_more(tmp_path_factory, values, mode, top_k):
    folder = tmp_path_factory.mktemp("best")
    best = BestEpochs(folder, "loss", mode, top_k)
    for epoch, value in enumerate(values):
        best.take(epoch, value, lambda path: path.write_text("x"))
        if epoch == 1:  # put down and taken up
            state = json.loads(json.dumps(best.state()))
            best = BestEpochs(folder, "loss", mode, top_k)
            best.restore(state)
    ranked = sorted(range(len(values)), key=lambda i: values[i] if mode == "min" else -values[i])
    kept = {int(path.name.split("epoch=")[1].split("-")[0]) for path in folder.iterdir()}
    assert kept == set(ranked[:top_k])


@pytest.mark.parametrize(("top_k", "expected"), [(-1, 3), (0, 0), (2, 2)])
def test_the_epochs_that_are_kept_are_models(eager, tmp_path, top_k, expected):
    result = small_training(
        tmp_path,
        small_scan(),
        nepochs=3,
        n_groups=4,
        execution=_KEEP | {"checkpoint_save_top_k": top_k},
    )
    files = sorted((tmp_path / "checkpoints").glob("*.zip"))
    assert len(files) == expected and all("poisson_train_loss=" in path.name for path in files)
    for path in files:
        assert state_of(path).keys() == state_of(result.archive).keys()
    if top_k == -1:
        assert [load_model(path).provenance["epochs"] for path in files] == [1, 2, 3]
        assert same(state_of(files[-1]), state_of(result.archive))
        assert np.isfinite(network_image(files[0], small_scan()).object).all()


def test_without_checkpointing_nothing_is_kept(eager, tmp_path):
    small_training(tmp_path, small_scan(), n_groups=4)
    assert not (tmp_path / "checkpoints").exists()
