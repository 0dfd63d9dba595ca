"""Which scan points may join an anchor's group, and which of them do.

A *candidate* of an anchor is one of its K nearest other points; with ``'Min_dist'`` and ``'4_quadrant'`` one
of the K nearest whose distance lies within limits. Distances are pixels, or scan steps of each axis for a
``'Rectangular'`` scan. Points are given in the order of their coordinates, so that nothing depends on the
order of the frames in a file.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, KDTree, QhullError

from pinn_data.errors import PinnDataError, PositionError

__all__ = ["FUNCTIONS", "PATTERNS", "Candidates", "NeighbourRule", "quadrant_choice", "scan_steps"]

FUNCTIONS = ("Nearest", "Min_dist", "4_quadrant")
PATTERNS = ("Isotropic", "Rectangular")

# Distances are differences of rounded numbers: a limit includes what equals it but for that.
_TOLERANCE = 1e-9
_LARGEST_QUERY = 1 << 22  # distances that are held at once


@attrs.frozen
class NeighbourRule:
    """How candidates are found.

    function : one of :data:`FUNCTIONS`
    minimum, maximum : limits of the distance from the anchor, inclusive; None for no upper one
    pattern : one of :data:`PATTERNS`

    Raises PinnDataError for unknown names, for limits that exclude each other, and for limits with
    ``'Nearest'``, which has none.
    """

    function: str = "Nearest"
    minimum: float = 0.0
    maximum: float | None = None
    pattern: str = "Isotropic"

    def __attrs_post_init__(self) -> None:
        for name, value, known in (
            ("neighbor_function", self.function, FUNCTIONS),
            ("scan_pattern", self.pattern, PATTERNS),
        ):
            if value not in known:
                raise PinnDataError(
                    f"{name}={value!r} was given, but it must be one of {', '.join(map(repr, known))}"
                )
        if not (math.isfinite(self.minimum) and self.minimum >= 0):
            raise PinnDataError(
                f"min_neighbor_distance={self.minimum} was given, but it must be at least 0 and finite"
            )
        if self.maximum is not None and not (math.isfinite(self.maximum) and self.maximum > self.minimum):
            raise PinnDataError(
                f"max_neighbor_distance={self.maximum} was given, but it must be finite and above "
                f"min_neighbor_distance ({self.minimum}), or None for no limit"
            )
        if self.function == "Nearest" and self.limited:
            raise PinnDataError(
                "min_neighbor_distance and max_neighbor_distance have no meaning for "
                "neighbor_function='Nearest': choose 'Min_dist' or '4_quadrant', or leave them out"
            )

    @property
    def limited(self) -> bool:
        """Whether there is any limit of the distance."""
        return self.minimum > 0 or self.maximum is not None

    @property
    def unit(self) -> str:
        """What distances are counted in."""
        return "px" if self.pattern == "Isotropic" else "scan steps"


def scan_steps(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The typical step of a scan along y and x, (2,) float64, object pixels.

    The median over the edges of the Delaunay triangulation that run mostly along that axis: in a raster these
    are the steps between rows and between columns, however much longer the one is than the other. An axis
    along which the scan makes no step has that of the other.
    """
    edges = _edges(points)
    lengths = np.abs(points[edges[:, 0]] - points[edges[:, 1]])
    steps = np.zeros(2)
    for axis in (0, 1):
        along = lengths[:, axis]
        along = along[(along >= lengths[:, 1 - axis]) & (along > 0)]
        if len(along):
            steps[axis] = np.median(along)
    steps[steps == 0] = steps.max() or 1.0
    return steps


def _edges(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pairs (edge, 2) of neighbouring points; those inside the scan come twice."""
    try:
        corners = Delaunay(points).simplices
    except QhullError:  # all on one line, or fewer than three: the next one in order is the neighbour
        return np.stack([np.arange(len(points) - 1), np.arange(1, len(points))], axis=1)
    return np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]).astype(np.int64)


class Candidates:
    """The candidates of every point of a scan.

    points : (point, 2) float64, object pixels as (y, x), in the order of their coordinates
    count : K, at most the number of other points
    """

    def __init__(self, points: NDArray[np.float64], count: int, rule: NeighbourRule) -> None:
        self.rule, self.count = rule, count
        self.points = points if rule.pattern == "Isotropic" else points / scan_steps(points)
        self.tree = KDTree(self.points, balanced_tree=False, compact_nodes=False)
        self.low = rule.minimum * (1 - _TOLERANCE)
        self.high = math.inf if rule.maximum is None else rule.maximum * (1 + _TOLERANCE)

    def of(self, own: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Candidates (point, K) of points `own` by growing distance, and how many each has (point,).

        Behind the last candidate of a point comes the point itself.
        """
        if self.rule.limited:
            return self._within(own, self.count, self.high)
        return self._nearest(own), np.full(len(own), self.count)

    def eligible(self, size: int, block: int) -> NDArray[np.int64]:
        """The points, ascending, that have at least `size` candidates.

        Raises PositionError where there is none, saying which limit to change.
        """
        everyone = np.arange(len(self.points))
        if not self.rule.limited:
            return everyone
        counts = [self._within(part, size, self.high)[1] for part in _parts(everyone, block)]
        enough = np.flatnonzero(np.concatenate(counts) == size)
        if not len(enough):
            low, high, unit = self.rule.minimum, self.rule.maximum, self.rule.unit
            where = f"{low:g} {unit} away or more" if high is None else f"{low:g} to {high:g} {unit} away"
            raise PositionError(f"no scan point has {size} neighbours {where}: {self._remedy(size, block)}")
        return enough

    def quadrants(self, own: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """The quadrant (point, K), 0 to 3, in which each candidate lies as seen from its point.

        Each quadrant holds one of the half-axes that bound it, so that in a raster the next points along the
        four directions lie in four different ones.
        """
        y, x = np.moveaxis(self.points[candidates] - self.points[own][:, None], -1, 0)
        return np.select([(x > 0) & (y >= 0), (x <= 0) & (y > 0), (x < 0) & (y <= 0)], [0, 1, 2], 3)

    def _nearest(self, own: NDArray[np.int64]) -> NDArray[np.int64]:
        k = self.count
        _, near = self.tree.query(self.points[own], k=k + 1, workers=-1)
        itself = near == own[:, None]
        # Where points coincide, a point need not be its own first neighbour, nor among the k + 1 at all: drop
        # it by its number, or else the farthest.
        column = np.where(itself.any(axis=1), itself.argmax(axis=1), k)
        if not column.any():
            return near[:, 1:]
        keep = np.ones(near.shape, bool)
        keep[np.arange(len(near)), column] = False
        return near[keep].reshape(len(near), k)

    def _within(
        self, own: NDArray[np.int64], count: int, high: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The `count` nearest at a distance from the lower limit to `high`, and how many there are."""
        n = len(self.points)
        found, counts = np.repeat(own[:, None], count, axis=1), np.zeros(len(own), np.int64)
        rows, width = np.arange(len(own)), count + 1
        # Nobody knows how many points lie below the lower limit: search twice as far until there are enough.
        while len(rows):
            width, unfinished = min(width, n), []
            for part in _parts(rows, max(1, _LARGEST_QUERY // width)):
                distance, near = self.tree.query(self.points[own[part]], k=width, workers=-1)
                allowed = (distance >= self.low) & (distance <= high) & (near != own[part][:, None])
                place = np.cumsum(allowed, axis=1)
                taken = allowed & (place <= count)
                row, column = np.nonzero(taken)
                found[part[row], place[row, column] - 1] = near[row, column]
                counts[part] = taken.sum(axis=1)
                unfinished.append(part[(counts[part] < count) & (distance[:, -1] <= high) & (width < n)])
            rows, width = np.concatenate(unfinished), 2 * width
        return found, counts

    def _remedy(self, size: int, block: int) -> str:
        lower = f"lower min_neighbor_distance ({self.rule.minimum:g})"
        if self.rule.maximum is None:
            return lower
        needed = math.inf
        for part in _parts(np.arange(len(self.points)), block):
            found, counts = self._within(part, size, math.inf)
            reach = np.linalg.norm(self.points[found[:, -1]] - self.points[part], axis=1)
            needed = min(needed, reach[counts == size].min(initial=math.inf))
        if math.isinf(needed):
            return lower
        return f"raise max_neighbor_distance to {math.ceil(needed * 100) / 100:g} at least"


def quadrant_choice(
    quadrants: NDArray[np.int64], counts: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Columns (point, size), ascending, of candidates from as many different quadrants as there are.

    Quadrants take turns in a random order, and within a quadrant chance decides; so no quadrant gives a
    second one before every quadrant that has a candidate left gave one more.

    quadrants : (point, K), 0 to 3; counts : (point,) how many of the K are candidates, at least `size`
    """
    points, k = quadrants.shape
    keys = rng.random((points, k + 4))  # drawn at once: the numbers do not depend on the blocks
    real = np.arange(k) < counts[:, None]
    quadrant = np.where(real, quadrants, 4)
    order = np.argsort(quadrant + keys[:, :k], axis=1)
    arranged = np.take_along_axis(quadrant, order, axis=1)
    starts = (quadrant[:, :, None] < np.arange(5)).sum(axis=1)  # where each quadrant begins in that order
    turn = np.arange(k) - np.take_along_axis(starts, arranged, axis=1)
    places = np.concatenate([keys[:, k:].argsort(axis=1).argsort(axis=1), np.full((points, 1), 4)], axis=1)
    rank = np.where(arranged < 4, 4 * turn + np.take_along_axis(places, arranged, axis=1), 4 * k + 4)
    chosen = np.take_along_axis(order, np.argsort(rank, axis=1, kind="stable")[:, :size], axis=1)
    return np.sort(chosen, axis=1)


def _parts(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
