"""Groups of neighbouring scan points: rows of indices into a scan, never copies of its patterns.

A group is an *anchor* and ``gridsize**2 - 1`` of its candidates (:mod:`pinn_data.grouping.neighbours`), by
default the K nearest other points. Channel order: the anchor first, then its neighbours by growing distance.
Everything is worked out on the points in the order of their coordinates, so the groups depend on the set of
points and the seed, not on the order of the frames in the file (points at one and the same place keep the
file's order among themselves)."""

from __future__ import annotations

import itertools
import logging
import math
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import DataRangeError, PinnDataError, PositionError, ShapeError
from pinn_data.grouping.grouped_images import GroupedImages
from pinn_data.grouping.neighbours import Candidates, NeighbourRule, quadrant_choice
from pinn_data.optics.patches import extract
from pinn_data.scan.diffraction import check_unit, convert_block, frame_energies
from pinn_data.scan.positions import validate_positions

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

__all__ = ["Groups", "group", "grouped_dict", "offsets"]

_LOG = logging.getLogger(__name__)
_ENERGY_BLOCK = 256  # frames whose energies are added up at once
_BLOCK = 1 << 16  # anchors whose neighbours are held at once
# Combinations of neighbours that are listed; beyond it they are drawn by sorting random keys.
_LARGEST_TABLE = 100_000


def _index_rows(indices: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(indices)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ShapeError(
            f"group indices of shape {array.shape} and dtype {array.dtype} were given, but "
            "integers (group, C) are needed"
        )
    return array.astype(np.int64, copy=False)


@attrs.frozen(eq=False)
class Groups:
    """Which frames belong together.

    indices : (group, C) int64
        Rows of frame numbers; column 0 is the anchor, the others follow by distance from it.
    """

    indices: NDArray[np.int64] = attrs.field(converter=_index_rows)

    @property
    def channels(self) -> int:
        """C = gridsize**2, the patterns in one group."""
        return self.indices.shape[1]

    def __len__(self) -> int:
        return len(self.indices)


def group(
    positions: ArrayLike,
    gridsize: int,
    *,
    n_groups: int | None = None,
    neighbor_count: int = 4,
    seed: int | np.random.Generator | None = 0,
    sequential: bool = False,
    neighbor_function: str = "Nearest",
    min_neighbor_distance: float = 0.0,
    max_neighbor_distance: float | None = None,
    scan_pattern: str = "Isotropic",
) -> Groups:
    """Groups of ``gridsize**2`` neighbouring scan points.

    Members lie within the K nearest of their anchor (K = ``neighbor_count``); which of the K join is drawn
    at random. ``gridsize=1`` is the identity: every point is its own group.

    ======================  ==============================================================================
    ``neighbor_function``   the K that may join
    ======================  ==============================================================================
    ``'Nearest'``           the K nearest
    ``'Min_dist'``          the K nearest of those between the two distances from the anchor, inclusive
    ``'4_quadrant'``        the same K, and the quadrants around the anchor take turns in giving a member:
                            at ``gridsize=2`` three different ones where the K lie in as many
    ======================  ==============================================================================

    Parameters
    ----------
    positions : (position, 2) float64, object pixels, as (y, x)
    gridsize : 1, 2, 3, ...
    n_groups : int, default one for each point
        Fewer than points: that many anchors are drawn, without replacement.  More: anchors serve several
        times, each time with another choice of neighbours while there is one (``comb(K, C - 1)`` an
        anchor), then repeats follow and a warning is logged.  At ``gridsize=1`` there is one group for each
        point and no more: logged, too.
    neighbor_count : int, at least ``gridsize**2 - 1``
        K; limited to the other points of the scan.
    seed : int, Generator or None
        The same seed gives the same groups; None draws fresh entropy.
    sequential : bool
        Take the first ``n_groups`` points of the file as anchors instead of drawing them.
    min_neighbor_distance, max_neighbor_distance : float, or None for no upper limit
        Points that have fewer than ``gridsize**2 - 1`` neighbours between them anchor no group (they may be
        members), and one warning counts them.  ``n_groups`` counts the others.  Not for ``'Nearest'``.
    scan_pattern : 'Isotropic' or 'Rectangular'
        Distances are pixels, or typical steps of each axis
        (:func:`pinn_data.grouping.neighbours.scan_steps`): the way to count neighbours where a raster has
        longer steps along one axis.

    Returns
    -------
    Groups
        In the order of the anchors' frame numbers; an anchor's second groups follow all the first ones.

    Raises
    ------
    PositionError
        There are fewer points than a group needs, or no point has enough neighbours within the limits.
    PinnDataError
        gridsize, n_groups, neighbor_count or a rule about neighbours is out of range.
    """
    rule = NeighbourRule(neighbor_function, min_neighbor_distance, max_neighbor_distance, scan_pattern)
    points = validate_positions(positions)
    n, channels = len(points), gridsize**2
    if gridsize < 1:
        raise PinnDataError(f"gridsize={gridsize} was given, but it must be at least 1")
    if n_groups is not None and n_groups < 1:
        raise PinnDataError(
            f"n_groups={n_groups} was given, but it must be at least 1 (or None for one per point)"
        )
    if n < channels:
        raise PositionError(
            f"gridsize={gridsize} needs {channels} scan points, but the scan has {n}: use a "
            "smaller gridsize or more of the scan"
        )
    if channels > 1 and neighbor_count < channels - 1:
        raise PinnDataError(
            f"neighbor_count={neighbor_count} was given, but gridsize={gridsize} needs at least "
            f"{channels - 1} neighbours"
        )
    rng = np.random.default_rng(seed)
    if channels == 1:
        return _single_points(points, n_groups, rng, sequential)

    order = _coordinate_order(points)
    candidates = Candidates(points[order], min(neighbor_count, n - 1), rule)
    able = candidates.eligible(channels - 1, _BLOCK)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    if len(able) < n:
        _LOG.warning(
            "%d of %d scan points anchor no group: they have fewer than %d neighbours within the distance "
            "limits",
            n - len(able),
            n,
            channels - 1,
        )
    wanted = len(able) if n_groups is None else n_groups
    choose = _Choice(candidates, channels - 1, rng)
    if rule.function != "4_quadrant" and wanted > len(able):
        possible = choose.possible(able)
        if wanted > possible:
            _LOG.warning(
                "%d groups were requested, but %d points with %d neighbours give only %d different ones, "
                "so some repeat: raise neighbor_count for more",
                wanted,
                len(able),
                candidates.count,
                possible,
            )
    indices = np.empty((wanted, channels), np.int64)
    for turn, first in enumerate(range(0, wanted, len(able))):
        anchors = _anchors(order[able], min(len(able), wanted - first), rng, sequential)
        visit = np.argsort(rank[anchors])  # near ones together: the tree stays in cache
        for start in range(0, len(visit), _BLOCK):
            rows = visit[start : start + _BLOCK]
            own = rank[anchors[rows]]
            members = np.empty((len(rows), channels), np.int64)
            members[:, 0] = anchors[rows]
            members[:, 1:] = order[choose(own, turn)]
            indices[first + rows] = members
    return Groups(indices)


def _single_points(
    points: NDArray[np.float64], n_groups: int | None, rng: np.random.Generator, sequential: bool
) -> Groups:
    n = len(points)
    wanted = n if n_groups is None else n_groups
    if wanted > n:
        _LOG.warning("%d groups were requested, but gridsize 1 has one for each of the %d points", wanted, n)
        wanted = n
    order = _coordinate_order(points) if wanted < n and not sequential else np.arange(n)
    return Groups(_anchors(order, wanted, rng, sequential)[:, None])


def _coordinate_order(points: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.lexsort((points[:, 1], points[:, 0]))


def _anchors(
    able: NDArray[np.int64], wanted: int, rng: np.random.Generator, sequential: bool
) -> NDArray[np.int64]:
    """Frame numbers, ascending, of ``wanted`` different ones of the frames `able`, given by coordinates."""
    if wanted == len(able) or sequential:
        return np.sort(able)[:wanted]
    return np.sort(able[rng.choice(len(able), wanted, replace=False)])


class _Choice:
    """Which ``size`` of the candidates join a group: another set at every turn while there is one.

    (With ``'4_quadrant'`` chance decides at every turn anew.)
    """

    def __init__(self, candidates: Candidates, size: int, rng: np.random.Generator) -> None:
        self.candidates, self.size, self.rng = candidates, size, rng
        self.tables: dict[int, _Table | None] = {}
        # The table for all K is made first, from the generator itself; those for points with fewer candidates
        # have their own, so that they do not depend on who comes first.
        if candidates.rule.function != "4_quadrant":
            self.tables[candidates.count] = self._table(candidates.count, rng)
        self.entropy = int(rng.integers(2**63)) if candidates.rule.limited else 0

    def possible(self, points: NDArray[np.int64]) -> int:
        """How many different groups these points can anchor."""
        if not self.candidates.rule.limited:
            return len(points) * math.comb(self.candidates.count, self.size)
        counts = np.concatenate(
            [self.candidates.of(points[s : s + _BLOCK])[1] for s in range(0, len(points), _BLOCK)]
        )
        found, times = np.unique(counts, return_counts=True)
        return sum(int(t) * math.comb(int(c), self.size) for c, t in zip(found, times, strict=True))

    def __call__(self, points: NDArray[np.int64], turn: int) -> NDArray[np.int64]:
        """Points (point, size) that join at this turn, by growing distance from each of `points`."""
        near, counts = self.candidates.of(points)
        if self.candidates.rule.function == "4_quadrant":
            quadrants = self.candidates.quadrants(points, near)
            columns = quadrant_choice(quadrants, counts, self.size, self.rng)
        else:
            columns = np.empty((len(points), self.size), np.int64)
            for count in np.unique(counts):
                rows = np.flatnonzero(counts == count)
                columns[rows] = self._columns(points[rows], int(count), turn)
        return np.take_along_axis(near, columns, axis=1)

    def _columns(self, points: NDArray[np.int64], count: int, turn: int) -> NDArray[np.int64]:
        """Columns (point, size), ascending, of `count` candidates."""
        if count not in self.tables:
            self.tables[count] = self._table(count, np.random.default_rng([self.entropy, count]))
        table = self.tables[count]
        if table is not None:
            return table.combinations[(table.start[points] + turn) % len(table.combinations)]
        # So many combinations that the same one hardly comes twice.
        keys = self.rng.random((len(points), count), np.float32)
        return np.sort(np.argpartition(keys, self.size - 1, axis=1)[:, : self.size], axis=1)

    def _table(self, count: int, rng: np.random.Generator) -> _Table | None:
        number = math.comb(count, self.size)
        if number > _LARGEST_TABLE:
            return None
        table = np.array(list(itertools.combinations(range(count), self.size)), np.int64)
        combinations = table[rng.permutation(number)]
        # One for each point, so that anchors do not choose in step.
        return _Table(combinations, rng.integers(number, size=len(self.candidates.points)))


@attrs.frozen
class _Table:
    """Combinations (combination, size) of columns in random order, and where each point starts in it."""

    combinations: NDArray[np.int64]
    start: NDArray[np.int64]


def offsets(positions: ArrayLike, groups: Groups) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each group lies, and where its members lie in it.

    ``positions[groups.indices] == relative + centre[:, None]``; relative positions of a group add up to zero.

    Returns
    -------
    centre : (group, 2) float64, object pixels, as (y, x)
    relative : (group, C, 2) float64, object pixels, as (y, x)
    """
    members = validate_positions(positions)[groups.indices]
    centre = members.mean(axis=1)
    return centre, members - centre[:, None]


def _coordinates(positions: NDArray[np.float64], groups: Groups) -> tuple[NDArray[np.float64], ...]:
    """Absolute (B,1,2,C), mean (B,1,2,1), relative (B,1,2,C) coordinates, for clients: x, y; minus."""
    centre, relative = offsets(positions, groups)

    def client(array: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ascontiguousarray(np.swapaxes(array[..., ::-1], 1, 2)[:, None])

    return client(positions[groups.indices]), client(centre[:, None]), -client(relative)


def grouped_dict(
    scan: Scan, groups: Groups, *, scale: float | None = None, truth: bool = True
) -> dict[str, Any]:
    """The groups as the arrays that PtychoPINN's clients expect.

    ``diffraction``, ``X_full`` and ``Y`` are `pinn_data.grouping.grouped_images.GroupedImages`: arrays for
    whoever reads them, and made only then. Axis 2 of the coordinates is (x, y).  Relative coordinates carry
    the clients' minus sign: ``-(c - mean(c))``.

    =================================  ===========  ========================================
    key                                shape        what
    =================================  ===========  ========================================
    diffraction                        (B,N,N,C)    float32 amplitude
    X_full                             (B,N,N,C)    float32 ``scale * amplitude``
    coords_nn, coords_start_nn         (B,1,2,C)    float64 positions
    coords_offsets, coords_start_...   (B,1,2,1)    their mean
    coords_relative, coords_start_...  (B,1,2,C)    ``-(coords_nn - coords_offsets)``
    local_offsets                      (B,1,2,C)    the same as coords_relative
    nn_indices                         (B,C)        int64 frame numbers
    Y                                  (B,N,N,C)    complex64 patches of the scan's object, or None
    objectGuess                        (H,W)        the scan's object, or None
    =================================  ===========  ========================================

    Parameters
    ----------
    scan : Scan
    groups : Groups
    scale : float, default so that these groups have the mean energy ``(N/2)**2`` a pattern
        Pass the training set's to apply a trained model.
    truth : bool
        Cut ``Y`` from the object where the scan has one (bilinear at fractional positions).

    Raises
    ------
    PositionError
        A truth patch reaches outside the object.
    DataRangeError
        Every pattern of the groups is zero, so there is no scale.

    Source: the specification, section 4.3, and PtychoPINN ``raw_data.py``.
    """
    rows = groups.indices
    unit = check_unit(scan.unit)

    def amplitudes(frames: NDArray[np.int64]) -> NDArray[np.float32]:
        return convert_block(scan.diffraction[frames], unit, "amplitude").astype(np.float32, copy=False)

    diffraction = GroupedImages(rows, scan.N, np.dtype(np.float32), amplitudes)
    factor = _normalising(scan, rows) if scale is None else scale
    measured, start = _coordinates(scan.positions, groups), _coordinates(scan.positions_start, groups)
    Y = _truth(scan.object, scan, rows) if truth and scan.object is not None else None
    return {
        "diffraction": diffraction,
        "X_full": diffraction * factor,
        "coords_nn": measured[0],
        "coords_offsets": measured[1],
        "coords_relative": measured[2],
        "local_offsets": measured[2],
        "coords_start_nn": start[0],
        "coords_start_offsets": start[1],
        "coords_start_relative": start[2],
        "nn_indices": rows,
        "Y": Y,
        "objectGuess": scan.object,
    }


def _normalising(scan: Scan, rows: NDArray[np.int64]) -> float:
    """The factor that gives the patterns of these rows a mean energy of ``(N/2)**2``."""
    times = np.bincount(rows.reshape(-1), minlength=len(scan))
    used = np.flatnonzero(times)
    energy = 0.0
    for start in range(0, len(used), _ENERGY_BLOCK):
        frames = used[start : start + _ENERGY_BLOCK]
        energy += float(frame_energies(scan.diffraction[frames], scan.unit) @ times[frames])
    if energy == 0:
        raise DataRangeError(
            "every diffraction pattern is zero, so it cannot be scaled to a number of photons: check the file"
        )
    return scan.N / 2 / math.sqrt(energy / rows.size)


def _truth(image: NDArray[np.complex64], scan: Scan, rows: NDArray[np.int64]) -> GroupedImages:
    """Patches of the scan's object, which is `image`, at the frames of these rows."""
    used = scan.positions[np.unique(rows)]
    ends = [find(used[:, axis]) for find in (np.argmin, np.argmax) for axis in (0, 1)]
    extract(image, used[ends], scan.N)  # raises now, not when somebody looks

    def patches(frames: NDArray[np.int64]) -> NDArray[np.complex64]:
        return extract(image, scan.positions[frames], scan.N)

    return GroupedImages(rows, scan.N, np.dtype(np.complex64), patches)
