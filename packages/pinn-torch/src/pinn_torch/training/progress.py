"""Lightning's callbacks that record a training's history and report its progress."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from pinn_data.learning.history import MEANS, History
from pinn_data.progress.reports import Report

from pinn_torch.distributed.ranks import Team

__all__ = ["HistoryCallback", "ProgressCallback"]


class HistoryCallback(lightning.Callback):
    """Records the `history` of a training, and keeps it in the checkpoints."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._rate: float | None = None  # of the last step

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.history.begin(int(trainer.estimated_stepping_batches))

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        self._rate = optimizer.param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        metrics = trainer.callback_metrics
        self.history.batch({name: metrics[f"train_{name}"] for name in MEANS if f"train_{name}" in metrics})
        # With accumulated gradients several batches make one step.
        if trainer.global_step > self.history.last_step:
            self.history.step(trainer.global_step, trainer.current_epoch, self._rate)

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        if not trainer.sanity_checking and "val_loss" in trainer.callback_metrics:
            self.history.validated(float(trainer.callback_metrics["val_loss"]))

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self.history.close()

    def state_dict(self) -> dict[str, Any]:
        return self.history.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history.restore(state_dict)


class ProgressCallback(lightning.Callback):
    """Reports after every batch and every epoch, and stops the training if a watcher says so.

    report : None in processes that report to nobody
    may_stop : whether somebody other than a bar watches; then all processes of the team agree after each
        batch

    A training that is stopped ends at once: the open epoch is not validated, judged or kept, so that what is
    resumed later begins with its first batch.
    """

    def __init__(self, history: History, report: Report | None, team: Team, *, may_stop: bool) -> None:
        self.history, self.report, self.team, self.may_stop = history, report, team, may_stop
        self.stopped = False
        self._epoch: int | None = None

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self._epoch = trainer.current_epoch
        self._tell(trainer)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._epoch = trainer.current_epoch
        self._tell(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        if not self.stopped:
            self._tell(trainer)

    def finish(self, trainer: Any) -> None:
        """Report that the training is over and kept."""
        if self.report is not None and not self.stopped:
            self.report.finish(**self._facts(trainer))

    def _tell(self, trainer: Any) -> None:
        goes_on = self.report is None or self.report(
            self.history.done(trainer.global_step), **self._facts(trainer)
        )
        if self.may_stop and not self.team.first(goes_on):
            self.stopped = trainer.should_stop = True
            trainer.limit_val_batches = 0
            judges = EarlyStopping | Checkpoint
            trainer.callbacks = [c for c in trainer.callbacks if not isinstance(c, judges)]

    def _facts(self, trainer: Any) -> dict[str, Any]:
        # A training that was resumed may have nothing left to do; Lightning does not start it then.
        epoch = trainer.current_epoch if self._epoch is None else self._epoch
        return self.history.facts(trainer.global_step, epoch, trainer.max_epochs)
