"""Each schedule changes the learning rate as documented, in a real training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig
from pinn_torch.module import PtychoPINN_Lightning
from torch_scans import quiet, small_scan, small_training

_STAGES = (0.5, 0.75, 0.9)


def _curve(scheduler, steps=200):
    """Learning rate before each of 200 steps, relative to the configured one."""
    module = PtychoPINN_Lightning(
        ModelConfig(architecture="unrolled", n_filters_scale=1),
        torch.ones((1, 64, 64), dtype=torch.complex64),
        1.0,
        execution=quiet(learning_rate=0.5, scheduler=scheduler),
    )
    module.progress = lambda step: step / steps
    configured = module.configure_optimizers()
    schedule = configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(steps):
        rates.append(configured["optimizer"].param_groups[0]["lr"] / 0.5)
        configured["optimizer"].step()
        schedule.step()
    return np.array(rates)


_WARM = np.minimum(1, (np.arange(200) + 1) / 30)
_DONE = np.arange(200) / 200


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ("Default", np.ones(200)),
        ("Exponential", _WARM * 0.03**_DONE),
        ("MultiStage", _WARM * 0.4 ** sum(m <= _DONE for m in _STAGES)),
    ],
)
def test_the_curve_of_the_learning_rate(scheduler, expected):
    np.testing.assert_allclose(_curve(scheduler), expected, rtol=1e-9)


def _rates(folder, scheduler):
    result = small_training(
        folder, small_scan(), batch_size=3, learning_rate=1e-3, execution={"scheduler": scheduler}
    )
    return [row["learning_rate"] for row in result.history]


def test_schedules_step_in_a_training(tmp_path):
    """Four steps, all within the warm-up of thirty: the rates that follow each of them."""
    warm = 1e-3 * np.arange(2, 6) / 30
    np.testing.assert_allclose(_rates(tmp_path / "d", "Default"), 1e-3)
    exponential = 0.03 ** (np.arange(1, 5) / 4)
    np.testing.assert_allclose(_rates(tmp_path / "e", "Exponential"), warm * exponential)
    stages = [1, 0.4, 0.4**2, 0.4**3]
    np.testing.assert_allclose(_rates(tmp_path / "m", "MultiStage"), warm * stages)


def test_adaptive_halves_the_rate_after_three_epochs_without_progress(tmp_path):
    """With a rate too small to learn anything and one batch, the loss of every epoch is the same."""
    result = small_training(
        tmp_path,
        small_scan(),
        batch_size=12,
        predicted_neighbors=0,
        nepochs=8,
        learning_rate=3e-8,
        execution={"scheduler": "Adaptive"},
    )
    rates = [row["learning_rate"] for row in result.history]
    assert rates == pytest.approx([3e-8] * 4 + [1.5e-8] * 4, abs=0)
