"""How a PyTorch run is executed: device, data loading, optimiser, checkpoints (specification, section 4.9).

Nothing of it enters the legacy dictionary: the bridge refuses this class.
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

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "tpu", "mps"] = setting("cpu", "kind of device")
    devices: int | Literal["auto"] = setting(1, "number of devices, or auto: all of them")
    strategy: str = setting("auto", "how Lightning spreads a run over devices, for example ddp")
    deterministic: bool | Literal["warn"] = setting(
        True,
        "the same seed gives the same result; off: perhaps faster, not reproducible; warn: where possible",
    )
    precision: Precision = setting(
        "32-true", "arithmetic of the network; auto: bf16-mixed where the processor has it, else 32-true"
    )
    compile: bool = setting(
        False,
        "code is made for the network first (torch.compile): minutes, and a C++ compiler",
    )
    gradient_clip_val: float | None = setting(None, "gradients are clipped to this; none: not at all")
    gradient_clip_algorithm: Literal["norm", "value"] = setting("norm", "clip the norm of all, or each value")
    accum_steps: int = setting(1, "batches whose gradients are added before one optimiser step")

    num_workers: int = setting(
        0, "processes that load data; 0: the main process; best with persistent_workers"
    )
    pin_memory: bool = setting(False, "page-locked memory, which is faster to copy to a GPU")
    persistent_workers: bool = setting(False, "those processes stay alive between epochs")
    prefetch_factor: int | None = setting(None, "batches that each of them loads ahead")

    learning_rate: float = setting(1e-3, "learning rate of the optimiser, for Adam 1e-5 to 1e-2")
    scheduler: Literal["Default", "Exponential", "MultiStage", "Adaptive"] = setting(
        "Default", "how the learning rate changes; Default: not"
    )
    warmup_steps: int = setting(
        0, "first optimiser steps, in which the learning rate rises to its value; 0: none"
    )

    enable_progress_bar: bool = setting(False, "show progress")
    enable_checkpointing: bool = setting(True, "save checkpoints during training")
    checkpoint_save_top_k: int = setting(1, "best checkpoints that are kept; -1: all, 0: none")
    checkpoint_monitor_metric: str = setting("val_loss", "metric that says which checkpoint is best")
    checkpoint_mode: Literal["min", "max"] = setting("min", "the best is the smallest, or the largest")
    early_stop_patience: int = setting(100, "epochs without improvement after which training stops")
    logger_backend: Literal["mlflow", "csv", "tensorboard", "none"] = setting(
        "mlflow", "who records the metrics"
    )

    inference_batch_size: int | None = setting(
        None, "groups in one batch of a reconstruction; none: batch_size"
    )
    middle_trim: int = setting(0, "pixels along one side of a patch's centre that count in the image; 0: all")
    pad_eval: bool = setting(False, "only the central N/2 pixels of a patch count in the image at most")

    def __post_init__(self) -> None:
        if self.logger_backend is None:
            self.logger_backend = "mlflow"
        validate_execution_config(self)
