"""Execution settings of a PyTorch run: device, data loading, optimiser, checkpoints (specification, section
4.9).

They never enter the legacy dictionary: the bridge refuses this class.
"""

# ruff: noqa: RUF009 - `setting` returns a dataclasses.field, which is made for each class anew

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pinn_config.configs import setting
from pinn_config.validation import validate_execution_config

__all__ = ["Precision", "PyTorchExecutionConfig"]

Precision = Literal["32-true", "bf16-mixed", "16-mixed", "auto"]


@dataclass
class PyTorchExecutionConfig:
    """Execution settings, checked on construction; after an assignment, `validate_execution_config` checks
    again.

    `logger_backend=None` becomes ``'mlflow'``, the default.

    Raises
    ------
    ConfigError (a ValueError)
        With every setting that cannot work, for example ``num_workers must be >= 0, not -1``.
    """

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "tpu", "mps"] = setting("cpu", "device type")
    devices: int | Literal["auto"] = setting(1, "number of devices, or auto for all")
    strategy: str = setting("auto", "strategy of Lightning for several devices, for example ddp")
    deterministic: bool | Literal["warn"] = setting(
        True, "reproducible results; off may be faster; warn: reproducible where possible"
    )
    precision: Precision = setting(
        "32-true", "floating-point precision; auto: bf16-mixed if the processor supports it, else 32-true"
    )
    compile: bool = setting(False, "compile the network first (takes minutes, needs a C++ compiler)")
    gradient_clip_val: float | None = setting(None, "threshold of gradient clipping", unset="no clipping")
    gradient_clip_algorithm: Literal["norm", "value"] = setting(
        "norm", "gradient clipping by the total norm, or of each value"
    )
    accum_steps: int = setting(1, "number of batches over which gradients are accumulated")

    num_workers: int = setting(
        0, "number of data-loading processes; 0 loads in the main process; best with persistent_workers"
    )
    pin_memory: bool = setting(False, "page-locked memory for faster copies to a GPU")
    persistent_workers: bool = setting(False, "keep data-loading processes alive between epochs")
    prefetch_factor: int | None = setting(
        None, "batches that each data-loading process loads ahead", unset="chosen by the backend"
    )

    learning_rate: float = setting(1e-3, "learning rate, for Adam 1e-5 to 1e-2")
    scheduler: Literal["Default", "Exponential", "MultiStage", "Adaptive"] = setting(
        "Default", "learning-rate schedule; Default keeps it constant"
    )
    warmup_steps: int = setting(0, "optimiser steps of learning-rate warm-up; 0 for none")

    enable_progress_bar: bool = setting(False, "show a progress bar")
    enable_checkpointing: bool = setting(True, "save checkpoints during training")
    checkpoint_save_top_k: int = setting(1, "number of best checkpoints to keep; -1 for all, 0 for none")
    checkpoint_monitor_metric: str = setting("val_loss", "metric that ranks the checkpoints")
    checkpoint_mode: Literal["min", "max"] = setting(
        "min", "best value of that metric: the smallest or the largest"
    )
    early_stop_patience: int = setting(100, "epochs without improvement before training stops")
    logger_backend: Literal["mlflow", "csv", "tensorboard", "none"] = setting("mlflow", "metrics logger")

    inference_batch_size: int | None = setting(
        None, "groups per batch of a reconstruction", unset="batch_size"
    )
    middle_trim: int = setting(
        0, "side of the central part of each patch that enters the image; 0 for the whole patch [pixels]"
    )
    pad_eval: bool = setting(False, "use at most the central N/2 x N/2 pixels of each patch in the image")

    def __post_init__(self) -> None:
        if self.logger_backend is None:
            self.logger_backend = "mlflow"
        validate_execution_config(self)
