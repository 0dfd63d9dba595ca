"""An interrupted training raises KeyboardInterrupt, whatever Lightning makes of it."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
from pinn_torch.training.interruption import interrupts_reach_the_caller
from torch_scans import small_scan, small_training


@pytest.fixture
def handler():
    """The handler of the main thread, put back afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def _as_lightning_does(error):
    try:
        raise error
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise SystemExit(1)  # noqa: B904 - as Lightning does


def test_an_exit_because_of_an_interrupt_is_the_interrupt(handler):
    with pytest.raises(KeyboardInterrupt), interrupts_reach_the_caller(SimpleNamespace()):
        _as_lightning_does(KeyboardInterrupt())
    assert signal.getsignal(signal.SIGINT) is handler


def test_another_exit_stays_one(handler):
    with pytest.raises(SystemExit), interrupts_reach_the_caller(SimpleNamespace()):
        _as_lightning_does(ValueError())
    with pytest.raises(ValueError), interrupts_reach_the_caller(SimpleNamespace()):
        raise ValueError


def test_an_interrupt_that_was_taken_for_the_end_is_one():
    with pytest.raises(KeyboardInterrupt), interrupts_reach_the_caller(SimpleNamespace(interrupted=True)):
        pass
    with interrupts_reach_the_caller(SimpleNamespace(interrupted=False)):
        pass


def test_a_training_is_interrupted(tmp_path, handler, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pinn_torch.training.progress.HistoryCallback.on_train_batch_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_training(tmp_path, small_scan())
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (tmp_path / "wts.h5.zip").exists()


def test_what_fails_because_of_an_interrupt_is_the_interrupt():
    with pytest.raises(KeyboardInterrupt), interrupts_reach_the_caller(SimpleNamespace()):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ValueError("a file that was cut short") from None


def test_an_interrupt_that_the_caller_handles_is_not_the_training_s():
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(ValueError), interrupts_reach_the_caller(SimpleNamespace()):
            raise ValueError("wrong") from None
