"""What a training keeps on disk while it runs: the best epochs, and the one from which it resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.files.atomic_write import atomic_write
from pinn_data.learning.resume import remove_resume_point, resume_point

__all__ = ["FOLDER", "BestEpochs", "ResumePoint", "Stopped"]

FOLDER = "checkpoints"
"""Under a training's output folder."""

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
        return resume_point(self.path, self.fingerprint, _read)

    def write(self, stopped: Stopped) -> None:
        state = {**stopped.state, "epoch": stopped.epoch, "fingerprint": self.fingerprint}
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {_STATE: np.array(json.dumps(state)), **stopped.arrays}
            np.savez(file, **arrays)

    def finished(self) -> None:
        """The training is over: nothing is left to resume."""
        remove_resume_point(self.path)


def _read(path: Path) -> tuple[Stopped, str, int]:
    # Only numbers and text: a file in an output folder must not be able to run code.
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    state = json.loads(str(arrays.pop(_STATE)))
    fingerprint, epoch = state.pop("fingerprint"), int(state.pop("epoch"))
    return Stopped(epoch, arrays, state), fingerprint, epoch
