"""What both commands do with their arguments (specification, sections 4.7, 4.9 and 7).

`args` is what a parser made of a command line, or any object with some of its attributes: what is missing,
or None, has the command line's default. Importing this loads no framework.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pinn_config.execution import PyTorchExecutionConfig

from pinn_torch.errors import UsageError
from pinn_torch.settings.paths import existing_file

__all__ = [
    "EXECUTION_DEFAULTS",
    "FLAG_NAMES",
    "INFERENCE_FIELDS",
    "build_execution_config_from_args",
    "execution_given",
    "resolve_accelerator",
    "validate_paths",
]

EXECUTION_DEFAULTS = {item.name: item.default for item in fields(PyTorchExecutionConfig)} | {
    "accelerator": "auto",
    "enable_progress_bar": True,
}
"""Execution settings where no flag was typed: the dataclass's, but for the device and for the bar, which a
person at a terminal wants (``--quiet`` takes it away)."""

FLAG_NAMES = {
    "accum_steps": "accumulate_grad_batches",
    "checkpoint_monitor_metric": "checkpoint_monitor",
    "logger_backend": "logger",
}
"""Execution settings whose flag has another name (specification, section 7.1)."""

INFERENCE_FIELDS = (
    "accelerator",
    "devices",
    "precision",
    "compile",
    "num_workers",
    "enable_progress_bar",
    "inference_batch_size",
    "middle_trim",
    "pad_eval",
)
"""Execution settings of a reconstruction."""


def resolve_accelerator(args: Any = None, device: str | None = None, *, accelerator: str = "auto") -> str:
    """The accelerator that was asked for, by ``--accelerator`` or by the deprecated ``--device``.

    args : the arguments, or the accelerator itself, with the device beside it
    """
    if isinstance(args, str):
        accelerator = args
    elif args is not None:
        accelerator, device = _said(args, "accelerator", accelerator), _said(args, "device", device)
    if device is None:
        return accelerator
    explicit = accelerator != "auto" or "accelerator" in getattr(args, "given", ())
    text = "--device is deprecated. Use --accelerator instead."
    if explicit:
        text += " Ignoring --device value."
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    if explicit:
        return accelerator
    return "cpu" if device == "cpu" else "gpu"


def build_execution_config_from_args(
    args: Any, mode: Literal["training", "inference"] = "training"
) -> PyTorchExecutionConfig:
    """The execution settings of a command line.

    ``quiet`` takes the progress bar away; the deprecated ``disable_mlflow`` does so too and switches the
    recording of metrics off, unless a recorder was named.

    Raises
    ------
    UsageError (a ValueError)
        Another mode than the two.
    ConfigError (a ValueError)
        Settings that cannot work, for example ``num_workers must be >= 0, not -1``.
    """
    if mode not in ("training", "inference"):
        raise UsageError(f"Invalid mode: {mode!r}: give 'training' or 'inference'")
    names = EXECUTION_DEFAULTS if mode == "training" else INFERENCE_FIELDS
    values = {name: _said(args, name, EXECUTION_DEFAULTS[name]) for name in names}
    values["accelerator"] = resolve_accelerator(args)
    if _said(args, "quiet", False):
        values["enable_progress_bar"] = False
    if _said(args, "disable_mlflow", False):
        warnings.warn(
            "--disable_mlflow is deprecated. Use --logger none to record no metrics and --quiet to show no "
            "progress instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        values["enable_progress_bar"] = False
        if mode == "training" and "logger_backend" not in getattr(args, "given", ()):
            values["logger_backend"] = "none"
    return PyTorchExecutionConfig(**values)


def execution_given(args: Any) -> frozenset[str]:
    """The execution settings that were typed, a flag that stands for another one included."""
    given = set(getattr(args, "given", ()))
    implied = {
        "device": {"accelerator"},
        "quiet": {"enable_progress_bar"},
        "disable_mlflow": {"enable_progress_bar", "logger_backend"},
    }
    for flag, settings in implied.items():
        if _said(args, flag, None):
            given |= settings
    return frozenset(given) & frozenset(EXECUTION_DEFAULTS)


def validate_paths(
    train_file: str | os.PathLike[str] | None,
    test_file: str | os.PathLike[str] | None,
    output_dir: str | os.PathLike[str],
) -> None:
    """Returns if the data files are there; the output folder is made.

    Raises
    ------
    PathNotFoundError (a FileNotFoundError)
        ``Training data file not found: …`` or ``Test data file not found: …``; no folder was made.
    UsageError (a ValueError)
        There is a file where the output folder should be.
    """
    for what, path in (("Training", train_file), ("Test", test_file)):
        if path is not None:
            existing_file(what, path)
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"the output folder {folder} is a file: give another folder")
    folder.mkdir(parents=True, exist_ok=True)


def _said(args: Any, name: str, default: Any) -> Any:
    """The attribute of that name, or of the flag's; `default` where it is missing."""
    for spelling in (name, FLAG_NAMES.get(name, name)):
        value = getattr(args, spelling, None)
        if value is not None:
            return value
    return default
