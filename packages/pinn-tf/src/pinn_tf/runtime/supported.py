"""Settings that cannot be honoured are refused, not ignored."""

from __future__ import annotations

import tensorflow as tf
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.command.processes import launched_process

from pinn_tf.errors import RunError
from pinn_tf.runtime.devices import GPU, device_of

__all__ = ["refuse_unsupported"]

_BACKEND = "the backend 'tensorflow'"


def refuse_unsupported(execution: PyTorchExecutionConfig) -> None:
    """Returns if every setting has an effect.

    Raises
    ------
    RunError
        Naming the setting that has none, or an accelerator that is not there; this process is one of several
        that were started together.
    """
    device = device_of(execution.accelerator)
    launched = launched_process()
    if launched is not None:
        raise RunError(
            f"{launched.launcher} started {launched.size} processes, but {_BACKEND} runs in one: start one, "
            "or choose backend 'pytorch'"
        )
    there = len(tf.config.list_physical_devices("GPU")) if device == GPU else 1
    if execution.devices not in (1, "auto") or (execution.devices == "auto" and there > 1):
        raise RunError(
            f"devices={execution.devices!r} was given (this machine has {there}), but {_BACKEND} runs on "
            "one: give devices=1, or choose backend 'pytorch'"
        )
    if execution.strategy != "auto":
        raise RunError(
            f"strategy={execution.strategy!r} was given, but {_BACKEND} runs on one device and has no "
            "strategies: leave it at 'auto', or choose backend 'pytorch'"
        )
    if execution.pin_memory:
        raise RunError(
            f"pin_memory=True was given, but {_BACKEND} cannot control how memory is copied to a GPU: leave "
            "it at False"
        )
    if execution.persistent_workers:
        raise RunError(
            f"persistent_workers=True was given, but {_BACKEND} gathers batches in threads, which need not "
            "be kept: leave it at False"
        )
    if execution.deterministic == "warn" and device == GPU:
        raise RunError(
            f"deterministic='warn' was given, but on a GPU {_BACKEND} is either deterministic or not, and "
            "cannot warn: choose True or False"
        )
