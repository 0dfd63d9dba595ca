"""A learning rate over a whole training: warm-up, a course, and fine-tuning at a lowered rate."""

from __future__ import annotations

import math
from typing import Literal

import attrs
from pinn_config.learning_rate import EXPONENTIAL_TOTAL

__all__ = ["Schedule", "ScheduleKind"]

ScheduleKind = Literal["Default", "Exponential", "Cosine"]


@attrs.frozen
class Schedule:
    """The factor on the learning rate as a function of how much of the training is done.

    kind : 'Default' keeps it, 'Exponential' lowers it to 3 % at a constant pace, 'Cosine' to `floor` along
        half a cosine (Loshchilov and Hutter, arXiv:1608.03983)
    warm_up : share of the training in which it rises from zero in a straight line
    floor : factor at which 'Cosine' ends
    fine_tuning : share of the training, at its end, in which all is multiplied by `gamma`
    """

    kind: ScheduleKind = "Default"
    warm_up: float = 0.0
    floor: float = 0.1
    fine_tuning: float = 0.0
    gamma: float = 0.1

    def factor(self, done: float) -> float:
        """done : share of the training, 0 to 1

        >>> Schedule("Cosine", floor=0.1).factor(0.5)
        0.55
        """
        main = 1 - self.fine_tuning
        # Never 0: a first step of no length would only fill Adam's memory.
        warm = 1.0 if done >= self.warm_up else max(1e-3, done / self.warm_up)
        course = min(1.0, max(0.0, (done - self.warm_up) / max(1e-9, main - self.warm_up)))
        if self.kind == "Exponential":
            value = EXPONENTIAL_TOTAL**course
        elif self.kind == "Cosine":
            value = self.floor + (1 - self.floor) * (1 + math.cos(math.pi * course)) / 2
        else:
            value = 1.0
        return warm * value * (self.gamma if self.fine_tuning and done >= main else 1.0)
