"""A training tells how far it is, and stops where whoever is told wants it to."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from pinn_data.progress.reports import Cancel, CancelledError, Progress
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import load_model
from tf_trainings import same, small_training, state_of

_SETTINGS = {"nepochs": 3, "batch_size": 3, "n_groups": 6}  # 2 steps an epoch
_KEEP = {"enable_checkpointing": True}


class _Stops:
    """Remembers what it is told, and stops after so many records."""

    def __init__(self, after: int | None = None) -> None:
        self.told: list[Progress] = []
        self.after = after

    def __call__(self, progress: Progress) -> object:
        self.told.append(progress)
        return Cancel if self.after is not None and len(self.told) > self.after else None


@pytest.mark.parametrize(
    ("execution", "validates"), [({}, True), ({"accum_steps": 2}, False)], ids=["plain", "accumulated"]
)
def test_what_is_told_is_the_history(eager, tmp_path, execution, validates):
    watcher = _Stops()
    validation = small_scan(rows=2) if validates else None
    result = small_training(
        tmp_path, small_scan(), validation=validation, progress=watcher, execution=execution, **_SETTINGS
    )
    told = watcher.told
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    assert [progress.finished for progress in told] == [False] * (len(told) - 1) + [True]
    assert {(progress.stage, progress.epochs) for progress in told} == {("training", 3)}
    # Each step has a row of its own here, and the first record that knows it shows its loss.
    losses = [row["train_loss"] for row in result.history]
    assert list(dict.fromkeys(p.loss for p in told if p.loss is not None)) == list(dict.fromkeys(losses))
    assert [p.epoch for p in told] == sorted(p.epoch for p in told) and told[-1].epoch == 2
    assert told[-1].step == result.history[-1]["step"]
    assert told[-1].misfit == result.history[-1]["train_deviance"]
    validations = [row["val_loss"] for row in result.history if row["val_loss"] is not None]
    assert list(dict.fromkeys(p.val_loss for p in told if p.val_loss is not None)) == validations
    assert len(validations) == (3 if validates else 0) and not result.cancelled


def test_a_watcher_changes_nothing(eager, tmp_path):
    alone = small_training(tmp_path / "alone", small_scan(), **_SETTINGS)
    watched = small_training(tmp_path / "watched", small_scan(), progress=_Stops(), **_SETTINGS)
    assert _same(alone, watched)


def test_a_training_that_is_cancelled_keeps_what_was_learned(eager, tmp_path):
    # The first record comes before the first step; two steps and the end of an epoch follow, then one step.
    watcher = _Stops(after=4)
    validation = small_scan(rows=2)
    cut = small_training(
        tmp_path, small_scan(), validation=validation, progress=watcher, execution=_KEEP, **_SETTINGS
    )
    assert cut.cancelled and len(watcher.told) == 5 and not watcher.told[-1].finished
    assert [row["step"] for row in cut.history] == [1, 2, 3]
    assert [row["val_loss"] is not None for row in cut.history] == [False, True, False]
    assert cut.archive.is_file() and load_model(cut.archive).provenance["steps"] == 3
    # The same call goes on after the epoch that was finished, as if nothing had happened.
    rest = small_training(tmp_path, small_scan(), validation=validation, execution=_KEEP, **_SETTINGS)
    assert rest.resumed_after == 1 and not rest.cancelled
    whole = small_training(
        tmp_path / "whole", small_scan(), validation=validation, execution=_KEEP, **_SETTINGS
    )
    assert _same(rest, whole)
    assert not list((tmp_path / "checkpoints").glob("resume*"))


def test_cancelled_before_its_first_step_a_training_says_so_and_leaves_nothing(eager, tmp_path):
    with pytest.raises(CancelledError, match="before its first step, so nothing was learned"):
        small_training(tmp_path / "run", small_scan(), progress=_Stops(after=0), **_SETTINGS)
    assert not (tmp_path / "run" / "wts.h5.zip").exists()
    assert small_training(tmp_path / "run", small_scan(), **_SETTINGS).archive.is_file()


def test_an_error_of_a_watcher_reaches_the_caller(eager, tmp_path):
    def broken(progress):
        if progress.step == 1:
            raise ZeroDivisionError("of the watcher")

    with pytest.raises(ZeroDivisionError, match="of the watcher"):
        small_training(tmp_path, small_scan(), progress=broken, **_SETTINGS)
    assert not (tmp_path / "wts.h5.zip").exists()


def test_a_training_in_a_thread_is_stopped_from_another(eager, tmp_path):
    begun, stop, results = threading.Event(), threading.Event(), []

    def watcher(progress):
        if progress.step:
            begun.set()
            assert stop.wait(60)
        return Cancel if stop.is_set() else None

    def work():
        results.append(small_training(tmp_path, small_scan(), progress=watcher, **_SETTINGS))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    stop.set()
    thread.join(60)
    assert results[0].cancelled and len(results[0].history) == 1
    assert np.isfinite(results[0].history[0]["train_loss"])


def test_a_bar_shows_what_is_told(eager, tmp_path, capfd):
    small_training(tmp_path, small_scan(), execution={"enable_progress_bar": True}, **_SETTINGS)
    shown = capfd.readouterr().err
    assert "100%" in shown and "epoch 3/3  misfit" in shown


def _same(first, second) -> bool:
    return same(state_of(first.archive), state_of(second.archive))
