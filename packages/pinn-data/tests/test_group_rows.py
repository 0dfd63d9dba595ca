"""Rows of frame numbers are drawn as the configuration says, and the canvas holds each of them."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_data.errors import PositionError
from pinn_data.grouping.group_rows import (
    canvas_side,
    canvas_size,
    neighbour_options,
    reconstruction_rows,
    shuffled,
    training_rows,
)
from pinn_data.scan.positions import split_subpixel
from pinn_data.testing import small_positions, small_scan


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_canvas_holds_every_group_and_is_no_larger_than_it_must(seed, members):
    rng = np.random.default_rng(seed)
    centres = rng.integers(-50, 50, size=(20, 2))
    rows = rng.integers(0, 20, size=(7, members))
    size = canvas_size(centres, rows, 16)
    end = np.max(centres[rows] - centres[rows].min(1, keepdims=True)) + 16
    assert end <= size < end + 4


def test_a_group_of_one_needs_no_more_than_its_patch():
    assert canvas_side(0, 64) == 64


@pytest.mark.parametrize("gridsize", [1, 2, 3])
def test_there_are_always_enough_neighbours_for_a_group(gridsize):
    for K in (0, 4, 20):
        config = TrainingConfig(ModelConfig(), neighbor_count=K)
        assert neighbour_options(config, gridsize)["neighbor_count"] == max(K, gridsize**2 - 1)


def _rows(positions, *, gridsize=1, seed=0, limit=None, **settings):
    config = TrainingConfig(ModelConfig(N=64, gridsize=gridsize), **settings)
    return training_rows(positions, config, 64, seed=seed, what="training", limit=limit)


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("unseen", [0, 3])
def test_a_row_holds_a_group_and_then_frames_that_are_not_in_it(gridsize, unseen):
    rows = _rows(small_positions(), gridsize=gridsize, predicted_neighbors=unseen, n_groups=12)
    assert rows.shape == (12, gridsize**2 + unseen)
    assert all(len(set(row)) == len(row) for row in rows.tolist())


def test_the_seed_and_nothing_else_decides_what_is_drawn():
    positions = small_positions(6, 5)
    draw = {"gridsize": 2, "n_groups": 9}
    assert np.array_equal(_rows(positions, **draw), _rows(positions, **draw))
    assert not np.array_equal(_rows(positions, **draw), _rows(positions, seed=1, **draw))
    in_order = _rows(positions, sequential_sampling=True, **draw)
    assert np.array_equal(in_order[:, 0], np.arange(9))


def test_more_groups_than_frames_only_where_a_group_is_more_than_a_frame():
    positions = small_positions()
    assert len(_rows(positions, n_groups=40)) == 12
    assert len(_rows(positions, n_groups=40, gridsize=2)) == 40
    assert len(_rows(positions, n_groups=40, gridsize=2, limit=256)) == 12
    assert len(_rows(positions, n_groups=40, gridsize=2, limit=5)) == 5


def test_groups_that_do_not_overlap_are_refused_in_one_sentence():
    with pytest.raises(PositionError, match=r"overlap.*predicted_neighbors") as caught:
        _rows(small_positions() * 40)
    assert "\n" not in str(caught.value)


def test_a_group_with_a_far_member_is_left_out_and_said_so(caplog):
    positions = small_positions()
    positions[-1] += 500.0
    with caplog.at_level("WARNING"):
        rows = _rows(positions, n_groups=12, predicted_neighbors=2)
    assert len(rows) == 11 and "1 of 12 training groups are left out" in caplog.text


@given(st.integers(0, 200), st.integers(0, 2**40))
def test_an_order_holds_every_number_once_and_follows_from_the_seed(length, seed):
    order = shuffled(length, seed)
    assert sorted(order) == list(range(length))
    assert shuffled(length, seed) == order
    assert length < 20 or shuffled(length, seed + 1) != order


def test_the_order_is_that_of_trainings_so_far():
    """PyTorch 2.13: ``torch.randperm(9, generator=torch.Generator().manual_seed(3)).tolist()``."""
    assert shuffled(9, 3) == [4, 1, 5, 6, 0, 2, 3, 8, 7]


def _reconstructed(scan, *, gridsize=1, seed=0, **settings):
    centres = split_subpixel(scan.positions)[0]
    return reconstruction_rows(scan, centres, InferenceConfig(ModelConfig(), **settings), gridsize, seed=seed)


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_frame_is_reconstructed_unless_fewer_are_asked_for(caplog, gridsize, seed):
    scan = small_scan()
    assert set(_reconstructed(scan, gridsize=gridsize, seed=seed).ravel()) == set(range(12))
    few = _reconstructed(scan, gridsize=gridsize, seed=seed, n_subsample=6)
    assert few.shape[1] == gridsize**2 and len(set(few.ravel())) <= 6
    drawn = scan.subsample(6, 5)
    assert set(_reconstructed(scan, seed=seed, n_subsample=6, subsample_seed=5).ravel()) == set(drawn)
    assert len(_reconstructed(scan, gridsize=gridsize, n_groups=2)) == 2
    assert "in no group" not in caplog.text


def test_frames_in_no_group_are_told_of(caplog):
    scan = small_scan()
    far = attrs.evolve(scan, positions=scan.positions + np.where(np.arange(12) == 11, 17.0, 0.0)[:, None])
    limits = {"neighbor_function": "Min_dist", "max_neighbor_distance": 13.0, "neighbor_count": 3}
    assert 11 not in _reconstructed(far, gridsize=2, **limits)
    assert "1 of 12 frames are in no group" in caplog.text
