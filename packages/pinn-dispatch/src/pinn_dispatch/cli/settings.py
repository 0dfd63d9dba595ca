"""From flags, a YAML file and the recipe to the configs of a run: the command line beats the file, the file
the recipe.

A flag stands for one field of a config and is described by that field, so it is written once.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pinn_config import (
    ConfigError,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    flags,
)
from pinn_config.files import EXECUTION, from_mapping, load_mapping
from pinn_config.validation import field_types, validate

from pinn_dispatch.errors import UsageError

__all__ = ["RECIPE", "TrainingSettings", "add_flags", "execution_settings", "training_settings"]

RECIPE: Mapping[str, Any] = {
    "backend": "pytorch",
    "model": {"architecture": "unrolled", "gridsize": 2},
    "batch_size": 16,
    "nepochs": 5,
    "neighbor_count": 6,
    EXECUTION: {
        "accelerator": "auto",
        "precision": "auto",
        "learning_rate": 4e-3,
        "scheduler": "MultiStage",
        "enable_progress_bar": True,
    },
}
"""What `pinn train` uses where neither a flag nor a file says otherwise; what it leaves out has the config's
default."""


_FLAGS = {"accum_steps": "accumulate_grad_batches", "logger_backend": "logger"}
"""Flags that the specification (section 7) names otherwise than the fields."""


def add_flags(group: Any, kind: type, names: Iterable[str], recipe: Mapping[str, Any] = RECIPE) -> None:
    """Adds a flag for each named field of the config class `kind`, with the default of `recipe`; without the
    flag the attribute is absent."""
    flags.add_flags(group, kind, names, defaults=_layer(recipe, kind), spelled=_FLAGS)


class TrainingSettings:
    """The configs of a training before its data are known, and which fields somebody chose on purpose."""

    def __init__(
        self, config: TrainingConfig, execution: PyTorchExecutionConfig, chosen: frozenset[str]
    ) -> None:
        self.config, self.execution, self.chosen = config, execution, chosen

    def for_scan(self, N: int, frames: int) -> TrainingConfig:
        """The config for a scan of `frames` patterns of N x N pixels: one group a pattern and epoch unless
        chosen.

        Raises UsageError for a file that says another N, ConfigError for what cannot be run.
        """
        if "N" in self.chosen and self.config.model.N != N:
            raise UsageError(
                f"the configuration says N = {self.config.model.N}, but the patterns are {N} x {N}: leave N "
                "out, it is "
                "taken from the data"
            )
        self.config.model.N = N
        if not self.chosen & {"n_groups", "n_images"}:
            self.config.n_groups = frames
        validate(self.config)
        return self.config


def training_settings(args: argparse.Namespace, recipe: Mapping[str, Any] = RECIPE) -> TrainingSettings:
    """The settings of a training from parsed flags (``config``: a YAML file or None; ``quiet``) over
    `recipe`.

    Raises what `pinn_config.files` raises, and ConfigError for execution settings that cannot work.
    """
    path: Path | None = getattr(args, "config", None)
    written = load_mapping(path) if path is not None else {}
    merged = _layered(recipe, written)
    where = str(path) if path is not None else "the defaults"
    execution_part = merged.pop(EXECUTION)
    if not isinstance(execution_part, Mapping):
        raise ConfigError(f"{where}: {EXECUTION} must be a section of 'key: value' lines")
    config = from_mapping(merged, TrainingConfig, where)
    given = vars(args)
    for name in _given(TrainingConfig, given):
        setattr(config, name, given[name])
    for name in _given(ModelConfig, given):
        setattr(config.model, name, given[name])
    execution = _executed(
        from_mapping(execution_part, PyTorchExecutionConfig, f"{where}, {EXECUTION}"), given
    )
    model = written.get("model")
    chosen = {*written, *(model if isinstance(model, Mapping) else ()), *_given(TrainingConfig, given)}
    return TrainingSettings(config, execution, frozenset(chosen))


def execution_settings(
    args: argparse.Namespace, recipe: Mapping[str, Any] = RECIPE
) -> PyTorchExecutionConfig:
    """The execution settings from parsed flags over those of `recipe`; raises ConfigError."""
    return _executed(PyTorchExecutionConfig(**recipe[EXECUTION]), vars(args))


def _executed(execution: PyTorchExecutionConfig, given: Mapping[str, Any]) -> PyTorchExecutionConfig:
    typed = {name: given[name] for name in _given(PyTorchExecutionConfig, given)}
    if given.get("quiet"):
        typed["enable_progress_bar"] = False
    return replace(execution, **typed)


def _given(kind: type, given: Mapping[str, Any]) -> list[str]:
    return [name for name in field_types(kind) if name in given]


def _layer(recipe: Mapping[str, Any], kind: type) -> Mapping[str, Any]:
    if kind is ModelConfig:
        return recipe.get("model", {})
    return recipe.get(EXECUTION, {}) if kind is PyTorchExecutionConfig else recipe


def _layered(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, section by section."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _layered(merged[key], value)
        elif value is not None or not isinstance(merged.get(key), Mapping):  # an empty section says nothing
            merged[key] = value
    return merged
