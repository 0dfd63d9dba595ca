"""Laws of grouping."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pinn_data.errors import PinnDataError, PositionError, ShapeError
from pinn_data.grouping import groups as grouping
from pinn_data.grouping.groups import Groups, group, grouped_dict, offsets
from pinn_data.scan.scan import Scan
from pinn_data.testing import scan_positions, scans

# Rasters have ties in every distance, and repeated points have neighbours at distance 0.
clouds = scan_positions((60, 90), 16, min_size=12, max_size=40)
rasters = scan_positions((24, 24), 16, min_size=12, max_size=40, whole=True)
points = st.one_of(clouds, rasters)
seeds = st.integers(0, 1000)


@st.composite
def requests(draw):
    p = draw(points)
    gridsize = draw(st.integers(2, 3))
    return {
        "positions": p,
        "gridsize": gridsize,
        "neighbor_count": draw(st.integers(gridsize**2 - 1, 14)),
        "n_groups": draw(st.one_of(st.none(), st.integers(1, 3 * len(p)))),
        "seed": draw(seeds),
        "sequential": draw(st.booleans()),
    }


@given(requests())
def test_members_are_distinct_and_within_the_K_nearest_by_growing_distance(request_):
    p, K = request_["positions"], min(request_["neighbor_count"], len(request_["positions"]) - 1)
    groups = group(**request_)
    assert len(groups) == (len(p) if request_["n_groups"] is None else request_["n_groups"])
    assert groups.channels == request_["gridsize"] ** 2 and groups.indices.dtype == np.int64
    for row in groups.indices:
        assert len(set(row.tolist())) == groups.channels
        distance = np.linalg.norm(p - p[row[0]], axis=1)
        reach = np.sort(np.delete(distance, row[0]))[K - 1]
        assert (distance[row] <= reach + 1e-9).all()
        assert (np.diff(distance[row]) >= -1e-9).all() and distance[row[0]] == 0


@given(requests())
def test_the_same_seed_gives_the_same_groups(request_):
    np.testing.assert_array_equal(group(**request_).indices, group(**request_).indices)


@given(
    points.map(lambda p: np.unique(p, axis=0)).filter(lambda p: len(p) > 9),
    seeds,
    st.integers(2, 3),
    st.data(),
)
def test_permuting_scan_points_permutes_groups(p, seed, gridsize, data):
    order = np.array(data.draw(st.permutations(range(len(p)))))
    n_groups = data.draw(st.one_of(st.none(), st.integers(1, 2 * len(p))))
    before = group(p, gridsize, seed=seed, n_groups=n_groups, neighbor_count=10).indices
    after = group(p[order], gridsize, seed=seed, n_groups=n_groups, neighbor_count=10).indices
    assert sorted(order[after].tolist()) == sorted(before.tolist())


@given(requests())
def test_global_is_local_plus_centre(request_):
    p, groups = request_["positions"], group(**request_)
    centre, relative = offsets(p, groups)
    np.testing.assert_allclose(relative + centre[:, None], p[groups.indices], atol=1e-10)
    np.testing.assert_allclose(relative.sum(axis=1), 0, atol=1e-9)
    assert centre.shape == (len(groups), 2) and relative.shape == (*groups.indices.shape, 2)


@given(points, seeds)
def test_gridsize_1_is_the_identity(p, seed):
    groups = group(p, 1, seed=seed)
    np.testing.assert_array_equal(groups.indices, np.arange(len(p))[:, None])
    centre, relative = offsets(p, groups)
    np.testing.assert_array_equal(centre, p)
    assert not relative.any()


@given(requests())
def test_anchors_are_all_points_or_a_choice_without_repeats(request_):
    n, groups = len(request_["positions"]), group(**request_)
    anchors = groups.indices[:, 0]
    for start in range(0, len(anchors), n):
        turn = anchors[start : start + n]
        assert (np.diff(turn) > 0).all()
        if request_["sequential"] or len(turn) == n:
            np.testing.assert_array_equal(turn, np.arange(len(turn)))


@given(clouds, st.integers(3, 6), seeds)
def test_more_groups_than_points_are_distinct_while_there_are_other_choices(p, K, seed):
    possible = len(p) * math.comb(K, 3)
    rows = group(p, 2, n_groups=possible, neighbor_count=K, seed=seed).indices
    assert len({tuple(r) for r in rows.tolist()}) == possible


def test_repeats_and_missing_groups_are_reported(caplog):
    p = np.random.default_rng(0).uniform(0, 50, (10, 2))
    assert len(group(p, 2, n_groups=21, neighbor_count=3)) == 21
    assert "10 different ones" in caplog.text
    caplog.clear()
    assert len(group(p, 1, n_groups=21)) == 10
    assert "one for each of the 10 points" in caplog.text


def test_every_neighbour_gets_its_turn_and_seeds_differ():
    p = np.random.default_rng(0).uniform(0, 100, (400, 2))
    rows = group(p, 2, neighbor_count=6, seed=0).indices
    distance = np.linalg.norm(p[rows[:, 1:]] - p[rows[:, :1]], axis=2)
    near = np.sort(np.linalg.norm(p[:, None] - p[None], axis=2), axis=1)[:, 1:7]
    rank = np.argmin(np.abs(distance[..., None] - near[:, None]), axis=2)
    share = np.bincount(rank.ravel(), minlength=6) / rank.size
    assert np.abs(share - 1 / 6).max() < 0.04
    assert (group(p, 2, neighbor_count=6, seed=1).indices != rows).any()


def test_very_many_combinations_are_drawn_without_listing_them():
    p = np.random.default_rng(0).uniform(0, 100, (300, 2))
    assert math.comb(40, 8) > grouping._LARGEST_TABLE
    rows = group(p, 3, neighbor_count=40, n_groups=600).indices
    distance = np.linalg.norm(p[:, None] - p[None], axis=2)
    reach = np.sort(distance, axis=1)[:, 40]
    assert all(distance[r[0], r].max() <= reach[r[0]] + 1e-9 and len(set(r)) == 9 for r in rows.tolist())
    assert len({tuple(r) for r in rows.tolist()}) > 590


def test_blocks_give_the_groups_of_one_block(monkeypatch):
    p = np.random.default_rng(0).uniform(0, 100, (200, 2))
    whole = group(p, 2, n_groups=450, neighbor_count=5).indices
    monkeypatch.setattr(grouping, "_BLOCK", 17)
    np.testing.assert_array_equal(group(p, 2, n_groups=450, neighbor_count=5).indices, whole)


def test_many_frames_at_one_place_keep_their_anchor():
    p = np.repeat([[10.0, 20.0], [13.0, 20.0]], 30, axis=0)
    rows = group(p, 2, neighbor_count=5).indices
    np.testing.assert_array_equal(rows[:, 0], np.arange(60))
    assert all(len(set(r)) == 4 for r in rows.tolist())


def test_a_generator_is_used_and_advanced():
    p = np.random.default_rng(0).uniform(0, 100, (60, 2))
    rng = np.random.default_rng(5)
    first, second = group(p, 2, neighbor_count=8, seed=rng), group(p, 2, neighbor_count=8, seed=rng)
    np.testing.assert_array_equal(first.indices, group(p, 2, neighbor_count=8, seed=5).indices)
    assert (first.indices != second.indices).any()


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"gridsize": 0}, PinnDataError, "at least 1"),
        ({"gridsize": 2, "n_groups": 0}, PinnDataError, "n_groups=0"),
        ({"gridsize": 2, "neighbor_count": 2}, PinnDataError, "at least 3 neighbours"),
        ({"gridsize": 4, "neighbor_count": 20}, PositionError, "needs 16 scan points, but the scan has 10"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        group(np.random.default_rng(0).uniform(0, 50, (10, 2)), **arguments)


def test_groups_hold_whole_numbers_in_rows():
    with pytest.raises(ShapeError):
        Groups(np.arange(4))
    with pytest.raises(ShapeError):
        Groups(np.ones((2, 4)))


@given(scans(8, max_size=9, shape=(24, 30)), st.integers(1, 2), seeds)
def test_the_clients_dictionary_holds_every_member_at_its_place(scan, gridsize, seed):
    assume(len(scan) >= gridsize**2)
    groups = group(scan.positions, gridsize, neighbor_count=4, seed=seed)
    d = grouped_dict(scan, groups)
    B, C, N = len(groups), groups.channels, scan.N
    assert d["diffraction"].shape == d["X_full"].shape == (B, N, N, C) and d["X_full"].dtype == np.float32
    assert np.mean(np.sum(d["X_full"].astype(float) ** 2, axis=(1, 2))) == pytest.approx(
        (N / 2) ** 2, rel=1e-4
    )
    amplitude = scan.amplitude()
    for b, c in itertools.product(range(B), range(C)):
        i = groups.indices[b, c]
        np.testing.assert_array_equal(d["diffraction"][b, :, :, c], amplitude[i])
        np.testing.assert_array_equal(d["coords_nn"][b, 0, :, c], scan.positions[i, ::-1])
        np.testing.assert_array_equal(d["coords_start_nn"][b, 0, :, c], scan.positions_start[i, ::-1])
    for start in ("", "start_"):
        whole, centre, minus = (d[f"coords_{start}{k}"] for k in ("nn", "offsets", "relative"))
        assert centre.shape == (B, 1, 2, 1)
        np.testing.assert_allclose(minus, -(whole - centre), atol=1e-9)
        np.testing.assert_allclose(centre, whole.mean(axis=3, keepdims=True), atol=1e-9)
    np.testing.assert_array_equal(d["local_offsets"], d["coords_relative"])
    np.testing.assert_array_equal(d["nn_indices"], groups.indices)
    assert (d["Y"] is None) == (scan.object is None) and d["objectGuess"] is scan.object


def test_truth_patches_lie_at_their_own_position_not_mirrored():
    p = np.array([[10.0, 12.0], [10.0, 17.0], [14.0, 12.0], [15.0, 18.0], [12.0, 14.0]])
    y, x = np.mgrid[:24, :30]
    scan = Scan(np.ones((5, 8, 8), np.float32), "amplitude", p, np.ones((8, 8), complex), object=y + 1j * x)
    groups = group(p, 2)
    Y = grouped_dict(scan, groups)["Y"]
    assert Y.dtype == np.complex64
    for b, c in itertools.product(range(5), range(4)):
        assert Y[b, 4, 4, c] == complex(*p[groups.indices[b, c]])
    assert grouped_dict(scan, groups, truth=False)["Y"] is None


def test_a_given_scale_is_used():
    p = np.array([[10.0, 12.0], [10.0, 17.0]])
    scan = Scan(np.full((2, 8, 8), 3.0, np.float32), "amplitude", p, np.ones((8, 8), complex))
    assert grouped_dict(scan, group(p, 1), scale=0.5)["X_full"].max() == 1.5
