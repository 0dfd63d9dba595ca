"""The history tells how far a training is."""

from __future__ import annotations

import json

import pytest
from pinn_data.learning import history as module
from pinn_data.learning.history import History


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_the_share_that_is_done_is_the_larger_of_steps_and_seconds(clock):
    steps, timed = History(None, 40), History(10.0, 40)
    clock[0] = 105.0
    assert (steps.done(10), timed.done(10), timed.done(30)) == (0.25, 0.5, 0.75)
    assert not steps.is_over and not timed.is_over
    clock[0] = 110.0
    assert timed.is_over and not steps.is_over


def test_rows_are_due_by_steps_or_by_seconds_whichever_is_first(clock):
    """However large the number of epochs beside a limit of time, there is a curve to look at."""
    history = History(40.0, 1_000_000)
    for step in range(1, 5):
        clock[0] += 0.06
        history.batch({"loss": float(step)})
        history.step(step, 0, 1e-3)
    assert [(row["step"], row["train_loss"]) for row in history.rows] == [(2, 1.5), (4, 3.5)]


def test_a_row_is_the_mean_since_the_row_before_and_the_validation_ends_it(clock):
    history = History(None, 800)  # a row every second step
    for step, loss in enumerate((4.0, 2.0, 8.0), 1):
        history.batch({"loss": loss, "deviance": loss / 2, "colour": 1.0})
        history.step(step, step // 3, 0.1 / step)
    history.validated(7.0)
    history.close()
    common = {"seconds": 0.0}
    assert history.rows == [
        {
            "step": 2,
            "epoch": 0,
            "train_loss": 3.0,
            "train_deviance": 1.5,
            "learning_rate": 0.05,
            "val_loss": None,
        }
        | common,
        {
            "step": 3,
            "epoch": 1,
            "train_loss": 8.0,
            "train_deviance": 4.0,
            "learning_rate": 0.1 / 3,
            "val_loss": 7.0,
        }
        | common,
    ]


def test_what_is_put_down_goes_on_where_it_was(clock):
    history = History(None, 800)
    clock[0] += 5
    history.batch({"loss": 4.0})
    history.step(1, 0, 0.1)
    again = History(None, 800)
    again.restore(json.loads(json.dumps(history.state())))
    clock[0] += 1
    assert again.seconds == history.seconds == 6
    for h in (history, again):
        h.batch({"loss": 2.0})
        h.step(2, 0, 0.1)
    assert history.rows == again.rows and len(again.rows) == 1
