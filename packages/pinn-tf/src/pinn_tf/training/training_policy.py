"""What the metrics at the end of an epoch do to a training: they lower its learning rate, or end it.

Whoever trains with execution settings gets what these say (`Course.of`). Whoever gives none, as ptychodus and
older programs do, gets what this backend was always trained with (`Course.historical`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.objective import Objective

from pinn_tf.training.plateau import Patience, Plateau

__all__ = ["HISTORICAL_EXECUTION", "Course"]

HISTORICAL_EXECUTION = PyTorchExecutionConfig(
    accelerator="auto", logger_backend="none", checkpoint_save_top_k=0
)
"""The execution where none is given: on a GPU where there is one, Adam with a learning rate of 1e-3, and of
all epochs only the last finished one is kept, to resume from."""

_STOP_AFTER = 3


@attrs.define
class Course:
    """What a training follows from epoch to epoch.

    stopping, stopping_metric, stopping_epochs : it ends after so many epochs without a better metric
    keeps_best : it ends with the weights of the best epoch by `stopping`, not of the last
    plateau, plateau_metric : what lowers the learning rate, or None
    """

    stopping: Patience
    stopping_metric: str
    stopping_epochs: int
    keeps_best: bool = False
    plateau: Plateau | None = None
    plateau_metric: str = ""

    @classmethod
    def of(cls, execution: PyTorchExecutionConfig, objective: Objective, validates: bool) -> Course:
        """The course of execution settings; raises ConfigError for a metric that is not measured."""
        metric = objective.monitored(execution.checkpoint_monitor_metric, validates)
        mode = execution.checkpoint_mode
        plateau = Plateau.adaptive(mode) if execution.scheduler == "Adaptive" else None
        return cls(Patience(mode), metric, execution.early_stop_patience, False, plateau, metric)

    @classmethod
    def historical(cls, objective: Objective, validates: bool) -> Course:
        """The callbacks of the public implementation: the learning rate is halved, down to 1e-4, after two
        epochs in which the loss of the validation (without one, of the training) has not fallen by 1e-4; the
        training ends after three in which its own loss has not fallen, with the best weights."""
        return cls(
            stopping=Patience(),
            stopping_metric=objective.monitored("train_loss", validates),
            stopping_epochs=_STOP_AFTER,
            keeps_best=True,
            plateau=Plateau(Patience(threshold=1e-4), epochs=2, smallest=1e-4),
            plateau_metric=objective.monitored("val_loss", validates),
        )

    def rate(self, rate: float, metrics: Mapping[str, float]) -> float:
        """The learning rate after an epoch with these metrics."""
        return rate if self.plateau is None else self.plateau.rate(rate, metrics[self.plateau_metric])

    def is_best(self, metrics: Mapping[str, float]) -> bool:
        """Whether the epoch with these metrics is the best so far."""
        return self.stopping.better(metrics[self.stopping_metric])

    @property
    def is_over(self) -> bool:
        """Whether nothing has become better for too long."""
        return self.stopping.waited >= self.stopping_epochs

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on."""
        patience = {"stopping": self.stopping.state()}
        return patience | ({} if self.plateau is None else {"plateau": self.plateau.patience.state()})

    def restore(self, state: Mapping[str, Any]) -> None:
        self.stopping.restore(state["stopping"])
        if self.plateau is not None:
            self.plateau.patience.restore(state["plateau"])
