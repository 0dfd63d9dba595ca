"""What a solution tells while it runs, what it decided, and when it has to end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn_data.progress import Report, Watcher
from pinn_data.solver.estimate import Estimate
from pinn_data.solver.operations import ArrayOperations

__all__ = ["Journal", "Preview"]

_log = logging.getLogger(__name__)

Preview = Callable[[NDArray[np.complexfloating]], None]
"""Is given the image so far, (row, column) complex, every few seconds."""

_PREVIEW_SECONDS = 3.0


class Journal:
    """Tells watchers of a solution, keeps its course, and says whether it goes on.

    energy : sum of the measured counts, for R
    seconds : after which it ends; None: never
    """

    def __init__(
        self,
        ops: ArrayOperations,
        energy: float,
        *,
        seconds: float | None = None,
        watch: Watcher | None = None,
        preview: Preview | None = None,
    ) -> None:
        self._ops, self._energy, self._seconds, self._preview = ops, max(energy, 1e-300), seconds, preview
        self._report = Report("reconstruction", watch)
        self._began = time.perf_counter()
        self._seen = self._began
        self._from, self._to = 0.0, 0.0
        self.rows: list[dict[str, Any]] = []
        self.sentences: list[str] = []
        self.cancelled = False
        self.out_of_time = False

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._began

    def part(self, until: float) -> None:
        """The next stage takes the run to this share of its whole."""
        self._from, self._to = self._to, until

    def tell(
        self, stage: str, epoch: int, epochs: int, misfit: float, estimate: Estimate | None = None
    ) -> bool:
        """Tell of an epoch; whether the run is to go on.

        misfit : of the frames of the epoch
        """
        R = float(np.sqrt(misfit / self._energy))
        self.rows.append({"stage": stage, "epoch": epoch, "seconds": self.seconds, "R": R})
        share = self._from + (self._to - self._from) * (epoch + 1) / epochs
        if not self._report(share, misfit=R):
            self.cancelled = True
        if self._preview is not None and estimate is not None:
            now = time.perf_counter()
            if now - self._seen >= _PREVIEW_SECONDS:
                self._preview(self._ops.numpy(estimate.object))
                self._seen = time.perf_counter()
        self.out_of_time = self._seconds is not None and self.seconds > self._seconds * self._to
        return self._agreed(not (self.cancelled or self.out_of_time))

    def say(self, sentence: str) -> None:
        """Keep a decision, and log it."""
        self.sentences.append(sentence)
        _log.info("%s", sentence)

    def finish(self, R: float) -> None:
        """Tell that the run is over."""
        self._report.finish(misfit=R)

    def _agreed(self, goes_on: bool) -> bool:
        """Of several processes, all stop where one does."""
        if self._ops.share[1] == 1:
            return goes_on
        return not float(np.asarray(self._ops.reduce(np.array([0.0 if goes_on else 1.0])))[0])
