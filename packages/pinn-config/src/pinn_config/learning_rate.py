"""The learning rate over a training, by the name of its scheduler (`PyTorchExecutionConfig.scheduler`)."""

from __future__ import annotations

__all__ = ["EXPONENTIAL_TOTAL", "MILESTONES", "STAGE_FACTOR", "WARM_UP_STEPS", "learning_rate_factor"]

MILESTONES, STAGE_FACTOR = (0.5, 0.75, 0.9), 0.4
"""Of 'MultiStage': shares of the whole training, and what the rate is multiplied with at each."""

EXPONENTIAL_TOTAL = 0.03
"""Of 'Exponential': the factor at the end."""

WARM_UP_STEPS = 30


def learning_rate_factor(scheduler: str, step: int, done: float) -> float:
    """The factor on the learning rate of step number `step`, which begins when a share `done` of the training
    is done.

    'Default' keeps the rate, and so does 'Adaptive', which follows a metric from epoch to epoch in its own
    way. 'Exponential' lowers it at a constant pace, 'MultiStage' at three moments; both begin with
    `WARM_UP_STEPS` steps in which it rises, for Adam's first steps are full steps whatever the gradient.

    >>> learning_rate_factor("MultiStage", step=1000, done=0.8)
    0.16000000000000003
    """
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    if scheduler == "Exponential":
        return warm * EXPONENTIAL_TOTAL ** min(1.0, done)
    if scheduler == "MultiStage":
        return warm * STAGE_FACTOR ** sum(done >= milestone for milestone in MILESTONES)
    return 1.0
