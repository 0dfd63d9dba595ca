"""When a metric stands still the learning rate falls, or the training ends; both go on where they were."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.objective import Objective
from pinn_tf.training.plateau import Patience, Plateau
from pinn_tf.training.training_policy import HISTORICAL_EXECUTION, Course

_VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)
_MODES = st.sampled_from(["min", "max"])


@given(_VALUES, _MODES)
def test_the_best_is_the_best_and_what_was_waited_is_counted_from_it(values, mode):
    patience = Patience(mode)
    improved = [patience.better(value) for value in values]
    best = (min if mode == "min" else max)(values)
    assert patience.best == best and improved[0]
    assert patience.waited == len(values) - 1 - values.index(best)


@given(_VALUES, _MODES, st.integers(0, 29))
def test_what_is_put_down_goes_on_as_if_it_had_not_been(values, mode, cut):
    whole = [Plateau.adaptive(mode), Plateau.adaptive(mode)]
    rates = [whole[0].rate(1.0, value) for value in values]
    first = [whole[1].rate(1.0, value) for value in values[:cut]]
    again = Plateau.adaptive(mode)
    again.patience.restore(json.loads(json.dumps(whole[1].patience.state())))
    assert first + [again.rate(1.0, value) for value in values[cut:]] == rates


def test_a_value_that_is_no_number_is_never_the_best():
    patience = Patience()
    assert [patience.better(v) for v in (math.nan, 2.0, math.inf, 1.0)] == [False, True, False, True]


def test_adaptive_halves_the_rate_after_three_epochs_without_progress():
    plateau, rate, rates = Plateau.adaptive("min"), 1.0, []
    for value in (-5.0, -5.0, -5.00009, -5.0, -5.0, -5.0, -6.0, -4.5):
        rates.append(rate := plateau.rate(rate, value))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_the_historical_course_is_that_of_the_public_implementation():
    """ReduceLROnPlateau(val_loss, 0.5, 2, min_lr 1e-4) and EarlyStopping(loss, 3) with the best weights."""
    objective = Objective()
    course = Course.historical(objective, validates=True)
    val, train = objective.loss_name("val"), objective.loss_name("train")
    rate, rates = 1e-3, []
    for epoch in range(12):
        metrics = {val: 3.0 - (epoch == 1) * 1e-5, train: 1.0 - epoch * (epoch < 9)}
        rates.append(rate := course.rate(rate, metrics))
        course.is_best(metrics)
        assert course.is_over == (epoch == 11)
    assert rates == pytest.approx([1e-3] * 2 + [5e-4] * 2 + [2.5e-4] * 2 + [1.25e-4] * 2 + [1e-4] * 4)
    assert course.keeps_best and HISTORICAL_EXECUTION.learning_rate == 1e-3
    assert Course.historical(objective, validates=False).plateau_metric == train


def test_settings_say_what_is_followed():
    execution = PyTorchExecutionConfig(early_stop_patience=2, scheduler="Adaptive", checkpoint_mode="max")
    course = Course.of(execution, Objective(), validates=True)
    assert course.stopping_metric == course.plateau_metric == "poisson_val_loss" and not course.keeps_best
    for value, over in ((1.0, False), (0.5, False), (0.7, True)):
        course.is_best({"poisson_val_loss": value})
        assert course.is_over == over
    assert Course.of(PyTorchExecutionConfig(), Objective(), validates=False).plateau is None
    with pytest.raises(ConfigError, match="'colour' is not measured"):
        Course.of(PyTorchExecutionConfig(checkpoint_monitor_metric="colour"), Objective(), validates=True)
