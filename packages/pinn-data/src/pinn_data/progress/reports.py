"""How far a run is, told while it runs, and how whoever is told stops it.

A backend makes one :class:`Report` a run and calls it after every batch; who watches gets a
:class:`Progress` each time. Laws, for a run that is not stopped: `fraction` starts at 0, never falls and ends
at 1; the last record, and it alone, is `finished`; `loss` and `val_loss` are those of the newest rows of the
history that the run returns.

A watcher stops the run by returning, or raising, :class:`Cancel`. Any other answer is ignored, and any other
exception ends the run and reaches its caller as it is. It is called in the thread that computes, so it should
be quick; nothing here uses signals, so the run may be in any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs

from pinn_data.command.stop_requests import heed_lost_request

__all__ = ["Cancel", "CancelledError", "Progress", "Report", "Watcher"]


class Cancel(Exception):
    """Returned or raised by a watcher: the run is to stop after this batch."""


class CancelledError(RuntimeError):
    """A run was cancelled before there was anything to keep; nothing was written."""


@attrs.frozen
class Progress:
    """A moment of a run.

    stage : 'training' or 'reconstruction'
    fraction : of the run that is done, 0 to 1; of a training the larger one of its shares of steps and, where
        there is a limit, of seconds
    seconds : since this run began
    seconds_left : as long as it will take if it goes on as it went; None before that can be said
    epoch, epochs : the epoch at work, counted from 0 as in the history, of how many; None in a
        reconstruction, as are all that follow but `misfit` and `finished`
    step : steps of the optimiser that are done
    loss, val_loss : the newest ``train_loss`` and ``val_loss`` of the history; None before the first
    misfit : the newest ``train_deviance``; of a reconstruction by the solver R, as far as it is known
    finished : the run is over, and an archive of it is written
    """

    stage: str
    fraction: float
    seconds: float
    seconds_left: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    loss: float | None = None
    val_loss: float | None = None
    misfit: float | None = None
    finished: bool = False

    def __str__(self) -> str:
        """One line for a person.

        >>> str(Progress("training", 0.25, 3.0, 9.0, epoch=0, epochs=4, loss=0.5))
        'training: 25 %, epoch 1 of 4, loss 0.5, 9 s left'
        """
        parts = [f"{self.fraction:.0%}".replace("%", " %")]
        if self.epoch is not None:
            parts.append(f"epoch {self.epoch + 1} of {self.epochs}")
        for name, value in (("loss", self.loss), ("validation", self.val_loss)):
            if value is not None:
                parts.append(f"{name} {value:.4g}")
        if self.loss is None and self.misfit is not None:
            parts.append(f"misfit {self.misfit:.4f}")
        if self.finished:
            parts.append(f"finished in {self.seconds:.0f} s")
        elif self.seconds_left is not None:
            parts.append(f"{self.seconds_left:.0f} s left")
        return f"{self.stage}: {', '.join(parts)}"


Watcher = Callable[[Progress], object]
"""What is told: a function of a :class:`Progress`."""


class Report:
    """Tells watchers of one run; it begins when this is made.

    watchers : None is nobody
    """

    def __init__(self, stage: str, *watchers: Watcher | None) -> None:
        self.stage = stage
        self.watchers = [watcher for watcher in watchers if watcher is not None]
        self._began = time.perf_counter()
        self._first: float | None = None
        self._fraction = 0.0

    def __call__(self, fraction: float, **known: Any) -> bool:
        """Tell that `fraction` is done; whether the run is to go on.

        known : further fields of `Progress`

        Raises KeyboardInterrupt where the program was asked to stop and a library has lost that.
        """
        if not known.get("finished"):
            heed_lost_request()
        seconds = time.perf_counter() - self._began
        self._fraction = max(self._fraction, min(fraction, 1.0))
        if self._first is None:  # a training that is resumed does not begin at 0
            self._first = self._fraction
        here = self._fraction - self._first
        left = seconds * (1.0 - self._fraction) / here if here > 0 else None
        record = Progress(self.stage, self._fraction, seconds, left, **known)
        # All are told, so that a bar shows the batch after which somebody else stopped.
        answers = [_goes_on(watcher, record) for watcher in self.watchers]
        return all(answers)

    def finish(self, **known: Any) -> None:
        """Tell that the run is over; whoever would stop it now comes too late."""
        self(1.0, finished=True, **known)


def _goes_on(watcher: Watcher, record: Progress) -> bool:
    try:
        answer = watcher(record)
    except Cancel:
        return False
    return not (answer is Cancel or isinstance(answer, Cancel))
