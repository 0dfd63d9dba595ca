"""What a training remembers while it runs: the history of the loss."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

__all__ = ["History"]

_ROWS = 400


class History:
    """Rows of ``step, epoch, seconds, train_loss, train_deviance, learning_rate, val_loss`` through the
    training.

    steps : of the whole training, as far as is known
    max_seconds : after which it ends, or None

    A training row is the mean over the batches since the row before; `val_loss` is in the rows that end an
    epoch with a validation, else None. Also tells how far the training is: the larger of its shares of steps
    and of seconds.
    """

    def __init__(self, steps: int, max_seconds: float | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.max_seconds = max_seconds
        self.started = time.perf_counter()
        self._steps = max(1, steps)
        self._sums: dict[str, float] = {}
        self._count = 0
        self._last: dict[str, Any] = {"step": 0, "epoch": 0, "learning_rate": None}
        self._row_seconds = 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.max_seconds is not None and self.seconds >= self.max_seconds

    def done(self, step: int) -> float:
        share = step / self._steps
        return max(share, self.seconds / self.max_seconds) if self.max_seconds else share

    def batch(self, terms: Mapping[str, float]) -> None:
        """Take in the means of a batch."""
        for name in ("loss", "deviance", "predicted_deviance"):
            if name in terms:
                self._sums[name] = self._sums.get(name, 0.0) + terms[name]
        self._count += 1

    def step(self, step: int, epoch: int, learning_rate: float) -> None:
        """A step of the optimiser is done; its row, if one is due."""
        self._last = {"step": step, "epoch": epoch, "learning_rate": learning_rate}
        if self._is_due(step):
            self.close()

    def _is_due(self, step: int) -> bool:
        """A row for every 400th part of the training, in steps or in seconds, whichever is done first."""
        if step % max(1, self._steps // _ROWS) == 0:
            return True
        return self.max_seconds is not None and self.seconds - self._row_seconds >= self.max_seconds / _ROWS

    def close(self) -> None:
        """A row of what is not in one yet."""
        if self._count:
            row = {
                "step": self._last["step"],
                "epoch": self._last["epoch"],
                "seconds": round(self.seconds, 3),
            }
            row |= {f"train_{name}": total / self._count for name, total in self._sums.items()}
            row |= {"learning_rate": self._last["learning_rate"], "val_loss": None}
            self.rows.append(row)
        self._sums, self._count = {}, 0
        self._row_seconds = self.seconds

    def validated(self, loss: float) -> None:
        """The loss of the validation that ends an epoch."""
        self.close()
        if self.rows:
            self.rows[-1]["val_loss"] = loss

    def newest(self, key: str) -> float | None:
        """The value of the newest row that has one."""
        return next((row[key] for row in reversed(self.rows) if row.get(key) is not None), None)

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on."""
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "open": [self._sums, self._count, self._last, self._row_seconds],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.rows = list(state["rows"])
        self.started = time.perf_counter() - state["seconds"]
        self._sums, self._count, self._last, self._row_seconds = state["open"]
