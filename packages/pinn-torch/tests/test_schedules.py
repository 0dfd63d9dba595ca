"""Each schedule changes the learning rate as documented, in a real training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig
from pinn_torch.model.module import PtychoPINN_Lightning
from torch_scans import quiet, small_scan, small_training

_STAGES = (0.5, 0.75, 0.9)


def _curve(scheduler, warmup, steps=200):
    """Learning rate before each of 200 steps, relative to the configured one."""
    module = PtychoPINN_Lightning(
        ModelConfig(architecture="unrolled", n_filters_scale=1),
        torch.ones((1, 64, 64), dtype=torch.complex64),
        1.0,
        execution=quiet(learning_rate=0.5, scheduler=scheduler, warmup_steps=warmup),
    )
    module.progress = lambda step: step / steps
    (optimizer,), (course,) = module.configure_optimizers()
    assert course["interval"] == "step"
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"] / 0.5)
        optimizer.step()
        course["scheduler"].step()
    return np.array(rates)


_DONE = np.arange(200) / 200


@pytest.mark.parametrize("warmup", [0, 1, 30])
@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ("Default", np.ones(200)),
        ("Exponential", 0.03**_DONE),
        ("MultiStage", 0.4 ** sum(m <= _DONE for m in _STAGES)),
    ],
)
def test_the_curve_of_the_learning_rate(scheduler, expected, warmup):
    rising = np.minimum(1, (np.arange(200) + 1) / max(1, warmup))
    np.testing.assert_allclose(_curve(scheduler, warmup), rising * expected, rtol=1e-9)


def _rates(folder, scheduler, **execution):
    result = small_training(
        folder,
        small_scan(),
        batch_size=3,
        learning_rate=1e-3,
        execution={"scheduler": scheduler, **execution},
    )
    return [row["learning_rate"] for row in result.history]


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("scheduler", ["Default", "Exponential", "MultiStage", "Adaptive"])
def test_schedules_step_in_a_training(tmp_path, scheduler, warmup):
    """Four steps; without a warm-up the first one is taken at `learning_rate`."""
    rates = _rates(tmp_path, scheduler, warmup_steps=warmup)
    course = {"Exponential": 0.03 ** (np.arange(4) / 4), "MultiStage": [1, 1, 0.4, 0.16]}
    rising = [1 / 3, 2 / 3, 1, 1] if warmup else [1, 1, 1, 1]
    expected = 1e-3 * np.array(rising) * course.get(scheduler, np.ones(4))
    np.testing.assert_allclose(rates, expected, rtol=1e-9)
    assert warmup or rates[0] == 1e-3


@pytest.mark.parametrize("warmup", [0, 6])
def test_adaptive_halves_the_rate_after_three_epochs_without_progress(tmp_path, warmup):
    """With a rate too small to learn anything and one batch, the loss of every epoch is the same."""
    result = small_training(
        tmp_path,
        small_scan(),
        batch_size=12,
        predicted_neighbors=0,
        nepochs=8,
        learning_rate=3e-8,
        execution={"scheduler": "Adaptive", "warmup_steps": warmup},
    )
    rates = [row["learning_rate"] for row in result.history]
    rising = np.minimum(1, (np.arange(8) + 1) / max(1, warmup))
    assert rates == pytest.approx(np.array([3e-8] * 4 + [1.5e-8] * 4) * rising, rel=1e-9, abs=0)
