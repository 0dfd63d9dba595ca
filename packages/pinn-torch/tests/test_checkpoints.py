"""An interrupted training goes on as if nothing had happened; the best epochs are kept; it stops when nothing
improves."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from pinn_config.errors import ConfigError
from pinn_torch.archive.model_archive import load_model
from pinn_torch.training.checkpoints import WholeFiles
from torch_scans import ARCHITECTURES, options_of, small_scan, small_training

_KEEP = {"enable_checkpointing": True}
_SETTINGS = {"nepochs": 4, "batch_size": 6, "gridsize": 2}


def _state(archive):
    return load_model(archive).module.state_dict()


def _equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class _Interrupted(BaseException):
    pass


class _Wanted(BaseException):
    """Remembers from where a training would have gone on."""

    ckpt_path: str | None = "never asked"

    def fit(self, *arguments, ckpt_path=None, **options):
        self.ckpt_path = ckpt_path
        raise self


def _interrupt(monkeypatch, epoch, hook):
    """The training dies in this epoch: before its first step, or when its last one is done."""
    original = getattr(lightning.LightningModule, hook)

    def dies(self, *arguments):
        if self.trainer.current_epoch == epoch:
            raise _Interrupted
        return original(self, *arguments)

    monkeypatch.setattr(lightning.LightningModule, hook, dies)


@pytest.mark.parametrize(
    ("architecture", "scheduler"),
    list(zip(ARCHITECTURES, ["Default", "Exponential", "MultiStage", "Adaptive"], strict=True)),
)
def test_an_interrupted_training_resumes_to_the_same_weights_to_the_bit(
    tmp_path, monkeypatch, caplog, architecture, scheduler
):
    settings = _SETTINGS | {
        "architecture": architecture,
        "execution": _KEEP | {"scheduler": scheduler},
        "model": options_of(architecture) if scheduler == "Default" else {},
    }
    whole = small_training(tmp_path / "whole", small_scan(), **settings)
    with monkeypatch.context() as patch, pytest.raises(_Interrupted):
        _interrupt(patch, 2, "on_train_epoch_start")
        small_training(tmp_path / "cut", small_scan(), **settings)
    assert not (tmp_path / "cut" / "wts.h5.zip").exists()
    with caplog.at_level("INFO", logger="pinn_data"):
        resumed = small_training(tmp_path / "cut", small_scan(), **settings)
    assert resumed.resumed_after == 2 and whole.resumed_after is None
    assert "resuming a training that was stopped after epoch 2" in caplog.text
    assert _equal(_state(whole.archive), _state(resumed.archive))
    keys = ("step", "epoch", "train_loss", "learning_rate")
    assert [[row[k] for k in keys] for row in resumed.history] == [
        [row[k] for k in keys] for row in whole.history
    ]
    kept = [{p.name for p in (tmp_path / name / "checkpoints").iterdir()} for name in ("whole", "cut")]
    assert kept[0] == kept[1] and len(kept[0]) == 1 and "resume.ckpt" not in kept[0]


@pytest.mark.parametrize("change", [{"batch_size": 4}, {"seed": 1}, {"learning_rate": 2e-3}, {"nepochs": 5}])
def test_other_settings_start_anew_and_say_so(tmp_path, monkeypatch, caplog, change):
    with monkeypatch.context() as patch, pytest.raises(_Interrupted):
        _interrupt(patch, 2, "on_train_epoch_start")
        small_training(tmp_path, small_scan(), execution=_KEEP, **_SETTINGS)
    result = small_training(tmp_path, small_scan(), execution=_KEEP, **_SETTINGS | change)
    assert result.resumed_after is None and result.history[0]["step"] == 1
    assert "belongs to a training with other data or settings, so this one starts anew" in caplog.text


@pytest.mark.parametrize(
    "change", [{"enable_progress_bar": True}, {"num_workers": 2}, {"logger_backend": "csv"}]
)
def test_what_changes_no_result_may_change(tmp_path, monkeypatch, change):
    """The second time without --quiet, for example."""
    with monkeypatch.context() as patch, pytest.raises(_Interrupted):
        _interrupt(patch, 2, "on_train_epoch_start")
        small_training(tmp_path / "a", small_scan(), execution=_KEEP, **_SETTINGS)
    (tmp_path / "a").rename(tmp_path / "b")
    result = small_training(tmp_path / "b", small_scan(), execution=_KEEP | change, **_SETTINGS)
    assert result.resumed_after == 2


def test_other_data_start_anew(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(_Interrupted):
        _interrupt(patch, 2, "on_train_epoch_start")
        small_training(tmp_path, small_scan(), execution=_KEEP, **_SETTINGS)
    settings = _SETTINGS | {"execution": _KEEP}
    wanted = _Wanted()
    for scan, validation in ((small_scan(photons=3e4), None), (small_scan(), small_scan(rows=3))):
        with monkeypatch.context() as patch, pytest.raises(_Wanted):
            patch.setattr(lightning.Trainer, "fit", wanted.fit)
            small_training(tmp_path, scan, validation=validation, **settings)
        assert wanted.ckpt_path is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "pickle"])
def test_a_resume_file_that_is_none_is_passed_over_and_runs_nothing(tmp_path, caplog, content):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    trap = tmp_path / "trap"
    if content == "pickle":
        torch.save(_Trap(trap), folder / "resume.ckpt")
    else:
        (folder / "resume.ckpt").write_bytes(content)
    assert small_training(tmp_path, small_scan(), execution=_KEEP).resumed_after is None
    assert "cannot be read" in caplog.text and not trap.exists()


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


_SCRIPT = """
import sys
from pathlib import Path
from torch_scans import small_scan, small_training
print("started", flush=True)
result = small_training(Path(sys.argv[1]), small_scan(), gridsize=2, nepochs=40, batch_size=6,
                        architecture="unrolled", execution={"enable_checkpointing": True})
print("resumed", result.resumed_after, flush=True)
"""


def _run(folder):
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(folder)], cwd=Path(__file__).parent, stdout=subprocess.PIPE
    )


@pytest.mark.processes
def test_kill_9_loses_at_most_the_current_epoch(tmp_path):
    """Twice in a row, at moments that are as good as random; the end is that of a quiet training."""
    resume = tmp_path / "cut" / "checkpoints" / "resume.ckpt"
    moments, kept = np.random.default_rng(0), 0
    for _ in range(2):
        process = _run(tmp_path / "cut")
        try:
            deadline = time.monotonic() + 120
            while _finished(resume) <= kept and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(moments.uniform(0, 0.3))
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        before, kept = kept, _finished(resume)
        assert kept > before and not (tmp_path / "cut" / "wts.h5.zip").exists()
    # As a kill in the midst of writing leaves it.
    (resume.parent / ".resume.ckpt.0123456789ab.tmp").write_bytes(resume.read_bytes()[:99])
    assert f"resumed {kept}" in _run(tmp_path / "cut").communicate()[0].decode()
    assert "resumed None" in _run(tmp_path / "whole").communicate()[0].decode()
    assert _equal(*(_state(tmp_path / name / "wts.h5.zip") for name in ("cut", "whole")))
    assert _names(tmp_path / "cut") == _names(tmp_path / "whole")


def _finished(resume):
    """Epochs in a file that another process replaces now and then."""
    return torch.load(resume, weights_only=True)["epoch"] + 1 if resume.exists() else 0


def _names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class _Deaths:
    """A process that dies at one of the moments at which files are written, renamed or removed.

    As after a kill, nobody mends anything: half a file stays half a file.
    """

    def __init__(self, monkeypatch, moment):
        self.moment, self.count, self.epochs = moment, 0, 0
        save, replace, unlink, remove = torch.save, os.replace, Path.unlink, WholeFiles.remove_checkpoint

        def half_saved(content, file, *arguments, **options):
            whole = io.BytesIO()
            save(content, whole, *arguments, **options)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            self.pass_by()
            file.write(whole.getvalue()[len(whole.getvalue()) // 2 :])

        def replaced(source, target):
            self.pass_by()
            replace(source, target)
            self.epochs += Path(target).name == "resume.ckpt"
            self.pass_by()

        def unlinked(path, missing_ok=False):
            if path.suffix == ".tmp" and self.count >= self.moment:
                return  # what an interrupted process does yet, a dead one does not
            watched = path.name == "resume.ckpt"
            if watched:
                self.pass_by()
            unlink(path, missing_ok=missing_ok)
            if watched:
                self.pass_by()

        def removed(files, path):
            self.pass_by()
            remove(files, path)
            self.pass_by()

        monkeypatch.setattr(torch, "save", half_saved)
        monkeypatch.setattr(os, "replace", replaced)
        monkeypatch.setattr(Path, "unlink", unlinked)
        monkeypatch.setattr(WholeFiles, "remove_checkpoint", removed)

    def pass_by(self):
        self.count += 1
        if self.count == self.moment:
            raise _Interrupted


def test_a_death_at_any_moment_of_writing_loses_at_most_the_current_epoch(tmp_path, monkeypatch):
    settings = {"architecture": "unrolled", "nepochs": 2, "batch_size": 12, "execution": _KEEP}
    whole = small_training(tmp_path / "whole", small_scan(), **settings)
    moment, ended = 0, False
    while not ended:
        moment += 1
        folder = tmp_path / str(moment)
        with monkeypatch.context() as patch:
            deaths = _Deaths(patch, moment)
            try:
                small_training(folder, small_scan(), **settings)
                ended = True
            except _Interrupted:
                pass
        unfinished = (folder / "checkpoints" / "resume.ckpt").exists()
        again = small_training(folder, small_scan(), **settings)
        assert again.resumed_after == (deaths.epochs or None if unfinished else None)
        assert unfinished or deaths.epochs in (0, 2)
        assert _equal(_state(whole.archive), _state(again.archive)), f"moment {moment}"
        assert _names(folder) == _names(tmp_path / "whole"), f"moment {moment}"
    assert moment > 12  # two epochs with two files each, three moments a file; the archive, and the end


@pytest.mark.processes
def test_another_number_of_processes_goes_on_where_one_was_stopped(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(_Interrupted):
        _interrupt(patch, 2, "on_train_epoch_start")
        small_training(tmp_path, small_scan(), execution=_KEEP, **_SETTINGS)
    result = small_training(tmp_path, small_scan(), execution=_KEEP | {"devices": 2}, **_SETTINGS)
    assert result.resumed_after == 2 and result.history[-1]["epoch"] == 3


def _kept(folder):
    return sorted(int(p.name.split("epoch=")[1].split("-")[0]) for p in folder.glob("*.ckpt"))


@pytest.mark.parametrize(("top_k", "expected"), [(-1, 4), (0, 0), (1, 1), (3, 3)])
@pytest.mark.parametrize("validates", [False, True])
def test_the_best_epochs_are_kept(tmp_path, monkeypatch, top_k, expected, validates):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    validation = small_scan(rows=3) if validates else None
    result = small_training(
        tmp_path,
        small_scan(),
        nepochs=4,
        validation=validation,
        execution=_KEEP | {"checkpoint_save_top_k": top_k},
    )
    files = list((tmp_path / "checkpoints").glob("*.ckpt"))
    name = "poisson_val_loss" if validates else "poisson_train_loss"
    assert len(files) == expected and all(name in p.name for p in files)
    assert list(elsewhere.iterdir()) == []
    state = _state(result.archive)
    for path in files:
        assert torch.load(path, weights_only=True)["state_dict"].keys() == state.keys()


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_mode_says_which_epoch_is_best(tmp_path, mode):
    result = small_training(
        tmp_path,
        small_scan(),
        nepochs=4,
        validation=small_scan(rows=3),
        execution=_KEEP | {"checkpoint_mode": mode},
    )
    losses = [row["val_loss"] for row in result.history if row["val_loss"] is not None]
    best = (min if mode == "min" else max)(losses)
    assert _kept(tmp_path / "checkpoints") == [losses.index(best)]


def test_without_checkpointing_nothing_is_kept(tmp_path):
    small_training(tmp_path, small_scan(), nepochs=2)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("validates", [False, True])
def test_training_stops_when_nothing_improves(tmp_path, validates):
    """Steps too small to change a float32 leave the loss where it is."""
    result = small_training(
        tmp_path,
        small_scan(),
        nepochs=20,
        learning_rate=1e-30,
        predicted_neighbors=0,
        intensity_scale_trainable=False,
        batch_size=12,
        validation=small_scan(rows=3) if validates else None,
        execution={"early_stop_patience": 2, "checkpoint_mode": "min"},
    )
    epochs = load_model(result.archive).provenance["epochs"]
    assert 3 <= epochs < 20


@pytest.mark.parametrize(
    ("metric", "validates"), [("val_accuracy", True), ("val_nll", False), ("nothing", False)]
)
def test_a_metric_that_is_not_measured_is_refused_before_the_training(tmp_path, metric, validates):
    with pytest.raises(ConfigError, match=f"checkpoint_monitor_metric='{metric}' is not measured"):
        small_training(
            tmp_path,
            small_scan(),
            validation=small_scan(rows=3) if validates else None,
            execution={"checkpoint_monitor_metric": metric},
        )
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_is_interrupted_leaves_the_old_file_alone(tmp_path, monkeypatch):
    def interrupted(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    path = tmp_path / "resume.ckpt"
    WholeFiles().save_checkpoint({"epoch": 1}, path)
    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WholeFiles().save_checkpoint({"epoch": 2}, path)
    assert os.listdir(tmp_path) == ["resume.ckpt"] and torch.load(path) == {"epoch": 1}
