"""Batches are rows of one stack: equal to direct indexing, never a copy, the same for the same seed."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.errors import PositionError
from pinn_data.grouping import pattern_stack
from pinn_torch.training.datamodule import PatternStack, ScanDataModule
from torch_scans import quiet, small_scan


def _as_unit(scan, unit, dtype):
    stack = scan.amplitude() if unit == "amplitude" else scan.counts()
    return attrs.evolve(scan, diffraction=stack.astype(dtype), unit=unit)


def _data(scan, *, gridsize=1, num_workers=0, seed=0, validation=None, **settings):
    config = TrainingConfig(
        model=ModelConfig(N=scan.N, gridsize=gridsize), **{"batch_size": 4, "n_groups": 12} | settings
    )
    return ScanDataModule(scan, config, quiet(num_workers=num_workers), seed=seed, validation=validation)


@pytest.mark.parametrize("dtype", [np.uint16, ">u4", np.float64])
def test_a_batch_is_that_of_the_stack_as_tensors(dtype):
    scan = _as_unit(small_scan(), "counts", dtype)
    rows = np.array([[3, 0, 7, 11], [5, 5, 2, 9]])
    batch, arrays = PatternStack(scan).batch(rows), pattern_stack.PatternStack(scan).batch(rows)
    assert batch.keys() == arrays.keys()
    for name, tensor in batch.items():
        assert tensor.numpy().dtype == arrays[name].dtype
        np.testing.assert_allclose(tensor.numpy(), arrays[name], rtol=1e-6)


def _batches(data):
    return [{k: v.clone() for k, v in batch.items()} for batch in data.train_dataloader()]


def _equal(first, second):
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("gridsize", [1, 2])
def test_one_seed_gives_the_same_batches_with_any_number_of_workers(gridsize):
    scan = small_scan()
    here = _batches(_data(scan, gridsize=gridsize))
    assert _equal(here, _batches(_data(scan, gridsize=gridsize)))
    assert _equal(here, _batches(_data(scan, gridsize=gridsize, num_workers=2)))
    assert not _equal(here, _batches(_data(scan, gridsize=gridsize, seed=1)))
    assert [len(b["amplitude"]) for b in here] == [4, 4, 4]


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("unseen", [0, 3])
def test_a_row_holds_a_group_and_then_frames_that_are_not_in_it(gridsize, unseen):
    data = _data(small_scan(), gridsize=gridsize, predicted_neighbors=unseen)
    rows = data.train_dataloader().dataset.rows
    assert rows.shape == (12, gridsize**2 + unseen)
    assert all(len(set(row)) == len(row) for row in rows.tolist())


@pytest.mark.parametrize("gridsize", [1, 2])
def test_the_canvas_of_the_data_module_holds_all_groups_of_training_and_validation(gridsize):
    validation = small_scan(rows=3, columns=4)
    data = _data(small_scan(), gridsize=gridsize, validation=validation)
    seen = 0
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            corners = batch["centres"] - batch["centres"].amin(1, keepdim=True)
            assert int(corners.max()) + 64 <= data.canvas
            seen += len(corners)
    assert seen == 24


def test_groups_that_do_not_overlap_are_refused_in_one_sentence():
    scan = small_scan()
    far = attrs.evolve(scan, positions=scan.positions * 40, positions_start=scan.positions)
    with pytest.raises(PositionError, match=r"overlap.*predicted_neighbors") as caught:
        _data(far)
    assert "\n" not in str(caught.value)


def test_a_group_with_a_far_member_is_left_out_and_said_so(caplog):
    scan = small_scan()
    positions = scan.positions.copy()
    positions[-1] += 500.0
    with caplog.at_level("WARNING"):
        data = _data(attrs.evolve(scan, positions=positions), predicted_neighbors=2)
    assert len(data.train_dataloader().dataset.rows) == 11
    assert "1 of 12 training groups are left out" in caplog.text


def test_the_rule_about_neighbours_is_honoured():
    scan = small_scan(rows=5, columns=5)
    limits = {"neighbor_function": "Min_dist", "min_neighbor_distance": 8.0, "max_neighbor_distance": 16.0}
    for options in (limits, limits | {"neighbor_function": "4_quadrant", "neighbor_count": 8}):
        data = _data(scan, gridsize=2, validation=scan, predicted_neighbors=0, **options)
        for rows in (data.groups.first, data.groups.validation_rows):
            p = scan.positions[rows]
            distance = np.linalg.norm(p[:, 1:] - p[:, :1], axis=2)
            assert distance.min() >= 8 and distance.max() <= 16
    # Steps are 7 in y and 9 in x: one step each way is 7 and 9 px, but 1 and 1 step.
    one_step = {"neighbor_function": "Min_dist", "max_neighbor_distance": 1.1, "scan_pattern": "Rectangular"}
    p = scan.positions[_data(scan, gridsize=2, predicted_neighbors=0, **one_step).groups.first]
    assert np.linalg.norm(p[:, 1:] - p[:, :1], axis=2).max() < 10


def test_settings_of_sampling_act_on_a_training():
    scan = small_scan(rows=6, columns=5)
    options = {"gridsize": 2, "predicted_neighbors": 0}
    data = _data(scan, n_groups=17, neighbor_count=5, **options)
    distance = np.linalg.norm(scan.positions[:, None] - scan.positions[None], axis=2)
    reach = np.sort(distance, axis=1)
    for K in (3, 5, 11):
        rows = _data(scan, n_groups=30, neighbor_count=K, **options).groups.first
        far = distance[rows[:, :1], rows].max(axis=1)
        assert (far <= reach[rows[:, 0], K] + 1e-9).all()
        assert (far > reach[rows[:, 0], 5] + 1e-9).any() == (K == 11)
    assert len(data.groups.first) == 17 and len(_data(scan, n_groups=40, **options).groups.first) == 40
    assert not np.array_equal(data.groups.first[:, 0], np.arange(17))
    in_order = _data(scan, n_groups=17, sequential_sampling=True, **options)
    assert np.array_equal(in_order.groups.first[:, 0], np.arange(17))
    data.trainer = None
    batches = list(data.train_dataloader())
    assert [len(b["amplitude"]) for b in batches] == [4, 4, 4, 4, 1]  # batch_size=4
