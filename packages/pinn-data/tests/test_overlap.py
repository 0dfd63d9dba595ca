"""Frames near a group that are not in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import PinnDataError
from pinn_data.grouping.groups import group
from pinn_data.grouping.overlap import nearby_frames


@given(seed=st.integers(0, 2**32 - 1), points=st.integers(5, 60), count=st.integers(0, 6))
def test_members_stay_and_the_added_frames_are_near_strangers(seed, points, count):
    """Rows begin with the group; what follows is not in it, comes once, and is near the anchor."""
    positions = np.random.default_rng(seed).uniform(0, 100, (points, 2))
    groups = group(positions, 2, neighbor_count=4, seed=seed)
    rows = nearby_frames(positions, groups, count, seed=seed)
    added = min(count, points - 4)
    assert rows.shape == (points, 4 + added)
    np.testing.assert_array_equal(rows[:, :4], groups.indices)
    assert all(len(set(row)) == len(row) for row in rows.tolist())
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    limit = np.sort(distance, axis=1)[:, min(4 + 2 * added, points - 1)]
    reach = np.take_along_axis(distance[rows[:, 0]], rows[:, 4:], axis=1)
    assert (reach <= limit[rows[:, 0], None]).all()
    assert (np.diff(reach, axis=1) >= 0).all()
    np.testing.assert_array_equal(rows, nearby_frames(positions, groups, count, seed=seed))


def test_frames_at_one_spot_are_no_trouble():
    positions = np.zeros((9, 2))
    rows = nearby_frames(positions, group(positions, 2), 3)
    assert all(len(set(row)) == 7 for row in rows.tolist())


def test_a_negative_count_is_refused():
    positions = np.arange(8.0).reshape(4, 2)
    with pytest.raises(PinnDataError, match="-1 frames outside each group"):
        nearby_frames(positions, group(positions, 1), -1)
