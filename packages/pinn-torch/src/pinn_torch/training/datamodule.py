"""Batches of groups: rows of indices into one contiguous stack of patterns, and a batch is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.grouping import pattern_stack
from pinn_data.grouping.epoch_groups import EpochGroups
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
        self.groups = EpochGroups(scan, config, validation=validation, seed=seed, stack_type=PatternStack)
        self.shares = self._shares(self.groups.first, execution.accum_steps)
        rows = self.groups.validation_rows
        self.validation_shares = [] if rows is None else self._shares(rows, 1)

    @property
    def stack(self) -> PatternStack:
        """The scan that is learned."""
        return cast(PatternStack, self.groups.stack)

    @property
    def canvas(self) -> int:
        """Pixels along one side of every group's canvas."""
        return self.groups.canvas

    @property
    def validates(self) -> bool:
        """Whether there is a validation scan."""
        return self.groups.validates

    def train_dataloader(self) -> DataLoader:
        epoch = max(self.first_epoch, self.trainer.current_epoch if self.trainer is not None else 0)
        rows = self.groups.rows_of(epoch)
        self.shares = self._shares(rows, self.execution.accum_steps)
        return self._loader(self.stack, rows, self.seed + epoch)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        stack, rows = self.groups.validation_stack, self.groups.validation_rows
        if stack is None or rows is None:
            return []
        return self._loader(cast(PatternStack, stack), rows, None)

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
