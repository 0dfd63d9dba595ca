"""Which of several sources says what a setting is, and a record of it (cli_flag_rationale.md, "Override
Precedence").

From the highest to the lowest level:

1. *explicit overrides*: what the caller named, a flag that was typed or a line in a YAML file included
2. *execution config*: a `PyTorchExecutionConfig` that a program hands over, whole. A command line makes one
   too, but knows which flags were typed: where `execution_given` names fields, those alone count
3. *CLI defaults*: what the command line takes for a flag that was not typed
4. *PyTorch config defaults*: `DataConfig`, `ModelConfig` and `TrainingConfig` of
   `pinn_torch.settings.config_params`, as `pinn_torch.settings.config_bridge` translates them. They describe
   the network ``refined``, so for another architecture what they say of its layers does not count. They do
   not speak of execution, which has one owner, `PyTorchExecutionConfig`
5. *canonical defaults*: those of `pinn_config`

What the files themselves say is no preference but a fact, so it is in no level and has a record of its own:
``N`` and, if its metadata tell, ``nphotons`` of a scan; the network of a model archive, and how its groups
were made. It holds unless level 1 says otherwise, which must not contradict ``N`` or the network.

A setting has one name, that of its canonical field (`pinn_torch.settings.setting_names`). Importing this
loads no framework.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig

from pinn_torch.settings.config_support import default_of

__all__ = ["Applied", "Level", "Settings", "canonical_defaults", "execution_level", "resolve"]

Settings = dict[str, Any]


class Level(Enum):
    """Where a value came from, the highest first; the value is its name in words."""

    OVERRIDE = "explicit overrides"
    EXECUTION = "execution config"
    CLI = "CLI defaults"
    PYTORCH = "PyTorch config defaults"
    CANONICAL = "canonical defaults"


@dataclass(frozen=True)
class Applied:
    """The value of a setting, and the level that gave it."""

    value: Any
    level: Level


def canonical_defaults(*kinds: type) -> Settings:
    """Setting to default of the canonical config classes; fields without a default are left out."""
    return {
        item.name: default_of(item)
        for kind in kinds
        for item in fields(kind)
        if item.name not in ("model", "n_images")
    }


def execution_level(
    execution: PyTorchExecutionConfig | None, given: Collection[str] | None = None
) -> Settings:
    """What level 2 says: every field of `execution`, those at their defaults included.

    given : the fields that count, where not all of them do (those that were typed on a command line)

    Raises ConfigError for a name in `given` that is no execution setting.
    """
    known = [item.name for item in fields(PyTorchExecutionConfig)]
    unknown = [name for name in given or () if name not in known]
    if unknown:
        raise ConfigError(
            f"execution_given names {', '.join(map(repr, unknown))}, but PyTorchExecutionConfig has no such "
            "field: give its field names"
        )
    if execution is None:
        return {}
    return {name: getattr(execution, name) for name in (known if given is None else given)}


def resolve(levels: Mapping[Level, Mapping[str, Any]]) -> dict[str, Applied]:
    """Each setting with its value at the highest level that gives it.

    Law: ``resolve(levels)[s].level`` is the first `Level` that holds ``s``, and the value is the one there.
    """
    found: dict[str, Applied] = {}
    for level in Level:
        for name, value in levels.get(level, {}).items():
            found.setdefault(name, Applied(value, level))
    return found
