"""Batches are spread over processes and steps so that every group of a step counts alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_torch.distributed.batch_shares import Share, SharedBatches, shares
from pinn_torch.distributed.ranks import ALONE, Team

_LENGTHS, _BATCHES, _STEPS, _TEAMS = (st.integers(1, n) for n in (40, 9, 4, 5))


@given(_LENGTHS, _BATCHES, _TEAMS, st.none() | st.integers(0, 99))
def test_the_shares_of_a_batch_are_the_batch(length, batch_size, size, order):
    alone = list(SharedBatches(length, batch_size, ALONE, order))
    assert sorted(n for batch in alone for n in batch) == list(range(length))
    for rank in range(size):
        team = Team(rank, size)
        own = list(SharedBatches(length, batch_size, team, order))
        told = shares(length, batch_size, 1, team)
        assert len(own) == len(told) == len(alone) == len(SharedBatches(length, batch_size, team, order))
        for batch, mine, share in zip(alone, own, told, strict=True):
            expected = list(batch)[team.part(len(batch))]
            assert list(mine) == (expected or [batch[0]])
            assert share.groups == len(batch) and share.fraction == len(expected) / len(batch)


@given(_LENGTHS, _BATCHES, _STEPS, _TEAMS)
def test_every_group_counts_alike_in_the_step_that_it_belongs_to(length, batch_size, accum_steps, size):
    """Lightning takes the mean over processes and divides by accum_steps, left-over batches or not."""
    counts = np.zeros(length)
    for rank in range(size):
        team = Team(rank, size)
        batches = SharedBatches(length, batch_size, team, None)
        for groups, share in zip(batches, shares(length, batch_size, accum_steps, team), strict=True):
            if share.fraction:
                counts[list(groups)] += share.weight / len(groups) / size / accum_steps
            else:
                assert share.weight == 0
    step = batch_size * accum_steps
    in_step = np.minimum(step, length - np.arange(length) // step * step)
    np.testing.assert_allclose(counts, 1 / in_step, rtol=1e-12)


@given(_LENGTHS, _BATCHES)
def test_in_one_process_without_accumulation_the_loss_is_left_as_it_is(length, batch_size):
    assert {share.weight for share in shares(length, batch_size, 1, ALONE)} == {1.0}


@pytest.mark.parametrize("order", [0, 7])
def test_an_order_is_the_same_however_often_it_is_asked_for(order):
    batches = SharedBatches(20, 3, ALONE, order)
    assert list(batches) == list(batches) != list(SharedBatches(20, 3, ALONE, order + 1))


def test_a_process_without_a_group_takes_part_to_no_effect():
    assert shares(7, 3, 1, Team(0, 2))[-1] == Share(1, 0.0, 0.0)
    assert list(SharedBatches(7, 3, Team(0, 2), None))[-1] == range(6, 7)
