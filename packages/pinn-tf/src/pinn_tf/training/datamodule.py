"""Batches of groups: rows of indices into one contiguous stack of patterns, and a batch is one gather."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.grouping.group_rows import canvas_size, shuffled, training_rows
from pinn_data.grouping.pattern_stack import PatternStack, labels_for, report_overruled
from pinn_data.prefetch import prefetched
from pinn_data.scan.scan import Scan

__all__ = ["GroupBatches", "Share"]

_VALIDATION_GROUPS = 256


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
    """Training and validation groups of one scan each; the training's are drawn anew for every epoch, the
    same as by every other backend with this seed.

    stack : the scan that is learned
    canvas : pixels along one side of every group's canvas, as far as groups were drawn
    """

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
        self.stack = self._stack(scan)
        report_overruled(scan, config)
        self._positions = scan.positions
        self._first = self._rows(scan.positions, seed, "training")
        self.canvas = canvas_size(self.stack.centres, self._first, self.stack.N)
        self._validation_stack = None
        if validation is not None:
            self._validation_stack = self._stack(validation)
            self._validation = self._rows(validation.positions, seed, "validation", _VALIDATION_GROUPS)
            self.canvas = max(
                self.canvas, canvas_size(self._validation_stack.centres, self._validation, self.stack.N)
            )

    def _stack(self, scan: Scan) -> PatternStack:
        return PatternStack(scan, labels_for(scan, self.config), self.config.nphotons)

    def _rows(
        self, positions: NDArray[np.float64], seed: int, what: str, limit: int | None = None
    ) -> NDArray[np.int64]:
        return training_rows(positions, self.config, self.stack.N, seed=seed, what=what, limit=limit)

    @property
    def steps_per_epoch(self) -> int:
        return sum(share.ends_step for share in self._shares(len(self._first)))

    @property
    def validates(self) -> bool:
        """Whether there is a validation scan."""
        return self._validation_stack is not None

    def epoch(self, number: int) -> Iterator[tuple[Share, dict[str, NDArray]]]:
        """The batches of epoch `number`, gathered while they are asked for, or ahead by threads
        (``num_workers``, ``prefetch_factor``); `canvas` holds them from the first one on."""
        seed = self.seed + number
        rows = self._first if number == 0 else self._rows(self._positions, seed, "training")
        self.canvas = max(self.canvas, canvas_size(self.stack.centres, rows, self.stack.N))
        return self._batches(self.stack, rows[shuffled(len(rows), seed)], self._shares(len(rows)))

    def validation(self) -> Iterator[tuple[Share, dict[str, NDArray]]]:
        """The batches of the validation; none without a scan for it."""
        if self._validation_stack is None:
            return iter(())
        shares = Share.of_epoch(len(self._validation), self.config.batch_size, 1)
        return self._batches(self._validation_stack, self._validation, shares)

    def _shares(self, length: int) -> list[Share]:
        return Share.of_epoch(length, self.config.batch_size, self.execution.accum_steps)

    def _batches(
        self, stack: PatternStack, rows: NDArray[np.int64], shares: list[Share]
    ) -> Iterator[tuple[Share, dict[str, NDArray]]]:
        size, e = self.config.batch_size, self.execution
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        gathered = prefetched(stack.batch, parts, e.num_workers, e.prefetch_factor or 1)
        return zip(shares, gathered, strict=True)
