"""The groups of a training: drawn anew for every epoch, the same by every backend with the same seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pinn_config.configs import TrainingConfig

from pinn_data.grouping.group_rows import canvas_size, training_rows
from pinn_data.grouping.pattern_stack import PatternStack, labels_for, report_overruled
from pinn_data.scan.scan import Scan

__all__ = ["EpochGroups"]


class EpochGroups:
    """Training and validation groups of one scan each, as rows of frame numbers.

    stack : the scan that is learned
    first : the rows of epoch 0
    validation_stack, validation_rows : None without a scan for the validation
    canvas : pixels along one side of every group's canvas, as far as groups were drawn
    """

    def __init__(
        self,
        scan: Scan,
        config: TrainingConfig,
        *,
        validation: Scan | None,
        seed: int,
        stack_type: type[PatternStack] = PatternStack,
    ) -> None:
        self.config, self.seed = config, seed
        self.stack = stack_type(scan, labels_for(scan, config), config.nphotons)
        report_overruled(scan, config)
        self._positions = scan.positions
        self.first = self._rows(scan.positions, seed, "training")
        self.canvas = canvas_size(self.stack.centres, self.first, self.stack.N)
        self.validation_stack: PatternStack | None = None
        self.validation_rows: NDArray[np.int64] | None = None
        if validation is not None:
            stack = stack_type(validation, labels_for(validation, config), config.nphotons)
            rows = self._rows(validation.positions, seed, "validation", config.validation_groups)
            self.validation_stack, self.validation_rows = stack, rows
            self.canvas = max(self.canvas, canvas_size(stack.centres, rows, stack.N))

    @property
    def validates(self) -> bool:
        """Whether there is a validation scan."""
        return self.validation_stack is not None

    def rows_of(self, epoch: int) -> NDArray[np.int64]:
        """The groups of an epoch; `canvas` holds them from now on."""
        rows = self.first if epoch == 0 else self._rows(self._positions, self.seed + epoch, "training")
        self.canvas = max(self.canvas, canvas_size(self.stack.centres, rows, self.stack.N))
        return rows

    def _rows(
        self, positions: NDArray[np.float64], seed: int, what: str, limit: int | None = None
    ) -> NDArray[np.int64]:
        return training_rows(positions, self.config, self.stack.N, seed=seed, what=what, limit=limit)
