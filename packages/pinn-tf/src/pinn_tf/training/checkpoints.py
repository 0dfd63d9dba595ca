"""What a training keeps on disk while it runs: the best epochs, and the one from which it resumes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.whole_file import unfinished_files
from pinn_data.files.atomic_write import atomic_write

__all__ = ["FOLDER", "BestEpochs", "ResumePoint", "Stopped"]

FOLDER = "checkpoints"
"""Under a training's output folder."""

_LOG = logging.getLogger(__name__)
_STATE = "state"


@attrs.define
class BestEpochs:
    """Keeps the best ``checkpoint_save_top_k`` epochs (-1: all) as archives, which
    `pinn_tf.archive.model_archive.load_model` opens: ``epoch=E-METRIC=VALUE.zip``.

    metric : its logged name
    kept : value and file name, the best first
    """

    folder: Path
    metric: str
    mode: str
    top_k: int
    kept: list[tuple[float, str]] = attrs.field(factory=list)

    @classmethod
    def of(cls, execution: PyTorchExecutionConfig, metric: str, folder: Path) -> BestEpochs | None:
        """None where none is kept."""
        if not execution.enable_checkpointing or execution.checkpoint_save_top_k == 0:
            return None
        return cls(folder, metric, execution.checkpoint_mode, execution.checkpoint_save_top_k)

    def take(self, epoch: int, value: float, save: Callable[[Path], Any]) -> None:
        """`save` an epoch, if it is one of the best, and take away the file that is none any more."""
        entry = (value, f"epoch={epoch}-{self.metric}={value:.5f}.zip")
        # Of equals the first is the better one.
        ranked = sorted([*self.kept, entry], key=lambda e: e[0], reverse=self.mode == "max")
        if self.top_k > 0 and entry in ranked[self.top_k :]:
            return
        save(self.folder / entry[1])
        self.kept = ranked if self.top_k < 0 else ranked[: self.top_k]
        for _, name in [e for e in ranked if e not in self.kept]:
            (self.folder / name).unlink(missing_ok=True)

    def state(self) -> list[list[Any]]:
        """JSON values from which `restore` goes on."""
        return [list(entry) for entry in self.kept]

    def restore(self, state: list[list[Any]]) -> None:
        self.kept = [(float(value), str(name)) for value, name in state]


@attrs.frozen(eq=False)
class Stopped:
    """A training as it was at the end of an epoch.

    epoch : the number of that epoch
    arrays : name to array
    state : JSON values
    """

    epoch: int
    arrays: Mapping[str, NDArray[Any]]
    state: Mapping[str, Any]


@attrs.frozen
class ResumePoint:
    """Writes ``resume.npz`` at the end of every epoch, whole or not at all, and takes it away at the end of
    the training."""

    folder: Path
    fingerprint: str

    @property
    def path(self) -> Path:
        return self.folder / "resume.npz"

    def found(self) -> Stopped | None:
        """What a training with the same fingerprint left that did not end; None if there is nothing."""
        if not self.path.exists():
            return None
        try:
            # Only numbers and text: a file in an output folder must not be able to run code.
            with np.load(self.path, allow_pickle=False) as file:
                arrays = dict(file)
            state = json.loads(str(arrays.pop(_STATE)))
            same = state.pop("fingerprint") == self.fingerprint
            stopped = Stopped(int(state.pop("epoch")), arrays, state)
        except Exception as error:
            _LOG.warning("%s cannot be read (%s), so the training starts anew", self.path, error)
            return None
        if not same:
            _LOG.warning(
                "%s belongs to a training with other data or settings, so this one starts anew", self.path
            )
            return None
        _LOG.info(
            "resuming a training that was stopped after epoch %d, from %s", stopped.epoch + 1, self.path
        )
        return stopped

    def write(self, stopped: Stopped) -> None:
        state = {**stopped.state, "epoch": stopped.epoch, "fingerprint": self.fingerprint}
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {_STATE: np.array(json.dumps(state)), **stopped.arrays}
            np.savez(file, **arrays)

    def finished(self) -> None:
        """Take the file away, and what kills in the midst of writing left: nothing is left to resume."""
        self.path.unlink(missing_ok=True)
        for file in unfinished_files(self.folder):
            file.unlink(missing_ok=True)
