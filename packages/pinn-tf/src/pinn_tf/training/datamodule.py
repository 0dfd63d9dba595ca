"""Batches of groups: rows of indices into one contiguous stack of patterns, and a batch is one gather."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.grouping.epoch_groups import EpochGroups
from pinn_data.grouping.group_rows import shuffled
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.prefetch import prefetched
from pinn_data.scan.scan import Scan

__all__ = ["GroupBatches", "Share"]


@attrs.frozen
class Share:
    """What a batch is among those of one step of the optimiser.

    groups : in the batch
    weight : of the mean over them in the mean over all groups of the step
    ends_step : whether the optimiser steps after it
    """

    groups: int
    weight: float
    ends_step: bool

    @classmethod
    def of_epoch(cls, length: int, batch_size: int, accum_steps: int) -> list[Share]:
        """The shares of all batches of an epoch of `length` groups; what is left over makes a step, too."""
        found, step = [], batch_size * accum_steps
        for start in range(0, length, batch_size):
            groups = min(batch_size, length - start)
            first = start - start % step
            end = min(first + step, length)
            found.append(cls(groups, groups / (end - first), start + groups == end))
        return found


class GroupBatches:
    """Batches of the training and validation groups (`pinn_data.grouping.epoch_groups.EpochGroups`)."""

    def __init__(
        self,
        scan: Scan,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig,
        *,
        validation: Scan | None = None,
        seed: int = 0,
    ) -> None:
        self.config, self.execution, self.seed = config, execution, seed
        self.groups = EpochGroups(scan, config, validation=validation, seed=seed)

    @property
    def stack(self) -> PatternStack:
        """The scan that is learned."""
        return self.groups.stack

    @property
    def canvas(self) -> int:
        """Pixels along one side of every group's canvas, as far as groups were drawn."""
        return self.groups.canvas

    @property
    def steps_per_epoch(self) -> int:
        return sum(share.ends_step for share in self._shares(len(self.groups.first)))

    @property
    def validates(self) -> bool:
        """Whether there is a validation scan."""
        return self.groups.validates

    def epoch(self, number: int) -> Iterator[tuple[Share, dict[str, NDArray]]]:
        """The batches of epoch `number`, gathered while they are asked for, or ahead by threads
        (``num_workers``, ``prefetch_factor``); `canvas` holds them from the first one on."""
        rows = self.groups.rows_of(number)
        order = shuffled(len(rows), self.seed + number)
        return self._batches(self.stack, rows[order], self._shares(len(rows)))

    def validation(self) -> Iterator[tuple[Share, dict[str, NDArray]]]:
        """The batches of the validation; none without a scan for it."""
        stack, rows = self.groups.validation_stack, self.groups.validation_rows
        if stack is None or rows is None:
            return iter(())
        return self._batches(stack, rows, Share.of_epoch(len(rows), self.config.batch_size, 1))

    def _shares(self, length: int) -> list[Share]:
        return Share.of_epoch(length, self.config.batch_size, self.execution.accum_steps)

    def _batches(
        self, stack: PatternStack, rows: NDArray[np.int64], shares: list[Share]
    ) -> Iterator[tuple[Share, dict[str, NDArray]]]:
        size, e = self.config.batch_size, self.execution
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        gathered = prefetched(stack.batch, parts, e.num_workers, e.prefetch_factor or 1)
        return zip(shares, gathered, strict=True)
