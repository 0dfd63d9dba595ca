"""Parts of a scan: regions and every other frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_dispatch.compare.selection import Region, select
from pinn_dispatch.errors import UsageError

bounds = st.integers(-20, 20).map(float)
positions = st.lists(st.tuples(bounds, bounds), min_size=1, max_size=30).map(
    lambda rows: np.array(rows, np.float64)
)


@given(positions, st.sampled_from("yx"), bounds)
def test_a_comparison_and_its_opposite_split_the_scan(points, axis, bound):
    for one, other in (("<", ">="), ("<=", ">")):
        first, second = (Region.parse(f"{axis}{sign}{bound}").mask(points) for sign in (one, other))
        assert np.array_equal(first, ~second)


@given(positions, bounds, bounds)
def test_conditions_are_joined(points, low, high):
    joined = Region.parse(f"y >= {low}, x<{high:e}").mask(points)
    assert np.array_equal(joined, [y >= low and x < high for y, x in points])


@pytest.mark.parametrize(
    "text", ["", "y", "y=3", "z<3", "y<3;x>2", "3<y", "y<", "y<nan", "y<3,", "y < 3 x > 2", "y<0x10"]
)
def test_what_is_no_region(text):
    with pytest.raises(UsageError, match="for example 'y<238'"):
        Region.parse(text)


def test_even_and_odd_frames_split_the_scan(scan):
    even, odd = (select(scan, None, which) for which in ("even", "odd"))
    assert np.array_equal(even.positions, scan.positions[::2])
    assert np.array_equal(odd.diffraction, scan.diffraction[1::2])


def test_parity_is_that_of_the_number_in_the_file(scan):
    region = Region.parse("y>=20")
    both = {tuple(p) for which in ("even", "odd") for p in select(scan, region, which).positions}
    assert both == {tuple(p) for p in select(scan, region).positions}
    assert np.array_equal(
        select(scan, region, "even").positions, [p for p in scan.positions[::2] if p[0] >= 20]
    )


def test_the_whole_scan_is_not_copied(scan):
    assert select(scan) is scan
    assert select(scan, Region.parse("y>-1e9")) is scan


def test_an_empty_part_says_where_the_scan_lies(scan):
    with pytest.raises(
        UsageError, match=r"region 'y<-5' and odd frames leaves none of the \d+ frames: y runs from"
    ):
        select(scan, Region.parse("y<-5"), "odd")
