"""Batches of groups: rows of indices into one contiguous stack of patterns, and a batch is one gather."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.diffraction import intensity_scale
from pinn_data.grouping import group
from pinn_data.npz import Scan
from pinn_data.overlap import nearby_frames
from pinn_data.scan import split_subpixel
from torch.utils.data import DataLoader, Dataset

from pinn_torch.errors import TorchRunError
from pinn_torch.labels import ObjectLabels
from pinn_torch.module import Batch
from pinn_torch.objective import Objective
from pinn_torch.sharing import Share, SharedBatches, shares
from pinn_torch.team import ALONE, Team

__all__ = [
    "GroupedPatterns",
    "PatternStack",
    "ScanDataModule",
    "canvas_side",
    "canvas_size",
    "neighbour_options",
    "without_far_members",
]

_LOG = logging.getLogger(__name__)
_CANVAS_STEP = 4


class PatternStack:
    """A scan as the network wants it, made batch by batch: the measured stack is never copied.

    scale : network amplitude = scale * measured amplitude, so that the mean energy of a pattern is (N/2)**2
    labels : where a training needs them, what its batches have besides
    nphotons : photons of a mean pattern, from a configuration; default, and always where the patterns are
        counts, what is measured
    """

    def __init__(self, scan: Scan, labels: ObjectLabels | None = None, nphotons: float | None = None) -> None:
        self.labels = labels
        self.diffraction = scan.diffraction
        self.unit = scan.unit
        self.N = scan.N
        energy = scan.nphotons
        if energy <= 0:
            raise TorchRunError(
                "all diffraction patterns are empty (no counts), so there is nothing to learn "
                "from: check the file"
            )
        self.nphotons = energy if nphotons is None or scan.holds_counts else nphotons
        self.scale = (self.N / 2) / float(np.sqrt(energy))
        self.intensity_scale = intensity_scale(self.nphotons, self.N)
        centres, fractions = split_subpixel(scan.positions)
        self.centres = centres
        self.fractions = fractions.astype(np.float32)

    def __len__(self) -> int:
        return len(self.diffraction)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The patterns of these groups (group, pattern) of frame numbers."""
        patterns = self.diffraction[rows.reshape(-1)].reshape(*rows.shape, self.N, self.N)
        amplitude = torch.from_numpy(np.ascontiguousarray(patterns, dtype=np.float32))
        if self.unit != "amplitude":
            amplitude = amplitude.sqrt_()
        batch = {
            "amplitude": amplitude.mul_(self.scale),
            "centres": torch.from_numpy(self.centres[rows]),
            "fractions": torch.from_numpy(self.fractions[rows]),
        }
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels.patches(rows))
        return batch


class GroupedPatterns(Dataset):
    """Groups of a stack; asked for many at once it answers with one batch."""

    def __init__(self, stack: PatternStack, rows: NDArray[np.int64]) -> None:
        self.stack, self.rows = stack, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return self.stack.batch(self.rows[[index]])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return self.stack.batch(self.rows[list(indices)])


def _report_photons(scan: Scan, configured: float) -> None:
    """Says which number of photons the likelihood takes, where the file and the configuration differ."""
    if not scan.holds_counts:
        _LOG.info(
            "the patterns hold no counts, so a mean pattern is taken for nphotons=%g photons", configured
        )
    # The default stands for no opinion.
    elif configured != TrainingConfig.nphotons and not 0.5 <= configured / scan.nphotons <= 2:
        _LOG.warning(
            "nphotons=%g was given, but the patterns hold %.4g photons on average: the measured number is "
            "taken; mend nphotons, or check the unit of the patterns",
            configured,
            scan.nphotons,
        )


def _as_it_is(batch: Batch) -> Batch:
    """What a loader does with a fetched batch: nothing, it is one already."""
    return batch


def canvas_size(centres: NDArray[np.int64], rows: NDArray[np.int64], N: int) -> int:
    """Pixels along one side of a canvas that holds every one of these groups."""
    span = 0
    for start in range(0, len(rows), 65536):
        members = centres[rows[start : start + 65536]]
        span = max(span, int((members.max(1) - members.min(1)).max()))
    return canvas_side(span, N)


def canvas_side(span: int, N: int) -> int:
    """Pixels along one side of a canvas for patches of N x N pixels whose corners lie `span` pixels apart."""
    return N if span == 0 else -(-(N + span) // _CANVAS_STEP) * _CANVAS_STEP


def neighbour_options(config: TrainingConfig | InferenceConfig, gridsize: int) -> dict[str, Any]:
    """What a config says of neighbours, as arguments of `pinn_data.grouping.group`; K is at least what a
    group needs."""
    names = ("neighbor_function", "min_neighbor_distance", "max_neighbor_distance", "scan_pattern")
    return {
        "neighbor_count": max(config.neighbor_count, gridsize**2 - 1),
        **{name: getattr(config, name) for name in names},
    }


def without_far_members(
    centres: NDArray[np.int64], rows: NDArray[np.int64], N: int, what: str
) -> NDArray[np.int64]:
    """The groups whose patterns can share a canvas of twice their size; a warning tells of the others.

    centres : (position, 2) int64; rows : (group, member); what : names the groups in messages
    """
    members = centres[rows]
    near = (members.max(1) - members.min(1)).max(1) <= N
    if not near.all():
        if not near.any():
            raise TorchRunError(
                f"no {what} group has patterns that overlap: neighbours lie more than N={N} pixels apart; "
                "check the unit of the positions (object pixels), or use gridsize 1 and predicted_neighbors 0"
            )
        _LOG.warning(
            "%d of %d %s groups are left out: their patterns lie more than N=%d px apart",
            (~near).sum(),
            len(rows),
            what,
            N,
        )
    return rows[near]


class ScanDataModule(lightning.LightningDataModule):
    """Training and validation groups of one scan each; the training's are drawn anew for every epoch.

    `config.batch_size` groups make one batch however many processes share it.

    canvas : pixels along one side of every group's canvas
    shares : `Share` of each batch of the running epoch; validation_shares : of the validation
    """

    def __init__(
        self,
        scan: Scan,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig,
        *,
        validation: Scan | None = None,
        seed: int = 0,
        team: Team = ALONE,
    ) -> None:
        super().__init__()
        self.config, self.execution, self.seed, self.team = config, execution, seed, team
        # Lightning asks for the data of a resumed training before it counts up the epoch that was finished.
        self.first_epoch = 0
        self.stack = self._stack(scan)
        _report_photons(scan, config.nphotons)
        self.validation_stack = self._stack(validation) if validation is not None else None
        self._positions = scan.positions
        self._first = self._rows(scan.positions, seed, "training")
        self._validation = (
            self._rows(validation.positions, seed, "validation", limit=256)
            if validation is not None
            else None
        )
        self.canvas = canvas_size(self.stack.centres, self._first, self.stack.N)
        if self.validation_stack is not None and self._validation is not None:
            self.canvas = max(
                self.canvas, canvas_size(self.validation_stack.centres, self._validation, self.stack.N)
            )
        self.shares = self._shares(self._first, execution.accum_steps)
        self.validation_shares = self._shares(self._validation, 1) if self._validation is not None else []

    def _stack(self, scan: Scan) -> PatternStack:
        objective, model = Objective.of(self.config), self.config.model
        if not objective.needs_labels:
            return PatternStack(scan, nphotons=self.config.nphotons)
        why = (
            "model_type='supervised'"
            if objective.supervised
            else f"realspace_mae_weight={objective.realspace_mae_weight:g}"
        )
        labels = ObjectLabels(scan, why, model.gaussian_smoothing_sigma)
        return PatternStack(scan, labels, self.config.nphotons)

    @property
    def validates(self) -> bool:
        """Whether there is a validation scan."""
        return self.validation_stack is not None

    def _rows(
        self, positions: NDArray[np.float64], seed: int, what: str, limit: int | None = None
    ) -> NDArray[np.int64]:
        c = self.config
        wanted = c.n_groups if c.model.gridsize > 1 else min(c.n_groups or len(positions), len(positions))
        if limit is not None:
            wanted = min(limit, wanted or limit, len(positions))
        groups = group(
            positions,
            c.model.gridsize,
            n_groups=wanted,
            seed=seed,
            sequential=c.sequential_sampling,
            **neighbour_options(c, c.model.gridsize),
        )
        rows = nearby_frames(positions, groups, c.predicted_neighbors, seed=seed)
        centres, _ = split_subpixel(positions)
        return without_far_members(centres, rows, self.stack.N, what)

    def train_dataloader(self) -> DataLoader:
        epoch = max(self.first_epoch, self.trainer.current_epoch if self.trainer is not None else 0)
        rows = self._first if epoch == 0 else self._rows(self._positions, self.seed + epoch, "training")
        self.canvas = max(self.canvas, canvas_size(self.stack.centres, rows, self.stack.N))
        self.shares = self._shares(rows, self.execution.accum_steps)
        return self._loader(self.stack, rows, self.seed + epoch)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        if self.validation_stack is None or self._validation is None:
            return []
        return self._loader(self.validation_stack, self._validation, None)

    def _shares(self, rows: NDArray[np.int64], accum_steps: int) -> list[Share]:
        return shares(len(rows), self.config.batch_size, accum_steps, self.team)

    def _loader(self, stack: PatternStack, rows: NDArray[np.int64], order: int | None) -> DataLoader:
        e = self.execution
        return DataLoader(
            GroupedPatterns(stack, rows),
            batch_sampler=SharedBatches(len(rows), self.config.batch_size, self.team, order),
            collate_fn=_as_it_is,
            num_workers=e.num_workers,
            pin_memory=e.pin_memory,
            persistent_workers=e.persistent_workers and e.num_workers > 0,
            prefetch_factor=e.prefetch_factor if e.num_workers > 0 else None,
        )
