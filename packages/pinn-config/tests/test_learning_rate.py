"""The course of the learning rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.learning_rate import MILESTONES, learning_rate_factor

_SCHEDULERS = ("Default", "Exponential", "MultiStage", "Adaptive")
_STEPS, _DONE, _WARM_UP = st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 200)


@pytest.mark.parametrize("scheduler", _SCHEDULERS)
def test_the_first_step_is_taken_at_the_full_rate(scheduler):
    assert learning_rate_factor(scheduler, 0, 0.0) == 1


@given(st.sampled_from(_SCHEDULERS), _STEPS, _DONE, _WARM_UP)
def test_a_warm_up_is_a_factor_of_its_own_that_rises_in_a_straight_line(scheduler, step, done, warmup):
    alone = learning_rate_factor(scheduler, step, done)
    share = 1.0 if step + 1 >= warmup else (step + 1) / warmup
    assert learning_rate_factor(scheduler, step, done, warmup) == pytest.approx(alone * share)


@given(_STEPS, _DONE)
def test_default_and_adaptive_leave_the_rate_as_it_is(step, done):
    assert learning_rate_factor("Default", step, done) == learning_rate_factor("Adaptive", step, done) == 1


@given(st.sampled_from(["Exponential", "MultiStage"]), _STEPS, _DONE, _DONE, _WARM_UP)
def test_after_the_warm_up_the_rate_never_rises(scheduler, step, a, b, warmup):
    first, last = (learning_rate_factor(scheduler, warmup + step, done, warmup) for done in sorted((a, b)))
    assert first >= last > 0


@pytest.mark.parametrize(("scheduler", "end"), [("Exponential", 0.03), ("MultiStage", 0.4**3)])
def test_where_it_ends(scheduler, end):
    assert learning_rate_factor(scheduler, 1000, 1.0) == pytest.approx(end)


def test_the_stages_begin_at_their_milestones():
    factors = [learning_rate_factor("MultiStage", 1000, m + d) for m in MILESTONES for d in (-1e-9, 0.0)]
    assert factors == pytest.approx([1, 0.4, 0.4, 0.16, 0.16, 0.064])
