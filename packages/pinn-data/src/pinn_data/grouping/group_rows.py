"""The groups of a run as rows of frame numbers, drawn as a configuration says, and the canvas that holds
them."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_config.configs import InferenceConfig, TrainingConfig

from pinn_data.errors import PositionError
from pinn_data.grouping.groups import group
from pinn_data.grouping.overlap import nearby_frames
from pinn_data.scan.positions import split_subpixel, validate_positions
from pinn_data.scan.scan import Scan

__all__ = [
    "canvas_side",
    "canvas_size",
    "neighbour_options",
    "reconstruction_rows",
    "shuffled",
    "training_rows",
    "without_far_members",
]

_LOG = logging.getLogger(__name__)
_CANVAS_STEP = 4  # canvases come in few sizes, because a compiler makes new code for each
_BLOCK = 1 << 16


def canvas_size(centres: NDArray[np.int64], rows: NDArray[np.int64], N: int) -> int:
    """Pixels along one side of a canvas that holds every one of these groups.

    centres : (position, 2) int64; rows : (group, member) frame numbers
    """
    span = 0
    for start in range(0, len(rows), _BLOCK):
        members = centres[rows[start : start + _BLOCK]]
        span = max(span, int((members.max(1) - members.min(1)).max()))
    return canvas_side(span, N)


def canvas_side(span: int, N: int) -> int:
    """Pixels along one side of a canvas for patches of N x N pixels whose corners lie `span` pixels apart."""
    return N if span == 0 else -(-(N + span) // _CANVAS_STEP) * _CANVAS_STEP


def neighbour_options(config: TrainingConfig | InferenceConfig, gridsize: int) -> dict[str, Any]:
    """What a config says of neighbours, as arguments of `pinn_data.grouping.groups.group`; K is at least what
    a group needs."""
    names = ("neighbor_function", "min_neighbor_distance", "max_neighbor_distance", "scan_pattern")
    return {
        "neighbor_count": max(config.neighbor_count, gridsize**2 - 1),
        **{name: getattr(config, name) for name in names},
    }


def training_rows(
    positions: ArrayLike, config: TrainingConfig, N: int, *, seed: int, what: str, limit: int | None = None
) -> NDArray[np.int64]:
    """Rows (group, gridsize**2 + predicted_neighbors) of frame numbers: the groups of one epoch, each
    followed by the frames that it must predict without having seen them.

    positions : (position, 2) float64, object pixels, as (y, x)
    N : pixels along one side of a pattern
    what : names the groups in messages
    limit : so many groups at most, and one an anchor; `config.n_groups` counts otherwise

    Raises PositionError where no group can share a canvas, and what `pinn_data.grouping.groups.group` raises.
    """
    points = validate_positions(positions)
    gridsize = config.model.gridsize
    wanted = config.n_groups if gridsize > 1 else min(config.n_groups or len(points), len(points))
    if limit is not None:
        wanted = min(limit, wanted or limit, len(points))
    groups = group(
        points,
        gridsize,
        n_groups=wanted,
        seed=seed,
        sequential=config.sequential_sampling,
        **neighbour_options(config, gridsize),
    )
    rows = nearby_frames(points, groups, config.predicted_neighbors, seed=seed)
    return without_far_members(split_subpixel(points)[0], rows, N, what)


def reconstruction_rows(
    scan: Scan, centres: NDArray[np.int64], config: InferenceConfig, gridsize: int, *, seed: int
) -> NDArray[np.int64]:
    """The groups (group, gridsize**2) of frame numbers that are reconstructed: of the subsample that `config`
    asks for, drawn by its own seed or else by `seed`.

    centres : (position, 2) int64, the object pixels of the positions

    A warning tells how many frames are in no group, unless `config` asks for so many groups and no more.
    Raises PositionError where no group can share a canvas, and what `pinn_data.grouping.groups.group` raises.
    """
    frames = scan.subsample(
        config.n_subsample, seed if config.subsample_seed is None else config.subsample_seed
    )
    groups = group(
        scan.positions[frames],
        gridsize,
        n_groups=config.n_groups,
        seed=seed,
        **neighbour_options(config, gridsize),
    )
    rows = without_far_members(centres, frames[groups.indices], scan.N, "reconstruction")
    missing = len(np.setdiff1d(frames, rows))
    if missing and config.n_groups is None:
        _LOG.warning(
            "%d of %d frames are in no group, so the image is empty where only they cover the object: "
            "widen the limits of neighbours, or use a model of gridsize 1",
            missing,
            len(frames),
        )
    return rows


def shuffled(length: int, seed: int) -> list[int]:
    """0 to length - 1 in an order that the seed decides: Fisher's and Yates' shuffle with the numbers of the
    Mersenne Twister, which is what ``torch.randperm`` gives.

    >>> shuffled(5, 0)
    [4, 0, 1, 3, 2]
    """
    bits = np.random.MT19937()
    seeded: Any = np.random.RandomState(seed % 2**32)  # Nishimura's and Matsumoto's seeding
    bits.state = seeded.get_state(legacy=False)
    numbers = list(range(length))
    for i, draw in enumerate(bits.random_raw(max(0, length - 1)).tolist()):
        j = i + draw % (length - i)
        numbers[i], numbers[j] = numbers[j], numbers[i]
    return numbers


def without_far_members(
    centres: NDArray[np.int64], rows: NDArray[np.int64], N: int, what: str
) -> NDArray[np.int64]:
    """The groups whose patterns can share a canvas of twice their size; a warning tells of the others.

    centres : (position, 2) int64; rows : (group, member); what : names the groups in messages

    Raises PositionError where there is none.
    """
    members = centres[rows]
    near = (members.max(1) - members.min(1)).max(1) <= N
    if not near.all():
        if not near.any():
            raise PositionError(
                f"no {what} group has overlapping patterns: neighbours lie more than N={N} pixels apart; "
                "check the unit of the positions (object pixels), or use gridsize 1 and "
                "predicted_neighbors 0"
            )
        _LOG.warning(
            "%d of %d %s groups are left out: their patterns lie more than N=%d px apart",
            (~near).sum(),
            len(rows),
            what,
            N,
        )
    return rows[near]
