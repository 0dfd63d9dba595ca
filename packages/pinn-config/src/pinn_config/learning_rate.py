"""The learning rate over a training, by the name of its scheduler (`PyTorchExecutionConfig.scheduler`), and
its warm-up."""

from __future__ import annotations

__all__ = ["EXPONENTIAL_TOTAL", "MILESTONES", "STAGE_FACTOR", "learning_rate_factor"]

MILESTONES, STAGE_FACTOR = (0.5, 0.75, 0.9), 0.4
"""Of 'MultiStage': shares of the whole training, and what the rate is multiplied with at each."""

EXPONENTIAL_TOTAL = 0.03
"""Of 'Exponential': the factor at the end."""


def learning_rate_factor(scheduler: str, step: int, done: float, warmup_steps: int = 0) -> float:
    """The factor on the learning rate of step number `step`, which begins when a share `done` of the training
    is done.

    'Default' keeps the rate, and so does 'Adaptive', which follows a metric from epoch to epoch in its own
    way. 'Exponential' lowers it at a constant pace, 'MultiStage' at three moments.

    Law: without a warm-up the first step is taken at the full rate, ``learning_rate_factor(s, 0, 0.0) == 1``.
    With one the rate of step number k is ``(k + 1) / warmup_steps`` of it, as long as that is below 1: Adam's
    first steps are full steps whatever the gradient, which is much for a high rate.

    >>> learning_rate_factor("MultiStage", step=1000, done=0.8)
    0.16000000000000003
    """
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    if scheduler == "Exponential":
        return warm * EXPONENTIAL_TOTAL ** min(1.0, done)
    if scheduler == "MultiStage":
        return warm * STAGE_FACTOR ** sum(done >= milestone for milestone in MILESTONES)
    return warm
