"""What a training tells whoever watches while it runs, and remembers: the history of the loss."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from pinn_data.progress.reports import Report

from pinn_torch.distributed.ranks import ALONE, Team

__all__ = ["History", "Telling"]

_ROWS = 400


class History(lightning.Callback):
    """Rows of ``step, epoch, seconds, train_loss, train_deviance, learning_rate, val_loss`` through the
    training.

    A training row is the mean over the steps since the row before, and has the learning rate of the last of
    them; `val_loss` is in the rows that end an
    epoch with a validation, else None. Also tells how far the training is: the larger of its shares of steps
    and of seconds.
    """

    def __init__(self, max_seconds: float | None, team: Team = ALONE) -> None:
        self.rows: list[dict[str, Any]] = []
        self.max_seconds, self.team = max_seconds, team
        self.started = time.perf_counter()
        self._sums: dict[str, float] = {}
        self._count = 0
        self._row_step, self._row_seconds = 0, 0.0
        self._steps = 1
        self._epoch = 0
        self._rate: float | None = None  # of the last step
        self._before = 0.0  # seconds of the run that this one resumes

    def done(self, step: int) -> float:
        share = step / self._steps
        return max(share, self.seconds / self.max_seconds) if self.max_seconds else share

    def agreed(self, step: int) -> float:
        """`done` by the clock of the first process: a schedule must be the same in all."""
        share = self.done(step)
        return self.team.first(share) if self.max_seconds else share

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.started = time.perf_counter() - self._before
        self._steps = max(1, int(trainer.estimated_stepping_batches))

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        self._rate = optimizer.param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for key in ("loss", "deviance", "predicted_deviance"):
            value = trainer.callback_metrics.get(f"train_{key}")
            if value is not None:
                self._sums[key] = self._sums.get(key, 0.0) + float(value)
        self._count += 1
        self._epoch = trainer.current_epoch  # which has risen by the time the last row is closed
        # With accumulated gradients several batches make one step.
        if trainer.global_step > self._row_step and self._is_due(trainer.global_step):
            self._close(trainer)

    def _is_due(self, step: int) -> bool:
        """A row for every 400th part of the training, in steps or in seconds, whichever is done first."""
        if step % max(1, self._steps // _ROWS) == 0:
            return True
        return self.max_seconds is not None and self.seconds - self._row_seconds >= self.max_seconds / _ROWS

    def _close(self, trainer: Any) -> None:
        if self._count:
            row = {
                "step": trainer.global_step,
                "epoch": self._epoch,
                "seconds": round(self.seconds, 3),
            }
            row |= {f"train_{k}": v / self._count for k, v in self._sums.items()}
            row["learning_rate"] = self._rate
            row["val_loss"] = None
            self.rows.append(row)
        self._sums, self._count = {}, 0
        self._row_step, self._row_seconds = trainer.global_step, self.seconds

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        if not trainer.sanity_checking and "val_loss" in trainer.callback_metrics:
            self._close(trainer)
            if self.rows:
                self.rows[-1]["val_loss"] = float(trainer.callback_metrics["val_loss"])

    def newest(self, key: str) -> float | None:
        """The value of the newest row that has one."""
        return next((row[key] for row in reversed(self.rows) if row.get(key) is not None), None)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self._close(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "epoch": self._epoch,
            "open": (dict(self._sums), self._count, self._row_step, self._row_seconds, self._rate),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        self._before, self._epoch = state_dict["seconds"], state_dict["epoch"]
        self._sums, self._count, self._row_step, self._row_seconds, self._rate = state_dict["open"]


class Telling(lightning.Callback):
    """Tells a report of the training after every batch and every epoch, and stops it if that says so.

    report : None in processes that talk to nobody
    may_stop : whether somebody other than a bar is told; then all processes of the team agree after each
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
        """Tell that the training is over and kept."""
        if self.report is not None and not self.stopped:
            self.report.finish(**self._known(trainer))

    def _tell(self, trainer: Any) -> None:
        goes_on = self.report is None or self.report(
            self.history.done(trainer.global_step), **self._known(trainer)
        )
        if self.may_stop and not self.team.first(goes_on):
            self.stopped = trainer.should_stop = True
            trainer.limit_val_batches = 0
            judges = EarlyStopping | Checkpoint
            trainer.callbacks = [c for c in trainer.callbacks if not isinstance(c, judges)]

    def _known(self, trainer: Any) -> dict[str, Any]:
        # A training that was resumed may have nothing left to do; Lightning does not start it then.
        epoch = trainer.current_epoch if self._epoch is None else self._epoch
        return {
            "epoch": min(epoch, trainer.max_epochs - 1),
            "epochs": trainer.max_epochs,
            "step": trainer.global_step,
            "loss": self.history.newest("train_loss"),
            "val_loss": self.history.newest("val_loss"),
            "misfit": self.history.newest("train_deviance"),
        }
