"""`RawData` is a `Scan` with other names: the same numbers, the same groups."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pinn_config import InferenceConfig, ModelConfig, TrainingConfig, legacy, update_legacy_dict
from pinn_data.errors import DataFileNotFoundError, DataTypeError, PinnDataError, PositionError, ShapeError
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.grouping.groups import group, grouped_dict
from pinn_data.grouping.raw_data import RawData, load_data, scan_of
from pinn_data.scan.positions import reoriented
from pinn_data.scan.scan import Scan
from pinn_data.testing import scans

seeds = st.integers(0, 99)


@pytest.fixture(autouse=True)
def restored_dictionary():
    before = dict(legacy.cfg)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


def counted(n=12, N=8, seed=0):
    """A scan of counts whose frames can be told apart."""
    rng = np.random.default_rng(seed)
    return Scan(
        rng.poisson(9 + np.arange(n)[:, None, None], (n, N, N)).astype(np.uint16),
        "counts",
        rng.uniform(N, 30, (n, 2)),
        rng.normal(size=(2, N, N)) + 1j * rng.normal(size=(2, N, N)),
        object=rng.normal(size=(41, 44)) + 1j * rng.normal(size=(41, 44)),
        scan_index=np.arange(n) // 5,
    )


@given(scans(8, unit="counts"))
def test_attributes_are_those_of_the_scan(scan):
    data = RawData.from_scan(scan)
    np.testing.assert_array_equal(np.stack([data.ycoords, data.xcoords], 1), scan.positions)
    np.testing.assert_array_equal(np.stack([data.ycoords_start, data.xcoords_start], 1), scan.positions_start)
    assert data.diff3d is scan.diffraction and data.probeGuess is scan.probe
    assert data.objectGuess is scan.object and data.scan_index is scan.scan_index
    assert len(data) == len(scan) and data.metadata == dict(scan.metadata)
    given_ = (data.xcoords, data.ycoords, data.xcoords_start, data.ycoords_start, data.diff3d)
    again = RawData(
        *given_,
        data.probeGuess,
        data.scan_index,
        data.objectGuess,
        metadata=data.metadata,
        bad_pixels=data.bad_pixels,
        background=data.background,
    )
    assert again.scan.equals(scan)


def test_the_call_of_ptychodus():
    scan = counted()
    raw = RawData.from_coords_without_pc(
        xcoords=scan.positions[:, 1],
        ycoords=scan.positions[:, 0],
        diff3d=scan.diffraction,
        probeGuess=scan.probe,
        scan_index=np.zeros(12, int),
        objectGuess=scan.object,
    )
    assert raw.probeGuess.shape == (2, 8, 8)
    np.testing.assert_array_equal(raw.xcoords_start, raw.xcoords)
    grouped = raw.generate_grouped_data(8, K=7, nsamples=12, gridsize=2)
    np.testing.assert_array_equal(
        grouped["diffraction"], np.moveaxis(scan.amplitude()[grouped["nn_indices"]], 1, -1)
    )
    assert grouped["diffraction"].shape == (12, 8, 8, 4)


@given(seeds, st.integers(1, 3), st.integers(1, 40), st.booleans())
def test_groups_are_those_of_the_grouping(seed, gridsize, nsamples, sequential):
    scan = counted()
    assume(gridsize > 1 or nsamples <= 12)
    options = {"seed": seed, "gridsize": gridsize, "sequential_sampling": sequential}
    found = RawData.from_scan(scan).generate_grouped_data(8, 9, nsamples, **options)
    groups = group(
        scan.positions, gridsize, n_groups=nsamples, neighbor_count=9, seed=seed, sequential=sequential
    )
    expected = grouped_dict(scan, groups)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_the_keys_of_the_specification_and_of_the_public_implementation():
    found = RawData.from_scan(counted()).generate_grouped_data(8, nsamples=5, gridsize=2)
    coordinates = {"coords_nn", "coords_offsets", "coords_relative", "local_offsets"}
    start = {"coords_start_nn", "coords_start_offsets", "coords_start_relative"}
    assert found.keys() == coordinates | start | {"diffraction", "X_full", "nn_indices", "Y", "objectGuess"}


def test_what_is_left_out_is_what_the_bridged_configuration_says():
    data = RawData.from_scan(counted(n=30))
    config = TrainingConfig(
        ModelConfig(N=8, gridsize=2),
        neighbor_count=5,
        sequential_sampling=True,
        neighbor_function="Min_dist",
        min_neighbor_distance=2.0,
        max_neighbor_distance=15.0,
    )
    update_legacy_dict(legacy.cfg, config)
    rows = data.generate_grouped_data(8, nsamples=7)["nn_indices"]
    expected = group(
        data.scan.positions,
        2,
        n_groups=7,
        neighbor_count=5,
        sequential=True,
        neighbor_function="Min_dist",
        min_neighbor_distance=2.0,
        max_neighbor_distance=15.0,
    ).indices
    np.testing.assert_array_equal(rows, expected)
    update_legacy_dict(legacy.cfg, InferenceConfig(ModelConfig(N=8, gridsize=3)))
    assert data.generate_grouped_data(8, nsamples=7)["nn_indices"].shape == (7, 9)
    assert data.generate_grouped_data(8, nsamples=7, gridsize=1)["nn_indices"].shape == (7, 1)


def test_a_k_too_small_for_the_group_is_raised_and_more_groups_than_frames_are_drawn():
    data = RawData.from_scan(counted())
    assert data.generate_grouped_data(8, K=0, nsamples=1, gridsize=3)["nn_indices"].shape == (1, 9)
    many = data.generate_grouped_data(8, K=3, nsamples=30, gridsize=2, neighbor_pool_size=8)["nn_indices"]
    assert len({tuple(sorted(row)) for row in many.tolist()}) > 20  # K=3 would have 12 at most
    with pytest.raises(PinnDataError, match=r"30 groups of 12 frames .* set it to True, or ask for 12"):
        data.generate_grouped_data(8, nsamples=30, gridsize=2, enable_oversampling=False)
    assert len(data.generate_grouped_data(8, 5, 30, gridsize=2, enable_oversampling=True)["Y"]) == 30


def test_truth_patches_that_were_given_are_grouped():
    scan = counted()
    Y = np.arange(12)[:, None, None] * np.ones((12, 8, 8)) * (1 + 2j)
    data = RawData(*[scan.positions[:, 1], scan.positions[:, 0]] * 2, scan.diffraction, scan.probe, Y=Y)
    found = data.generate_grouped_data(8, nsamples=6, gridsize=2)
    assert found["Y"].dtype == np.complex64
    np.testing.assert_array_equal(found["Y"][:, 3, 4], found["nn_indices"] * np.complex64(1 + 2j))
    with pytest.raises(PinnDataError, match="cannot store the truth patches"):
        data.to_file("never.npz")
    with pytest.raises(ShapeError, match="Y has shape"):
        RawData(*[scan.positions[:, 1], scan.positions[:, 0]] * 2, scan.diffraction, scan.probe, Y=Y[:3])


def test_files_come_back(tmp_path):
    scan = counted()
    data = RawData.from_scan(scan)
    data.to_file(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        assert {"xcoords", "ycoords", "diff3d", "probeGuess", "objectGuess", "scan_index"} <= set(file)
        np.testing.assert_array_equal(file["diff3d"], scan.amplitude())
    train, test = RawData.from_files(tmp_path / "a.npz", tmp_path / "a.npz")
    assert train.scan.equals(test.scan) and train.scan.unit == "amplitude"
    np.testing.assert_array_equal(train.scan.counts(), scan.diffraction)
    with np.load(data.to_file(tmp_path / "b.npz", unit="counts")) as file:
        assert file["diffraction_unit"] == "counts"
        np.testing.assert_array_equal(file["diff3d"], scan.diffraction)


def test_everything_that_stands_for_a_scan(tmp_path):
    scan = counted()
    path = write_scan(tmp_path / "a.npz", scan, unit="counts")
    like = SimpleNamespace(
        xcoords=scan.positions[:, 1],
        ycoords=scan.positions[:, 0],
        diff3d=scan.diffraction,
        probeGuess=scan.probe,
        scan_index=scan.scan_index,
        objectGuess=scan.object,
    )
    for data in (scan, RawData.from_scan(scan), path, str(path), like):
        assert scan_of(data).equals(scan)
    del like.objectGuess, like.scan_index
    like.xcoords_start, like.ycoords_start = like.xcoords + 1, like.ycoords - 2
    found = scan_of(like)
    assert found.object is None and not found.scan_index.any()
    np.testing.assert_allclose(found.positions_start - found.positions, np.tile([-2.0, 1.0], (12, 1)))


@pytest.mark.parametrize("data", [None, [1, 2], {"xcoords": 1}, np.zeros(3), SimpleNamespace(xcoords=1)])
def test_anything_else_is_refused_in_one_sentence(data):
    with pytest.raises(DataTypeError, match=r"^train_data is a \w+, but a Scan, a RawData or the path") as e:
        scan_of(data, "train_data")
    assert isinstance(e.value, TypeError) and isinstance(e.value, ValueError)


def test_unlike_lengths_and_sizes_are_refused():
    scan = counted()
    x, y = scan.positions[:, 1], scan.positions[:, 0]
    with pytest.raises(ShapeError, match=r"xcoords and ycoords have shapes \(12,\) and \(11,\)"):
        RawData.from_coords_without_pc(x, y[:-1], scan.diffraction, scan.probe)
    with pytest.raises(ShapeError, match="11 scan positions for 12 diffraction patterns"):
        RawData.from_coords_without_pc(x[:-1], y[:-1], scan.diffraction, scan.probe)
    with pytest.raises(ShapeError, match="N=64 was given, but the patterns are 8 x 8: set N=8"):
        RawData.from_scan(scan).generate_grouped_data(64)
    with pytest.raises(PositionError, match=r"^scan_3.npz: gridsize=4 needs 16 scan points"):
        RawData.from_scan(scan).generate_grouped_data(8, gridsize=4, dataset_path="scan_3.npz")
    with pytest.raises(DataFileNotFoundError):
        RawData.from_file("nowhere.npz")


def test_loading_a_part_of_a_file(tmp_path):
    scan = counted()
    path = write_scan(tmp_path / "a.npz", scan, unit="counts")
    assert load_data(path).scan.equals(scan) and load_data(path).sample_indices is None
    part = load_data(path, n_subsample=5, subsample_seed=3)
    assert part.scan.equals(scan.select(part.sample_indices)) and len(part) == 5
    assert (np.diff(part.sample_indices) > 0).all() and part.subsample_seed == 3
    np.testing.assert_array_equal(load_data(path, None, 5, subsample_seed=3).xcoords, part.xcoords)
    assert load_data(path, None, 5, subsample_seed=4).scan.equals(part.scan) is False
    found = part.generate_grouped_data(8, nsamples=2, gridsize=1)
    np.testing.assert_array_equal(found["sample_indices"], part.sample_indices)
    with pytest.warns(DeprecationWarning, match="^Parameter 'n_images' is deprecated"):
        assert len(load_data(path, 5)) == 5
    with pytest.warns(DeprecationWarning), pytest.raises(PinnDataError, match=r"n_images \(5\) and .* \(6\)"):
        load_data(path, 5, 6)


def test_loading_turns_positions_and_not_patterns(tmp_path):
    scan = counted()
    path = write_scan(tmp_path / "a.npz", scan, unit="counts")
    turned = load_data(path, flip_x=True, swap_xy=True, coord_scale=2.0)
    expected = reoriented(scan.positions, flip_x=True, transpose=True, scale=2.0)
    np.testing.assert_array_equal(turned.scan.positions, expected)
    np.testing.assert_array_equal(turned.scan.positions_start, expected)
    np.testing.assert_array_equal(turned.diff3d, scan.diffraction)
    np.testing.assert_array_equal(read_scan(path).positions, scan.positions)
