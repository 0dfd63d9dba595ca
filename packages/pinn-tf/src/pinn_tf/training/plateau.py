"""What a training does where the metric that it follows stands still: a lower learning rate, or its end.

Both keep what they know in numbers that JSON holds, so that a training that was stopped goes on with them.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import attrs

__all__ = ["Patience", "Plateau"]

Mode = Literal["min", "max"]


@attrs.define
class Patience:
    """Counts the epochs in which a metric has not become better.

    threshold : a better value is better by more than this
    """

    mode: Mode = "min"
    threshold: float = 0.0
    best: float | None = None
    waited: int = 0

    def better(self, value: float) -> bool:
        """Whether `value` is the best so far; if not, one more epoch has been waited for."""
        is_better = math.isfinite(value) and (self.best is None or self._is_better(value, self.best))
        if is_better:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return is_better

    def _is_better(self, value: float, best: float) -> bool:
        return (best - value if self.mode == "min" else value - best) > self.threshold

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


@attrs.define
class Plateau:
    """Multiplies the learning rate with `factor` after `epochs` epochs without a better value.

    smallest : the rate does not fall below it
    """

    patience: Patience
    epochs: int
    factor: float = 0.5
    smallest: float = 0.0

    @classmethod
    def adaptive(cls, mode: Mode) -> Plateau:
        """The scheduler 'Adaptive': halves the rate where three epochs have not made the metric better by
        1e-4. (Not by a share of it: a likelihood may be negative.)"""
        return cls(Patience(mode, threshold=1e-4), epochs=3)

    def rate(self, rate: float, value: float) -> float:
        """The learning rate of the epochs that follow one which ended with `value`."""
        if not self.patience.better(value) and self.patience.waited >= self.epochs:
            self.patience.waited = 0
            return max(rate * self.factor, min(rate, self.smallest))
        return rate
