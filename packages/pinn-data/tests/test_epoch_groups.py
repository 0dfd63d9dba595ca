"""The groups of a training: which of them learn in which epoch, and how many validate."""

import numpy as np
import pytest
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.grouping.epoch_groups import EpochGroups
from pinn_data.grouping.group_rows import canvas_size, training_rows
from pinn_data.testing import small_scan


def _groups(seed=3, validation=None, **settings):
    config = TrainingConfig(ModelConfig(N=64, gridsize=2), **{"n_groups": 9} | settings)
    return EpochGroups(small_scan(rows=5, columns=4), config, validation=validation, seed=seed), config


@pytest.mark.parametrize("limit", [1, 5, 400])
def test_no_more_groups_validate_than_the_configuration_says(limit):
    scan = small_scan(rows=4, columns=3)
    groups, config = _groups(validation=scan, validation_groups=limit)
    every = training_rows(scan.positions, config, 64, seed=3, what="validation", limit=None)
    assert len(groups.validation_rows) == min(limit, len(every)) and groups.validates


def test_each_epoch_draws_its_groups_anew_by_the_seed_of_the_run():
    groups, config = _groups()
    scan = small_scan(rows=5, columns=4)
    for epoch in (0, 1, 7):
        expected = training_rows(scan.positions, config, 64, seed=3 + epoch, what="training")
        np.testing.assert_array_equal(groups.rows_of(epoch), expected)
    assert not np.array_equal(groups.rows_of(1), groups.rows_of(2))
    assert not groups.validates and groups.validation_rows is None


def test_the_canvas_holds_all_groups_that_were_drawn():
    validation = small_scan(rows=6, columns=5)
    groups, _ = _groups(validation=validation, neighbor_count=12)
    for epoch in range(5):
        rows = groups.rows_of(epoch)
        assert canvas_size(groups.stack.centres, rows, 64) <= groups.canvas
    own = canvas_size(groups.validation_stack.centres, groups.validation_rows, 64)
    assert own <= groups.canvas
