"""The course of the learning rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.learning_rate import MILESTONES, WARM_UP_STEPS, learning_rate_factor

_STEPS, _DONE = st.integers(0, 10**6), st.floats(0, 1)


@given(_STEPS, _DONE)
def test_default_and_adaptive_leave_the_rate_as_it_is(step, done):
    assert learning_rate_factor("Default", step, done) == learning_rate_factor("Adaptive", step, done) == 1


@given(st.sampled_from(["Exponential", "MultiStage"]), st.integers(WARM_UP_STEPS, 10**6), _DONE, _DONE)
def test_after_the_warm_up_the_rate_never_rises(scheduler, step, a, b):
    first, last = sorted((a, b))
    assert learning_rate_factor(scheduler, step, first) >= learning_rate_factor(scheduler, step, last) > 0


@pytest.mark.parametrize(("scheduler", "end"), [("Exponential", 0.03), ("MultiStage", 0.4**3)])
def test_where_it_begins_and_where_it_ends(scheduler, end):
    assert learning_rate_factor(scheduler, 0, 0.0) == pytest.approx(1 / 30)
    assert learning_rate_factor(scheduler, 29, 0.0) == 1
    assert learning_rate_factor(scheduler, 1000, 1.0) == pytest.approx(end)


def test_the_stages_begin_at_their_milestones():
    factors = [learning_rate_factor("MultiStage", 1000, m + d) for m in MILESTONES for d in (-1e-9, 0.0)]
    assert factors == pytest.approx([1, 0.4, 0.4, 0.16, 0.16, 0.064])
