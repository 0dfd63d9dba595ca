"""What a checkpoint says of the module that it holds, so that the one file is enough to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.archives.stored_configs import plain_configs, stored_configs

from pinn_torch import __version__
from pinn_torch.errors import ModelArchiveError, PathNotFoundError, RunError

__all__ = ["SETTINGS", "read_checkpoint", "settings_in", "settings_of"]

SETTINGS = "hyper_parameters"
"""Under this key, which Lightning's tools know, a checkpoint says what its module is made of."""


def settings_of(
    config: TrainingConfig, execution: PyTorchExecutionConfig, training_intensity_scale: float
) -> dict[str, Any]:
    """What a module is made of, as numbers, text and containers of them."""
    return {
        **plain_configs(config, execution),
        "training_intensity_scale": training_intensity_scale,
        "pinn-torch": __version__,
    }


def read_checkpoint(path: Path, weights_only: bool = True) -> dict[str, Any]:
    """The contents of a checkpoint: weights, numbers, text and containers of them only, so no code runs.

    weights_only : must be true, for whoever asks for it

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelArchiveError (a ValueError)
        It is no checkpoint.
    RunError (a ValueError)
        weights_only=False.
    """
    if not weights_only:
        raise RunError(
            "weights_only=False was given, but a checkpoint is read as data, without running code from it: "
            "leave it out"
        )
    if not path.is_file():
        raise PathNotFoundError(f"there is no checkpoint at {path}: choose a .ckpt file of a training")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["state_dict"]["probe_parts"]
    except Exception as error:
        raise ModelArchiveError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}): choose a .ckpt file that "
            "pinn-torch wrote"
        ) from error
    return checkpoint


def settings_in(
    checkpoint: Mapping[str, Any], path: Path
) -> tuple[TrainingConfig, PyTorchExecutionConfig, float]:
    """The training that left a checkpoint, and the intensity scale of its scan.

    Raises ModelArchiveError (a ValueError) where the checkpoint at `path` does not say.
    """
    said = checkpoint.get(SETTINGS)
    if not isinstance(said, Mapping) or "training_intensity_scale" not in said:
        raise ModelArchiveError(
            f"{path} is a checkpoint without the settings of its network: choose one written by a "
            "pinn-torch training, or open wts.h5.zip with pinn_torch.reconstruct"
        )
    config, execution = stored_configs(said, path, str(said.get("pinn-torch", "unknown")))
    return config, execution, float(said["training_intensity_scale"])
