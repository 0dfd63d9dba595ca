"""The flat dictionary of the historical code: the only mutable global of the project.

`ptycho.params.cfg` is this `cfg`. New code does not read it: it takes configs. Only the bridge and the loader
of an archive write it. Defaults of bridged keys come from the configs, so forgetting to bridge gives the
documented defaults and not a second set of them; the others are those of the public implementation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pinn_config.bridge import dataclass_to_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError, ParameterNotFoundError

__all__ = ["DATA_SOURCES", "DEFAULTS", "cfg", "get", "params", "set", "validate"]

_log = logging.getLogger(__name__)

DATA_SOURCES = ("lines", "grf", "experimental", "points", "testimg", "diagonals", "xpp", "V", "generic")

# Keys that no config has, with the values of the public implementation.
_FOREIGN: Mapping[str, Any] = {
    "offset": 4,
    "outer_offset_train": None,
    "outer_offset_test": None,
    "big_gridsize": 10,
    "max_position_jitter": 10,
    "sim_jitter_scale": 0.0,
    "default_probe_scale": 0.7,
    "tv_weight": 0.0,
    "nimgs_train": 9,
    "nimgs_test": 3,
    "data_source": "generic",
    "set_phi": False,
    "label": "",
    "size": 392,
    "h5_path": "wts.h5",
    "npseed": 42,
    "use_xla_translate": True,
}
# Keys of configs that the historical dictionary held from the start.
_BRIDGED = [
    "N",
    "gridsize",
    "n_filters_scale",
    "model_type",
    "amp_activation",
    "object.big",
    "probe.big",
    "probe.mask",
    "pad_object",
    "probe_scale",
    "gaussian_smoothing_sigma",
    "batch_size",
    "nepochs",
    "mae_weight",
    "nll_weight",
    "realspace_mae_weight",
    "realspace_weight",
    "nphotons",
    "probe.trainable",
    "intensity_scale.trainable",
    "positions.provided",
    "output_prefix",
    "debug",
]


def _defaults() -> dict[str, Any]:
    configured = {
        **dataclass_to_legacy_dict(InferenceConfig(ModelConfig())),
        **dataclass_to_legacy_dict(TrainingConfig(ModelConfig())),
    }
    return {**_FOREIGN, **{key: configured[key] for key in _BRIDGED}}


DEFAULTS: Mapping[str, Any] = _defaults()
"""What `get` answers for a key that nobody has set."""

cfg: dict[str, Any] = dict(DEFAULTS)
"""The dictionary itself."""

_DERIVED = {
    # Sizes of the simulation canvas, computed on every reading, so that they cannot be stale.
    "bigN": lambda: get("N") + (get("gridsize") - 1) * get("offset"),
    "padding_size": lambda: (get("gridsize") - 1) * get("offset") + get("max_position_jitter"),
    "padded_size": lambda: get("bigN") + get("max_position_jitter"),
}
_ABSENT = object()


def get(key: str, default: Any = _ABSENT) -> Any:
    """The value of `key`: derived, set, or its default in `DEFAULTS`; otherwise `default`.

    Derived are ``bigN = N + (gridsize - 1) * offset``, ``padding_size = bigN - N + max_position_jitter`` and
    ``padded_size = bigN + max_position_jitter``.

    Raises
    ------
    ParameterNotFoundError (a KeyError)
        None of these; for example ``intensity_scale`` before a model was trained or loaded.
    """
    if key in _DERIVED:
        return _DERIVED[key]()
    if key in cfg:
        return cfg[key]
    if key in DEFAULTS:
        return DEFAULTS[key]
    if default is not _ABSENT:
        return default
    raise ParameterNotFoundError(
        f"params.cfg has no {key!r}: bridge a config with update_legacy_dict, "
        "or train or load a model, first."
    )


def set(key: str, value: Any) -> None:
    """Writes one value, if the dictionary stays valid; prefer `pinn_config.bridge.update_legacy_dict`.

    Raises
    ------
    ConfigError
        The value contradicts the rest; nothing was written.
    """
    if key in _DERIVED:
        raise ConfigError(
            f"{key} is computed from other parameters: set N, gridsize, offset or max_position_jitter."
        )
    validate({**cfg, key: value})
    cfg[key] = value
    _log.debug("params.cfg[%r] was set to a %s", key, type(value).__name__)


def params() -> dict[str, Any]:
    """A new dictionary with every value that `get` knows, ``bigN`` included."""
    return {**DEFAULTS, **cfg, "bigN": get("bigN")}


def validate(values: Mapping[str, Any] | None = None) -> None:
    """Checks that `values`, or `cfg`, are consistent.

    Raises
    ------
    ConfigError
        An unknown ``data_source``, or ``realspace_mae_weight`` without ``realspace_weight``.
    """
    values = {**DEFAULTS, **(cfg if values is None else values)}
    problems = []
    if values["data_source"] not in DATA_SOURCES:
        known = ", ".join(repr(name) for name in DATA_SOURCES)
        problems.append(f"data_source must be one of {known}, not {values['data_source']!r}")
    if values["realspace_mae_weight"] > 0 and values["realspace_weight"] <= 0:
        problems.append(
            "realspace_mae_weight is > 0 while realspace_weight is not: set realspace_weight > 0 first"
        )
    if problems:
        raise ConfigError(*problems)
