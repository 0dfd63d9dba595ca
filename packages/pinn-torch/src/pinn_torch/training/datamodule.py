"""Batches of groups: rows of indices into one contiguous stack of patterns, and a batch is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.grouping import pattern_stack
from pinn_data.grouping.group_rows import canvas_size, training_rows
from pinn_data.grouping.pattern_stack import labels_for, report_overruled
from pinn_data.scan.scan import Scan
from torch.utils.data import DataLoader, Dataset

from pinn_torch.distributed.batch_shares import Share, SharedBatches, shares
from pinn_torch.distributed.ranks import ALONE, Team
from pinn_torch.model.module import Batch

__all__ = ["GroupedPatterns", "PatternStack", "ScanDataModule"]


class PatternStack(pattern_stack.PatternStack):
    """`pinn_data.grouping.pattern_stack.PatternStack` whose batches are tensors."""

    def batch(self, rows: NDArray[np.int64]) -> Batch:  # type: ignore[override]  # tensors, not arrays
        """The patterns of these groups (group, pattern) of frame numbers."""
        # The arithmetic is torch's, which uses all threads.
        amplitude = torch.from_numpy(self.patterns(rows))
        if self.unit != "amplitude":
            amplitude = amplitude.sqrt_()
        others = {name: torch.from_numpy(array) for name, array in self.geometry(rows).items()}
        return {"amplitude": amplitude.mul_(self.scale), **others}


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


def _as_it_is(batch: Any) -> Batch:
    """What a loader does with a fetched batch: nothing, it is one already."""
    return batch


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
        report_overruled(scan, config)
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
        return PatternStack(scan, labels_for(scan, self.config), self.config.nphotons)

    @property
    def validates(self) -> bool:
        """Whether there is a validation scan."""
        return self.validation_stack is not None

    def _rows(
        self, positions: NDArray[np.float64], seed: int, what: str, limit: int | None = None
    ) -> NDArray[np.int64]:
        return training_rows(positions, self.config, self.stack.N, seed=seed, what=what, limit=limit)

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
