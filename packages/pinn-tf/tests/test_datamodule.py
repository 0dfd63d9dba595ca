"""Batches hold every group once, count alike in their step, and are drawn anew for every epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.grouping.group_rows import canvas_size, training_rows
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.testing import small_scan
from pinn_tf.training.datamodule import GroupBatches, Share
from tf_trainings import quiet


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4))
def test_every_group_counts_alike_in_the_step_that_it_belongs_to(length, batch_size, accum_steps):
    shares = Share.of_epoch(length, batch_size, accum_steps)
    assert sum(share.groups for share in shares) == length and shares[-1].ends_step
    steps: list[list[Share]] = [[]]
    for share in shares:
        steps[-1].append(share)
        if share.ends_step:
            steps.append([])
    assert steps.pop() == []
    for number, step in enumerate(steps):
        assert len(step) == accum_steps or number == len(steps) - 1
        assert sum(share.weight for share in step) == pytest.approx(1)
        assert np.ptp([share.weight / share.groups for share in step]) < 1e-12


def _data(*, gridsize=1, validation=None, seed=0, execution=None, **settings):
    config = TrainingConfig(
        ModelConfig(N=64, gridsize=gridsize), **{"batch_size": 5, "n_groups": 12} | settings
    )
    return config, GroupBatches(
        small_scan(), config, quiet(**execution or {}), validation=validation, seed=seed
    )


@pytest.mark.parametrize("gridsize", [1, 2])
def test_an_epoch_is_its_groups_in_an_order_of_the_seed(gridsize):
    config, data = _data(gridsize=gridsize, seed=3)
    scan = small_scan()
    stack = PatternStack(scan)
    orders = []
    for epoch in (0, 1):
        batches = [batch for _, batch in data.epoch(epoch)]
        found = np.concatenate([batch["amplitude"] for batch in batches])
        rows = training_rows(scan.positions, config, 64, seed=3 + epoch, what="x")
        expected = stack.batch(rows)["amplitude"]
        order = [int(np.flatnonzero((expected == group).all((1, 2, 3)))[0]) for group in found]
        assert sorted(order) == list(range(12)) and order != sorted(order)
        assert data.canvas >= canvas_size(stack.centres, rows, 64)
        orders.append(order)
    again = np.concatenate([batch["amplitude"] for _, batch in _data(gridsize=gridsize, seed=3)[1].epoch(1)])
    np.testing.assert_array_equal(again, found)
    assert orders[0] != orders[1]


def test_the_validation_keeps_its_order_and_its_canvas_has_room():
    _, data = _data(validation=small_scan(rows=2))
    batches = list(data.validation())
    assert data.validates and sum(share.groups for share, _ in batches) == 6
    first, again = (np.concatenate([b["centres"] for _, b in data.validation()]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    _, without = _data()
    assert not without.validates and list(without.validation()) == []


def test_threads_gather_the_same_batches():
    batches = [list(_data(execution=e)[1].epoch(0)) for e in ({}, {"num_workers": 2, "prefetch_factor": 2})]
    for (share, one), (other, two) in zip(*batches, strict=True):
        assert share == other
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize(("accum_steps", "steps"), [(1, 3), (2, 2), (9, 1)])
def test_the_steps_of_an_epoch_are_known_before_it(accum_steps, steps):
    assert _data(execution={"accum_steps": accum_steps})[1].steps_per_epoch == steps
