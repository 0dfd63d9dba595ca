"""From flags, a YAML file and the recipe to the configs of a run: the command line beats the file, the file
the recipe.

A flag stands for one field of a config and is described by that field, so it is written once.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pinn_config import (
    ConfigError,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
)
from pinn_config.architecture import ARCHITECTURES
from pinn_config.files import EXECUTION, from_mapping, load_mapping
from pinn_config.validation import field_types, validate
from pinn_data.command import flags

from pinn_dispatch.errors import UsageError
from pinn_dispatch.recipe import RECIPE

__all__ = [
    "TrainingSettings",
    "add_flags",
    "inference_settings",
    "training_settings",
]

C = TypeVar("C", TrainingConfig, InferenceConfig)

_FLAGS = {"accum_steps": "accumulate_grad_batches", "logger_backend": "logger"}
"""Flags that the specification (section 7) names otherwise than the fields."""


def add_flags(group: Any, kind: type, names: Iterable[str], recipe: Mapping[str, Any] = RECIPE) -> None:
    """Adds a flag for each named field of the config class `kind`, with the default of `recipe`; without the
    flag the attribute is absent."""
    flags.add_flags(
        group,
        kind,
        names,
        defaults=_layer(recipe, kind),
        spelled=_FLAGS,
        choices={"architecture": ARCHITECTURES},
    )


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
                f"the configuration sets N = {self.config.model.N}, but the patterns are {N} x {N}: leave N "
                "out, since it is taken from the data"
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
    written, config, execution = _read(getattr(args, "config", None), TrainingConfig, recipe)
    given = vars(args)
    for name in _given(TrainingConfig, given):
        setattr(config, name, given[name])
    for name in _given(ModelConfig, given):
        setattr(config.model, name, given[name])
    model = written.get("model") or {}
    said = [key for section in (written, model) for key, value in section.items() if value is not None]
    chosen = frozenset(said) | frozenset(_given(TrainingConfig, given))
    return TrainingSettings(config, _executed(execution, given), chosen)


def inference_settings(
    args: argparse.Namespace, recipe: Mapping[str, Any] = RECIPE
) -> tuple[InferenceConfig, PyTorchExecutionConfig, bool]:
    """The settings of a reconstruction from parsed flags over the file of ``config`` over the execution
    settings of `recipe`, and whether somebody chose the backend.

    Raises as `training_settings`.
    """
    written, config, execution = _read(
        getattr(args, "config", None), InferenceConfig, {EXECUTION: recipe[EXECUTION]}
    )
    given = vars(args)
    chosen = (given.get("backend") or written.get("backend")) is not None
    for name in _given(InferenceConfig, given):
        if name != "model" and given[name] is not None:  # --model is the archive, not the network's settings
            setattr(config, name, given[name])
    return config, _executed(execution, given), chosen


def _read(
    path: Path | None, kind: type[C], recipe: Mapping[str, Any]
) -> tuple[dict[str, Any], C, PyTorchExecutionConfig]:
    """What the file says, and the configs that it means over `recipe`."""
    written = load_mapping(path) if path is not None else {}
    merged = _layered(recipe, written)
    where = str(path) if path is not None else "the defaults"
    section = merged.pop(EXECUTION)
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: {EXECUTION} must be a section of 'key: value' lines")
    config = from_mapping(merged, kind, where)
    return written, config, from_mapping(section, PyTorchExecutionConfig, f"{where}, {EXECUTION}")


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
