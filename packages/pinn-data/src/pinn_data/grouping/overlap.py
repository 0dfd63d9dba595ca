"""Frames near a group that are not in it: what a reconstruction of the group must predict without having seen
it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from pinn_data.errors import PinnDataError
from pinn_data.grouping.groups import Groups
from pinn_data.scan.positions import validate_positions

__all__ = ["nearby_frames"]

_BLOCK = 1 << 16


def nearby_frames(
    positions: ArrayLike, groups: Groups, count: int, *, seed: int | np.random.Generator | None = 0
) -> NDArray[np.int64]:
    """Rows (group, C + count) of frame numbers: each group's members, then `count` frames near its anchor
    that are not in it.

    The added frames are drawn from the ``C + 2 * count`` nearest neighbours of the anchor, and come by
    growing distance. A scan of fewer points adds as many as there are outside a group.

    positions : (position, 2) float64, object pixels, as (y, x)
    count : int, at least 0
    seed : the same seed gives the same frames

    Raises PinnDataError for a negative count.
    """
    points = validate_positions(positions)
    if count < 0:
        raise PinnDataError(
            f"{count} frames outside each group were requested, but the number must be at least 0"
        )
    rows = groups.indices
    count = min(count, len(points) - groups.channels)
    if count == 0:
        return rows
    rng = np.random.default_rng(seed)
    near = min(groups.channels + 2 * count + 1, len(points))
    tree = KDTree(points)
    result = np.empty((len(rows), groups.channels + count), np.int64)
    result[:, : groups.channels] = rows
    for start in range(0, len(rows), _BLOCK):
        members = rows[start : start + _BLOCK]
        _, candidates = tree.query(points[members[:, 0]], k=near, workers=-1)
        keys = rng.random(candidates.shape, np.float32)
        keys[(candidates[:, :, None] == members[:, None, :]).any(-1)] = np.inf
        drawn = np.sort(np.argpartition(keys, count - 1, axis=1)[:, :count], axis=1)
        result[start : start + _BLOCK, groups.channels :] = np.take_along_axis(candidates, drawn, axis=1)
    return result
