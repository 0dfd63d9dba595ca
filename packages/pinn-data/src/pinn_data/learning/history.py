"""The history of a training's loss, and how far the training is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

__all__ = ["MEANS", "History"]

_ROWS = 400
MEANS = ("loss", "deviance", "predicted_deviance")
"""The terms of a batch whose means are kept."""


class History:
    """Rows of ``step, epoch, seconds, train_loss, train_deviance, learning_rate, val_loss`` through the
    training.

    steps : of the whole training, as far as is known
    max_seconds : the training ends after this time; None: no limit

    A training row is the mean over the batches since the row before. `val_loss` is in the rows that end an
    epoch with a validation, else None.
    """

    def __init__(self, max_seconds: float | None, steps: int = 1) -> None:
        self.rows: list[dict[str, Any]] = []
        self.max_seconds = max_seconds
        self._before = 0.0  # seconds of the run that this one resumes
        self._sums: dict[str, float] = {}
        self._count = 0
        self._last: dict[str, Any] = {"step": 0, "epoch": 0, "learning_rate": None}
        self._row_seconds = 0.0
        self.begin(steps)

    def begin(self, steps: int) -> None:
        """Start the clock of a training of so many steps."""
        self._steps = max(1, steps)
        self.started = time.perf_counter() - self._before

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.max_seconds is not None and self.seconds >= self.max_seconds

    @property
    def last_step(self) -> int:
        """The newest step of the optimiser."""
        return int(self._last["step"])

    def done(self, step: int) -> float:
        """How far the training is: the larger of its shares of steps and of seconds."""
        share = step / self._steps
        return max(share, self.seconds / self.max_seconds) if self.max_seconds else share

    def batch(self, terms: Mapping[str, float]) -> None:
        """Take in the means of a batch."""
        for name in MEANS:
            if name in terms:
                self._sums[name] = self._sums.get(name, 0.0) + float(terms[name])
        self._count += 1

    def step(self, step: int, epoch: int, learning_rate: float | None) -> None:
        """Note a step of the optimiser, and close a row if one is due."""
        self._last = {"step": step, "epoch": epoch, "learning_rate": learning_rate}
        if self._is_due(step):
            self.close()

    def _is_due(self, step: int) -> bool:
        """A row for every 400th part of the training, in steps or in seconds, whichever is done first."""
        if step % max(1, self._steps // _ROWS) == 0:
            return True
        return self.max_seconds is not None and self.seconds - self._row_seconds >= self.max_seconds / _ROWS

    def close(self) -> None:
        """Close the row of the batches that are in none yet."""
        if self._count:
            row = {name: self._last[name] for name in ("step", "epoch")} | {"seconds": round(self.seconds, 3)}
            row |= {f"train_{name}": total / self._count for name, total in self._sums.items()}
            self.rows.append(row | {"learning_rate": self._last["learning_rate"], "val_loss": None})
        self._sums, self._count = {}, 0
        self._row_seconds = self.seconds

    def validated(self, loss: float) -> None:
        """Take in the loss of the validation that ends an epoch."""
        self.close()
        if self.rows:
            self.rows[-1]["val_loss"] = loss

    def newest(self, key: str) -> float | None:
        """The value of the newest row that has one."""
        return next((row[key] for row in reversed(self.rows) if row.get(key) is not None), None)

    def facts(self, step: int, epoch: int, epochs: int) -> dict[str, Any]:
        """What is told with the progress of a training (`pinn_data.progress.reports.Progress`)."""
        return {
            "epoch": min(epoch, epochs - 1),
            "epochs": epochs,
            "step": step,
            "loss": self.newest("train_loss"),
            "val_loss": self.newest("val_loss"),
            "misfit": self.newest("train_deviance"),
        }

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on."""
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "open": [self._sums, self._count, self._last, self._row_seconds],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave in an earlier run."""
        self.rows, self._before = list(state["rows"]), float(state["seconds"])
        self.started = time.perf_counter() - self._before
        self._sums, self._count, self._last, self._row_seconds = state["open"]
