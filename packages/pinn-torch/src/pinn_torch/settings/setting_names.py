"""One name for each setting of a run: that of its canonical field.

Callers may use the names of the PyTorch configs and of the command line too, and the values that belong to
those names; they are translated here. Importing this loads no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from pinn_config.errors import ConfigError
from pinn_config.suggestions import nearest
from pinn_config.validation import shown

from pinn_torch.settings import config_values as values
from pinn_torch.settings.config_support import API, OPTIONS, Honoured, Refused, default_of

__all__ = ["ALIASES", "translated"]

ALIASES: Mapping[str, str] = {
    "max_epochs": "nepochs",
    "n_images": "n_groups",
    "accumulate_grad_batches": "accum_steps",
    "checkpoint_monitor": "checkpoint_monitor_metric",
    "logger": "logger_backend",
    "test_data": "test_data_file",
    "K": "neighbor_count",
    "K_quadrant": "neighbor_count",
} | {
    name: option.becomes[0].partition(".")[2]
    for options in OPTIONS.values()
    for name, option in options.items()
    if isinstance(option, Honoured) and option.copied and not option.becomes[0].endswith(f".{name}")
}
"""Other names of a setting, of the command line and of the PyTorch configs; values are the same."""


def _weights(name: str) -> Callable[[Any], dict[str, Any]]:
    def weights(loss: Any) -> dict[str, Any]:
        absolute = values.wants_mae(name, loss)
        return {"nll_weight": float(not absolute), "mae_weight": float(absolute)}

    return weights


_CONVERTED: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "mode": lambda value: {"model_type": values.model_type(value)},
    "model_type": lambda value: {
        "model_type": values.model_type(value) if value in ("Unsupervised", "Supervised") else value
    },
    "amp_activation": lambda value: {"amp_activation": values.amp_activation(value)},
    "probe_mask": lambda value: {"probe_mask": values.probe_mask(value)},
    "grid_size": lambda value: {"gridsize": values.gridsize(value)},
    "device": lambda value: {"accelerator": values.accelerator(value)},
    "orchestrator": lambda value: {"logger_backend": values.logger_backend(value)},
    "nll": lambda value: {"nll_weight": float(bool(value)), "mae_weight": float(not value)},
    "loss_function": _weights("loss_function"),
    "torch_loss_mode": _weights("torch_loss_mode"),
}
_CHANNELS = ("C", "C_model", "C_forward")


def translated(source: str, given: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """`given` under the names of canonical settings, in their terms.

    source : names the mapping in messages; known : the settings that there are

    >>> translated("overrides", {"max_epochs": 3, "mode": "Supervised"}, ["nepochs", "model_type"])
    {'nepochs': 3, 'model_type': 'supervised'}

    Raises
    ------
    ConfigError
        An unknown name (with the nearest known one), a field that cannot be honoured, one that only
        `pinn_torch.api` applies, two names of one setting that say different things; all problems at once.
    """
    known = tuple(known)
    problems: list[str] = []
    found: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for name, value in given.items():
        try:
            pairs = _one(name, value, known)
        except ConfigError as error:
            problems += [f"{source}: {problem}" for problem in error.problems]
            continue
        for setting, meant in pairs.items():
            if setting in found and found[setting] != meant:
                problems.append(
                    f"{source}: {said_by[setting]} and {name} are two names of {setting} with different "
                    f"values, {shown(found[setting])} and {shown(meant)}: give only one"
                )
            found[setting], said_by[setting] = meant, name
    if problems:
        raise ConfigError(*problems)
    return found


def _one(name: str, value: Any, known: tuple[str, ...]) -> dict[str, Any]:
    """What one name stands for; nothing for a field that is refused and at its default."""
    if name in _CONVERTED:
        pairs = _CONVERTED[name](value)
        if all(setting in known for setting in pairs):
            return pairs
    setting = name if name in known else ALIASES.get(name, name)
    if setting in known:
        return {setting: value}
    if name in _CHANNELS:
        raise ConfigError(f"{name} is not a separate setting, it is gridsize**2: give gridsize")
    for kind, options in OPTIONS.items():
        option = options.get(name)
        if isinstance(option, Refused):
            if value != next(default_of(item) for item in fields(kind) if item.name == name):
                raise ConfigError(f"{name}={shown(value)} cannot be honoured: {option.because}")
            return {}
        if isinstance(option, Honoured) and option.becomes == (API,):
            raise ConfigError(
                f"{name} belongs to the clients of pinn_torch.api, which apply it themselves: leave it out"
            )
    names = [*known, *(alias for alias, meant in ALIASES.items() if meant in known), *_CONVERTED]
    meant = nearest(name, names)
    hint = f"did you mean {meant!r}?" if meant else f"choose one of {', '.join(sorted(known))}"
    raise ConfigError(f"unknown setting {name!r}: {hint}")
