"""What a training keeps on disk while it runs: the best checkpoints, and the one from which it resumes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.whole_file import whole_file
from pinn_data.learning.resume import remove_resume_point, resume_point

__all__ = [
    "FOLDER",
    "ResumePoint",
    "WholeFiles",
    "best_checkpoints",
    "fit_options",
]

FOLDER = "checkpoints"
"""Under a training's output folder."""


def best_checkpoints(execution: PyTorchExecutionConfig, metric: str, folder: Path) -> ModelCheckpoint | None:
    """A callback that keeps the best ``checkpoint_save_top_k`` epochs (-1: all); None where none is kept."""
    if not execution.enable_checkpointing or execution.checkpoint_save_top_k == 0:
        return None
    return ModelCheckpoint(
        dirpath=folder,
        filename=f"{{epoch}}-{{{metric}:.5f}}",
        monitor=metric,
        mode=execution.checkpoint_mode,
        save_top_k=execution.checkpoint_save_top_k,
        save_weights_only=True,
        save_on_train_epoch_end=True,
        # An epoch that a kill made to be done again is the same epoch.
        enable_version_counter=False,
    )


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints that are whole or not there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)


class ResumePoint(Checkpoint):
    """Writes ``resume.ckpt`` at the end of every epoch, and takes it away at the end of the training.

    It holds weights, optimiser, schedule, history and the number of the epoch, so that a training that was
    killed goes on as if it had not been. Lightning calls it after the callback that keeps the best epochs,
    which stands before it, so it knows those too.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.path = folder / "resume.ckpt"
        self.fingerprint = fingerprint

    def found(self) -> Mapping[str, Any] | None:
        """The checkpoint of a training with the same fingerprint that did not end; None if there is none."""
        return resume_point(self.path, self.fingerprint, _read)

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["pinn_torch_fingerprint"] = self.fingerprint

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        trainer.save_checkpoint(self.path)  # every process takes part in collecting the state

    def finished(self) -> None:
        """The training is over: nothing is left to resume."""
        remove_resume_point(self.path)


def _read(path: Path) -> tuple[Mapping[str, Any], str, int]:
    # Only numbers and containers of them: a file in an output folder must not be able to run code.
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint, checkpoint["pinn_torch_fingerprint"], checkpoint["epoch"]


def fit_options(path: Path | None) -> dict[str, Any]:
    """Arguments for ``Trainer.fit`` to go on from a checkpoint that runs no code."""
    if path is None:
        return {}
    safe = "weights_only" in inspect.signature(lightning.Trainer.fit).parameters
    return {"ckpt_path": str(path)} | ({"weights_only": True} if safe else {})
