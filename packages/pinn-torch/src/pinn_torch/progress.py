"""What a training shows and remembers while it runs: a bar with loss and time left, and the history of the
loss."""

from __future__ import annotations

import time
from typing import Any

import lightning
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pinn_torch.team import ALONE, Team

__all__ = ["History", "ProgressBar", "progress_bar"]

_ROWS = 400


def progress_bar(enabled: bool) -> Progress:
    """A rich bar on standard error that shows nothing when it is not enabled."""
    from rich.console import Console

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not enabled,
    )


class History(lightning.Callback):
    """Rows of ``step, epoch, seconds, train_loss, train_deviance, learning_rate, val_loss`` through the
    training.

    A training row is the mean over the steps since the row before; `val_loss` is in the rows that end an
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

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for key in ("loss", "deviance", "predicted_deviance"):
            value = trainer.callback_metrics.get(f"train_{key}")
            if value is not None:
                self._sums[key] = self._sums.get(key, 0.0) + float(value)
        self._count += 1
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
                "epoch": trainer.current_epoch,
                "seconds": round(self.seconds, 3),
            }
            row |= {f"train_{k}": v / self._count for k, v in self._sums.items()}
            row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            row["val_loss"] = None
            self.rows.append(row)
        self._sums, self._count = {}, 0
        self._row_step, self._row_seconds = trainer.global_step, self.seconds

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        if not trainer.sanity_checking and "val_loss" in trainer.callback_metrics:
            self._close(trainer)
            if self.rows:
                self.rows[-1]["val_loss"] = float(trainer.callback_metrics["val_loss"])

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self._close(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "open": (dict(self._sums), self._count, self._row_step, self._row_seconds),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        self._before = state_dict["seconds"]
        self._sums, self._count, self._row_step, self._row_seconds = state_dict["open"]


class ProgressBar(lightning.Callback):
    """One bar over the whole training: the loss, the epoch and the time left."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._bar = progress_bar(True)
        self._task: Any = None

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self._bar.start()
        self._task = self._bar.add_task("training", total=1.0, note="")

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        rows = self.history.rows
        note = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        if rows and "train_deviance" in rows[-1]:
            note += f"  misfit {rows[-1]['train_deviance']:.4f}"
        self._bar.update(self._task, completed=min(1.0, self.history.done(trainer.global_step)), note=note)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self._bar.update(self._task, completed=1.0)
        self._bar.stop()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        self._bar.stop()
