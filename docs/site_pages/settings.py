"""Reference of the settings: every field of the configurations, with type, default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_config.bridge import KEY_MAPPINGS
from pinn_config.files import EXECUTION
from pinn_config.validation import allowed, field_types
from pinn_dispatch.recipe import RECIPE
from pinn_torch.cli.shared import EXECUTION_DEFAULTS

from site_pages.markdown import code, escaped, table

__all__ = ["KINDS", "PAGE", "setting_pages"]

PAGE = "reference/settings.md"

KINDS: Mapping[type, tuple[str, str, Mapping[str, Any]]] = {
    ModelConfig: ("Network", "In a file: the section `model:`.", RECIPE["model"]),
    TrainingConfig: ("Training", "In a file for `pinn train`: at the top.", RECIPE),
    InferenceConfig: ("Reconstruction", "In a file for `pinn infer`: at the top.", {}),
    PyTorchExecutionConfig: ("Execution", f"In a file: the section `{EXECUTION}:`.", RECIPE[EXECUTION]),
}
"""Class to title, place in a file, and what `pinn train` uses in place of the defaults."""

_INTRODUCTION = """\
# Settings

A setting is given by a flag, by a line of the YAML file of `--config`, or in Python by a field of a class of
`pinn_config`. A flag beats the file, which beats the default. `pinn config template` writes all settings into
a file to be edited, and `pinn config validate` checks such a file.

The column *default* holds the default of the Python classes. The columns `pinn train` and `pinn-torch train`
are filled where those commands have another default. The record of a run keeps all its settings.
"""


_ENTRY_POINTS = (
    (
        "`pinn train`, `pinn demo`, `Reconstructor`",
        "the recipe, `pinn_dispatch.recipe.RECIPE`",
        "the best that was measured for two minutes on a CPU ([training](../training.md))",
    ),
    (
        "`pinn-torch train`, `python -m ptycho_torch.train`",
        "the defaults of the classes; `--accelerator auto` and a progress bar",
        "named by the specification, section 7",
    ),
    (
        "`train`, `run_cdi_example` in Python",
        "the defaults of the classes",
        "named by the specification, sections 5 and 4.9",
    ),
    (
        "the same of TensorFlow without an execution config",
        "`pinn_tf.training.training_policy.HISTORICAL_EXECUTION`",
        "programs that know no execution config, as ptychodus, get what they always got",
    ),
    (
        "ptychodus with the PyTorch library",
        "the fields of its own dialog",
        "they are the client's (`pinn_torch.settings.config_params`)",
    ),
)
_COLUMNS = ("setting", "default", "`pinn train`", "`pinn-torch train`", "allowed", "meaning", "legacy key")


def setting_pages() -> dict[str, str]:
    """The page of all settings."""
    parts = [_INTRODUCTION, table(("entry point", "settings that nobody gave", "why"), _ENTRY_POINTS)]
    for kind, (title, place, recipe) in KINDS.items():
        rows = [_row(kind, item, recipe) for item in fields(kind) if item.name != "model"]
        link = f"[`{kind.__name__}`][{kind.__module__}.{kind.__name__}]"
        parts += [f"## {title}", f"{place} In Python: {link}.", ""]
        parts.append(table(_COLUMNS, rows))
    return {PAGE: "\n".join(parts)}


def _row(kind: type, item: Any, recipe: Mapping[str, Any]) -> list[str]:
    hint = field_types(kind)[item.name]
    default = item.default if item.default is not MISSING else None
    other = recipe.get(item.name, default)
    named = EXECUTION_DEFAULTS.get(item.name, default) if kind is PyTorchExecutionConfig else default
    return [
        code(item.name),
        "" if item.default is MISSING else _shown(default),
        "" if other == default else _shown(other),
        "" if named == default else _shown(named),
        escaped(allowed(item.name, hint)),
        escaped(item.metadata.get("help", "")),
        code(KEY_MAPPINGS[item.name]) if item.name in KEY_MAPPINGS else "",
    ]


def _shown(value: Any) -> str:
    """A value as a YAML file says it."""
    if value is None or isinstance(value, bool):
        return code({None: "null", True: "true", False: "false"}[value])
    return code(value.as_posix() if isinstance(value, Path) else value)
