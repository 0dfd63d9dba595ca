"""The learning rate's factor over a training."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_torch.model.schedule import Schedule

shares = st.floats(0, 1)
schedules = st.builds(
    Schedule,
    kind=st.sampled_from(["Default", "Exponential", "Cosine"]),
    warm_up=st.floats(0, 0.4),
    floor=st.floats(0, 1),
    fine_tuning=st.floats(0, 0.4),
    gamma=st.floats(0.01, 1),
)


@given(schedules, shares)
def test_no_factor_is_negative_or_above_one(schedule: Schedule, done: float) -> None:
    assert 0 <= schedule.factor(done) <= 1


@given(schedules, shares, shares)
def test_after_the_warm_up_it_never_rises(schedule: Schedule, a: float, b: float) -> None:
    first, later = sorted((max(a, schedule.warm_up), max(b, schedule.warm_up)))
    assert schedule.factor(later) <= schedule.factor(first) + 1e-12


@given(schedules.filter(lambda s: s.warm_up > 0.05), shares)
def test_the_warm_up_is_a_straight_line(schedule: Schedule, share: float) -> None:
    assert schedule.factor(share * 0.999 * schedule.warm_up) == pytest.approx(max(1e-3, share * 0.999))


def test_cosine_ends_at_its_floor_and_fine_tuning_multiplies() -> None:
    assert Schedule("Cosine", floor=0.2).factor(1.0) == pytest.approx(0.2)
    tuned = Schedule("Default", fine_tuning=0.25, gamma=0.1)
    assert tuned.factor(0.74) == 1.0
    assert math.isclose(tuned.factor(0.75), 0.1)
