"""From flags and a YAML file to what `pinn_torch.settings.config_factory` takes.

A flag that was typed beats the file, the file beats the defaults of the command line. The file is that of
`pinn_config.files`: settings at its top, those of the network under ``model:``, of execution under
``execution:``; so the ``config.yaml`` that a training leaves starts it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import EXECUTION, from_mapping, load_mapping
from pinn_config.validation import shown

from pinn_torch.cli.shared import (
    EXECUTION_DEFAULTS,
    build_execution_config_from_args,
    execution_given,
)
from pinn_torch.errors import UsageError
from pinn_torch.settings.precedence import canonical_defaults
from pinn_torch.settings.setting_names import translated

__all__ = ["RunSettings", "run_settings"]


_PATHS = ("train_data_file", "test_data_file", "model_path", "output_dir")


@dataclass(frozen=True)
class RunSettings:
    """The arguments of a payload but for its paths, and those paths that were named.

    paths : name to path, or None, of the settings that are paths
    """

    paths: Mapping[str, Path | None]
    overrides: Mapping[str, Any]
    execution_config: PyTorchExecutionConfig
    execution_given: frozenset[str]
    cli_defaults: Mapping[str, Any]

    def path(self, name: str, what: str) -> Path:
        """The path called `name`; raises UsageError where nobody named it."""
        found = self.paths.get(name)
        if found is None:
            raise UsageError(f"no {what} was given: use --{name} PATH, or {name} in the file of --config")
        return found

    def levels(self) -> dict[str, Any]:
        """The keyword arguments of a payload."""
        return {
            "overrides": self.overrides,
            "execution_config": self.execution_config,
            "execution_given": self.execution_given,
            "cli_defaults": self.cli_defaults,
        }


def run_settings(
    args: argparse.Namespace, mode: Literal["training", "inference"], defaults: Mapping[str, Any]
) -> RunSettings:
    """What the parsed `args` and the file of ``--config`` say.

    defaults : canonical setting to the value that it has where nobody says otherwise

    Raises what `pinn_config.files` raises, and ConfigError (a ValueError) for settings that cannot work.
    """
    kind = TrainingConfig if mode == "training" else InferenceConfig
    known = canonical_defaults(ModelConfig, kind)
    canonical, execution = _written(args.config, kind)
    typed = {name: getattr(args, name) for name in args.given if name in known}
    for name in execution.keys() - execution_given(args):
        setattr(args, name, execution[name])
        args.given |= {name}
    said = translated(str(args.config), canonical, known) | translated("command line", typed, known)
    return RunSettings(
        {name: value for name, value in {**defaults, **said}.items() if name in _PATHS},
        {name: value for name, value in said.items() if name not in _PATHS},
        build_execution_config_from_args(args, mode),
        execution_given(args),
        {name: value for name, value in defaults.items() if name not in _PATHS} | EXECUTION_DEFAULTS,
    )


def _written(path: Path | None, kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings, execution settings) that the file at `path` says, and no more than it says."""
    if path is None:
        return {}, {}
    written = load_mapping(path)
    execution = written.pop(EXECUTION, None) or {}
    if not isinstance(execution, Mapping):
        raise UsageError(
            f"{path}: {EXECUTION} must be a section of 'key: value' lines, not {shown(execution)}"
        )
    config: Any = from_mapping(written, kind, str(path))
    model = written.pop("model", None) or {}
    made = from_mapping(execution, PyTorchExecutionConfig, f"{path}, {EXECUTION}")
    return (
        {name: getattr(config, name) for name in written}
        | {name: getattr(config.model, name) for name in model},
        {name: getattr(made, name) for name in execution},
    )
