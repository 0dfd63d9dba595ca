"""Laws of the rules that say which points may join a group."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import PinnDataError, PositionError
from pinn_data.grouping import neighbours
from pinn_data.grouping.groups import group
from pinn_data.grouping.neighbours import scan_steps
from pinn_data.testing import scan_positions

clouds = scan_positions((60, 90), 16, min_size=14, max_size=40)
rasters = scan_positions((24, 24), 16, min_size=14, max_size=40, whole=True)
points = st.one_of(clouds, rasters)
functions = st.sampled_from(["Min_dist", "4_quadrant"])


def quadrant(step):
    """0 to 3: the quadrant of one displacement (y, x); each holds one half-axis."""
    y, x = step
    return 0 if x > 0 and y >= 0 else 1 if x <= 0 and y > 0 else 2 if x < 0 and y <= 0 else 3


def raster(rows, columns, step_y, step_x):
    y, x = (a.ravel() for a in np.mgrid[:rows, :columns])
    return np.stack([20.0 + step_y * y, 30.0 + step_x * x], axis=1)


@st.composite
def requests(draw):
    p = draw(points)
    gridsize = draw(st.integers(2, 3))
    low = draw(st.floats(0, 6))
    return {
        "positions": p,
        "gridsize": gridsize,
        "neighbor_count": draw(st.integers(gridsize**2 - 1, 12)),
        "n_groups": draw(st.one_of(st.none(), st.integers(1, 2 * len(p)))),
        "seed": draw(st.integers(0, 1000)),
        "sequential": draw(st.booleans()),
        "neighbor_function": draw(functions),
        "min_neighbor_distance": low,
        "max_neighbor_distance": draw(st.one_of(st.none(), st.floats(low + 5, low + 60))),
    }


def groups_or_none(request):
    """The groups, or None where no point has enough neighbours (a law of its own, below)."""
    try:
        return group(**request).indices
    except PositionError:
        return None


@given(requests())
def test_members_are_the_K_nearest_within_the_limits(request_):
    rows = groups_or_none(request_)
    if rows is None:
        return
    p, K = request_["positions"], request_["neighbor_count"]
    low, high = request_["min_neighbor_distance"], request_["max_neighbor_distance"] or np.inf
    for row in rows:
        distance = np.linalg.norm(p - p[row[0]], axis=1)
        allowed = (distance >= low * (1 - 1e-9)) & (distance <= high * (1 + 1e-9))
        allowed[row[0]] = False
        assert len(set(row.tolist())) == len(row) and allowed[row[1:]].all()
        assert (distance[row[1:]] <= np.sort(distance[allowed])[:K].max() + 1e-6).all()
        assert (np.diff(distance[row[1:]]) >= -1e-9).all()


@given(requests())
def test_exactly_the_points_with_too_few_neighbours_anchor_no_group(request_):
    request_["n_groups"] = None
    p, size = request_["positions"], request_["gridsize"] ** 2 - 1
    low, high = request_["min_neighbor_distance"], request_["max_neighbor_distance"] or np.inf
    distance = np.linalg.norm(p[:, None] - p[None], axis=2)
    np.fill_diagonal(distance, np.nan)
    able = ((distance >= low) & (distance <= high)).sum(axis=1) >= size
    rows = groups_or_none(request_)
    if rows is None:
        assert not able.any()
    else:
        np.testing.assert_array_equal(rows[:, 0], np.flatnonzero(able))


@given(requests())
def test_no_quadrant_gives_a_second_member_before_each_gave_one(request_):
    request_["neighbor_function"] = "4_quadrant"
    rows = groups_or_none(request_)
    if rows is None:
        return
    p, K = request_["positions"], request_["neighbor_count"]
    low, high = request_["min_neighbor_distance"], request_["max_neighbor_distance"] or np.inf
    for row in rows:
        distance = np.linalg.norm(p - p[row[0]], axis=1)
        allowed = np.flatnonzero((distance >= low) & (distance <= high) & (np.arange(len(p)) != row[0]))
        reach = np.sort(distance[allowed])[:K].max()
        if (distance[allowed] <= reach).sum() > K:
            continue  # points at one distance: which of them are the K nearest is open
        there, taken = np.zeros(4, int), np.zeros(4, int)
        for member in allowed[distance[allowed] <= reach]:
            there[quadrant(p[member] - p[row[0]])] += 1
        for member in row[1:]:
            taken[quadrant(p[member] - p[row[0]])] += 1
        for q in range(4):
            assert taken[q] >= min(there[q], taken.max() - 1)


@given(requests(), st.sampled_from(["Isotropic", "Rectangular"]))
def test_the_same_seed_gives_the_same_groups(request_, pattern):
    request_["scan_pattern"] = pattern
    first, second = groups_or_none(request_), groups_or_none(request_)
    assert (first is None) == (second is None)
    if first is not None:
        np.testing.assert_array_equal(first, second)


@given(requests(), st.sampled_from(["Isotropic", "Rectangular"]), st.data())
def test_permuting_scan_points_permutes_groups(request_, pattern, data):
    request_ |= {"scan_pattern": pattern, "sequential": False}
    p = np.unique(request_["positions"], axis=0)
    order = np.array(data.draw(st.permutations(range(len(p)))))
    before = groups_or_none(request_ | {"positions": p})
    after = groups_or_none(request_ | {"positions": p[order]})
    if before is None:
        assert after is None
    else:
        assert sorted(order[after].tolist()) == sorted(before.tolist())


@given(points, functions, st.integers(0, 9))
def test_gridsize_1_is_the_identity(p, function, seed):
    rows = group(p, 1, neighbor_function=function, min_neighbor_distance=500.0, seed=seed).indices
    np.testing.assert_array_equal(rows, np.arange(len(p))[:, None])


def test_without_limits_min_dist_is_nearest():
    p = np.random.default_rng(0).uniform(0, 90, (80, 2))
    nearest = group(p, 2, neighbor_count=6, n_groups=170, seed=3).indices
    np.testing.assert_array_equal(
        group(p, 2, neighbor_count=6, n_groups=170, seed=3, neighbor_function="Min_dist").indices, nearest
    )


def test_the_defaults_draw_the_groups_that_they_drew_before_there_were_rules():
    y, x = np.mgrid[:6, :5]
    p = np.stack([7.0 * y + 0.5 * x, 9.0 * x + 0.25 * y], axis=-1).reshape(-1, 2)
    rows = group(p, 2, neighbor_count=6, n_groups=70, seed=5).indices
    assert hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16] == "c87e1d4cbfc2c078"


def test_a_raster_gives_each_anchor_one_neighbour_of_each_direction():
    p = raster(7, 9, 5.0, 5.0)
    rows = group(p, 2, neighbor_count=4, neighbor_function="4_quadrant").indices
    inside = [r for r in rows if (0 < r[0] // 9 < 6) and (0 < r[0] % 9 < 8)]
    assert len(inside) == 35
    for row in inside:
        assert len({quadrant(p[m] - p[row[0]]) for m in row[1:]}) == 3
    left_out = [({0, 1, 2, 3} - {quadrant(p[m] - p[r[0]]) for m in r[1:]}).pop() for r in inside]
    assert set(left_out) == {0, 1, 2, 3}  # chance decides which


@pytest.mark.parametrize("steps", [(3.0, 12.0), (12.0, 3.0), (5.0, 5.0), (2.0, 31.0)])
def test_the_steps_of_a_raster_are_found_however_long_one_is(steps):
    p = raster(8, 11, *steps)
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(scan_steps(p), steps, rtol=1e-12)
    np.testing.assert_allclose(scan_steps(p[rng.permutation(len(p))]), steps, rtol=1e-12)
    np.testing.assert_allclose(scan_steps(p + rng.normal(0, 0.08 * min(steps), p.shape)), steps, rtol=0.15)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (np.stack([np.zeros(6), 4.0 * np.arange(6)], axis=1), [4.0, 4.0]),
        (np.stack([3.0 * np.arange(6), np.ones(6)], axis=1), [3.0, 3.0]),
        (np.ones((5, 2)), [1.0, 1.0]),
    ],
)
def test_a_line_has_one_step_and_one_place_the_step_of_a_pixel(p, expected):
    np.testing.assert_allclose(scan_steps(p), expected)


def test_a_rectangular_scan_is_grouped_as_the_square_one_with_its_indices():
    rng = np.random.default_rng(2)
    square = raster(9, 10, 1.0, 1.0) + rng.normal(0, 0.02, (90, 2))
    long = square * [4.0, 17.0]
    options = {"neighbor_count": 4, "seed": 1}
    steps = scan_steps(long) / scan_steps(square)
    np.testing.assert_allclose(steps, [4.0, 17.0], rtol=0.02)
    by_steps = group(long, 2, scan_pattern="Rectangular", **options).indices
    # In pixels all four neighbours of a point lie along y; in steps two of them lie along x.
    apart = np.abs(long[by_steps] - long[by_steps[:, :1]])[..., 1].max(axis=1)
    assert (apart > 10).mean() > 0.9
    in_pixels = group(long, 2, **options).indices
    assert (np.abs(long[in_pixels] - long[in_pixels[:, :1]])[..., 1].max(axis=1) > 10).mean() < 0.5
    within = group(
        long, 2, scan_pattern="Rectangular", neighbor_function="Min_dist", max_neighbor_distance=1.2, seed=1
    ).indices
    step = np.abs(long[within] - long[within[:, :1]]) / scan_steps(long)
    assert np.linalg.norm(step, axis=2).max() <= 1.2


def test_limits_include_what_lies_on_them():
    p = raster(5, 5, 3.0, 4.0)
    only = {"neighbor_function": "Min_dist", "neighbor_count": 4, "min_neighbor_distance": 5.0}
    rows = group(p, 2, max_neighbor_distance=5.0000001, **only).indices
    assert len(rows) == 9  # the points with four diagonal neighbours at distance 5 (the rest have two or one)
    np.testing.assert_allclose(np.linalg.norm(p[rows[:, 1:]] - p[rows[:, :1]], axis=2), 5)


def test_points_left_out_are_counted_in_one_warning(caplog):
    p = np.concatenate([raster(5, 5, 6.0, 6.0), [[300.0, 300.0], [400.0, 10.0]]])
    rows = group(p, 2, neighbor_function="Min_dist", max_neighbor_distance=20.0).indices
    assert len(rows) == 25 and rows.max() < 25
    assert [r.getMessage() for r in caplog.records] == [
        "2 of 27 scan points anchor no group: they have fewer than 3 neighbours within the distance limits"
    ]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_neighbor_distance": 5.0},
            r"^no scan point has 3 neighbours 0 to 5 px away: raise max_neighbor_distance to 6 at least$",
        ),
        (
            {"min_neighbor_distance": 80.0},
            r"^no scan point has 3 neighbours 80 px away or more: lower min_neighbor_distance \(80\)$",
        ),
        (
            {"min_neighbor_distance": 80.0, "max_neighbor_distance": 90.0},
            r"^no scan point has 3 neighbours 80 to 90 px away: lower min_neighbor_distance \(80\)$",
        ),
        (
            {"max_neighbor_distance": 0.5, "scan_pattern": "Rectangular"},
            r"0 to 0\.5 scan steps away: raise max_neighbor_distance to 1 at least$",
        ),
    ],
)
@pytest.mark.parametrize("function", ["Min_dist", "4_quadrant"])
def test_where_no_point_is_left_the_limit_to_change_is_named(limits, message, function):
    p = raster(5, 5, 6.0, 6.0)
    with pytest.raises(PositionError, match=message):
        group(p, 2, neighbor_function=function, **limits)
    raised = limits | {"max_neighbor_distance": None, "min_neighbor_distance": 0.0}
    assert len(group(p, 2, neighbor_function=function, **raised)) == 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbor_function": "nearest"}, "must be one of 'Nearest', 'Min_dist', '4_quadrant'"),
        ({"scan_pattern": "Hexagonal"}, "must be one of 'Isotropic', 'Rectangular'"),
        ({"max_neighbor_distance": 9.0}, "no meaning for neighbor_function='Nearest'"),
        ({"min_neighbor_distance": 2.0}, "no meaning for neighbor_function='Nearest'"),
        ({"neighbor_function": "Min_dist", "min_neighbor_distance": -1.0}, "at least 0 and finite"),
        ({"neighbor_function": "Min_dist", "min_neighbor_distance": float("nan")}, "at least 0 and finite"),
        (
            {"neighbor_function": "Min_dist", "min_neighbor_distance": 3.0, "max_neighbor_distance": 3.0},
            r"max_neighbor_distance=3.0 .* above min_neighbor_distance \(3.0\)",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(options, message):
    with pytest.raises(PinnDataError, match=message):
        group(raster(5, 5, 6.0, 6.0), 2, **options)


@pytest.mark.parametrize("function", ["Min_dist", "4_quadrant"])
def test_parts_give_the_groups_of_the_whole(monkeypatch, function):
    from pinn_data.grouping import groups as grouping

    p = np.random.default_rng(0).uniform(0, 100, (200, 2))
    options = {
        "n_groups": 450,
        "neighbor_count": 5,
        "neighbor_function": function,
        "min_neighbor_distance": 9.0,
        "max_neighbor_distance": 17.0,
    }
    whole = group(p, 2, **options).indices
    monkeypatch.setattr(grouping, "_BLOCK", 17)
    monkeypatch.setattr(neighbours, "_LARGEST_QUERY", 64)
    np.testing.assert_array_equal(group(p, 2, **options).indices, whole)


def test_more_groups_than_points_are_distinct_while_points_have_other_choices(caplog):
    p = np.random.default_rng(0).uniform(0, 60, (40, 2))
    limits = {"neighbor_function": "Min_dist", "max_neighbor_distance": 13.0, "neighbor_count": 5}
    fewest = len(group(p, 2, **limits))
    assert 0 < fewest < 40
    caplog.clear()
    rows = group(p, 2, n_groups=3 * fewest, **limits).indices
    assert set(rows[:, 0].tolist()) == set(group(p, 2, **limits).indices[:, 0].tolist())
    group(p, 2, n_groups=40 * 10, **limits)
    assert "different ones, so some repeat" in caplog.text
