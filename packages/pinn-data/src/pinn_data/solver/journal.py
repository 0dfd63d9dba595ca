"""What a solution tells while it runs, what it decided, and when it has to end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn_data.progress.reports import Report, Watcher
from pinn_data.solver.estimate import Estimate
from pinn_data.solver.operations import ArrayOperations

__all__ = ["Journal", "Preview"]

_log = logging.getLogger(__name__)

Preview = Callable[[NDArray[np.complexfloating]], object]
"""Is given the image so far, (row, column) complex, every few seconds."""

_PREVIEW_SECONDS = 3.0


class Journal:
    """Tells watchers of a solution, the first time when it is made, keeps its course, and says whether it
    goes on.

    seconds : after which it ends; None: never
    energy : sum of the measured counts, for R; to be set before the first epoch
    hurried : a stage was ended by the limit of seconds: its image is not one by which to judge
    ended : it was cancelled, or its seconds are over: nothing more is to be tried, in no process
    """

    def __init__(
        self,
        ops: ArrayOperations,
        *,
        seconds: float | None = None,
        watch: Watcher | None = None,
        preview: Preview | None = None,
    ) -> None:
        self._ops, self._seconds, self._preview = ops, seconds, preview
        self._report = Report("reconstruction", watch)
        self._began = time.perf_counter()
        self._seen = self._began
        self._from, self._to = 0.0, 0.0
        self._told = self._epoch = 0.0
        self.rows: list[dict[str, Any]] = []
        self.sentences: list[str] = []
        self.energy = 1.0
        self.cancelled = self.ended = self.out_of_time = self.hurried = False
        self._wanted = self._report(0.0)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._began

    def part(self, until: float) -> None:
        """The next stage takes the run to this share of its whole."""
        self._from, self._to = self._to, until

    def tell(
        self, stage: str, epoch: int, epochs: int, misfit: float | None, estimate: Estimate | None = None
    ) -> bool:
        """Tell of an epoch; whether the run is to go on.

        misfit : of the frames of the epoch; None where something is only tried on some of them
        """
        R = None if misfit is None else float(np.sqrt(misfit / max(self.energy, 1e-300)))
        if estimate is not None and estimate.scale == 1:
            self._epoch = self.seconds - self._told
        self._told = self.seconds
        self.rows.append({"stage": stage, "epoch": epoch, "seconds": self.seconds, "R": R})
        share = self._from + (self._to - self._from) * (epoch + 1) / epochs
        self._wanted &= self._report(share, misfit=R)
        if self._preview is not None and estimate is not None:
            now = time.perf_counter()
            if now - self._seen >= _PREVIEW_SECONDS:
                self._preview(self._ops.numpy(estimate.object))
                self._seen = time.perf_counter()
        # What is found has still to be judged, which takes as long as about one epoch.
        limit = None if self._seconds is None else max(self._seconds - self._epoch, 0.0)
        over = limit is not None and self.seconds > limit
        late = limit is not None and self.seconds > limit * self._to
        self.cancelled, over, self.out_of_time = self._agreed(not self._wanted, over, late)
        self.ended = self.cancelled or over
        self.hurried = self.hurried or self.out_of_time
        return not (self.cancelled or self.out_of_time)

    def say(self, sentence: str) -> None:
        """Keep a decision, and log it."""
        self.sentences.append(sentence)
        _log.info("%s", sentence)

    def finish(self, R: float) -> None:
        """Tell that the run is over."""
        self._report.finish(misfit=R)

    def _agreed(self, *flags: bool) -> tuple[bool, ...]:
        """Of several processes, all do what one has to."""
        if self._ops.share[1] == 1:
            return flags
        sums = np.asarray(self._ops.reduce(np.array(flags, np.float64)))
        return tuple(bool(total) for total in sums)
