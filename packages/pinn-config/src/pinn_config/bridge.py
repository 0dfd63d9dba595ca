"""The one-way bridge from a config to the flat legacy dictionary (specification, sections 2.3 and 6).

Laws, tested: every field reaches exactly its key; the bridged keys afterwards depend on the config alone, not
on what was bridged before; foreign keys are untouched; nothing is written unless the whole config is valid;
paths become text.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.validation import validate

__all__ = ["BRIDGED_KEYS", "KEY_MAPPINGS", "dataclass_to_legacy_dict", "legacy_key", "update_legacy_dict"]

KEY_MAPPINGS: Mapping[str, str] = {
    "object_big": "object.big",
    "probe_big": "probe.big",
    "probe_mask": "probe.mask",
    "probe_trainable": "probe.trainable",
    "intensity_scale_trainable": "intensity_scale.trainable",
    "positions_provided": "positions.provided",
    "output_dir": "output_prefix",
    "train_data_file": "train_data_file_path",
    "test_data_file": "test_data_file_path",
}
"""Field to legacy key, where they differ."""


def legacy_key(field_name: str) -> str:
    """The legacy key of a field.

    >>> legacy_key("object_big"), legacy_key("N")
    ('object.big', 'N')
    """
    return KEY_MAPPINGS.get(field_name, field_name)


BRIDGED_KEYS: frozenset[str] = frozenset(
    legacy_key(item.name)
    for kind in (ModelConfig, TrainingConfig, InferenceConfig)
    for item in fields(kind)
    if item.name != "model"
)
"""Every key that the bridge may write. No other key of the dictionary is its business."""


def dataclass_to_legacy_dict(obj: ModelConfig | TrainingConfig | InferenceConfig) -> dict[str, Any]:
    """`obj` as a new flat dictionary with legacy keys, the network's included; paths as text, None kept.

    Raises
    ------
    TypeError
        `obj` is something else, such as execution settings, which never enter the dictionary (section 4.9).
    """
    _check_kind(obj)
    flat: dict[str, Any] = {}
    for item in fields(obj):
        value = getattr(obj, item.name)
        if item.name == "model":
            flat |= dataclass_to_legacy_dict(value)
        else:
            flat[legacy_key(item.name)] = str(value) if isinstance(value, Path) else value
    return flat


def update_legacy_dict(
    cfg: MutableMapping[str, Any], dataclass_obj: TrainingConfig | InferenceConfig
) -> None:
    """Makes the bridged keys of `cfg` say what `dataclass_obj` says, in place.

    A field that is None is written as None. A bridged key that this kind of config does not have (``nepochs``
    of a former training, when an `InferenceConfig` is bridged) is removed, so that `pinn_config.legacy.get`
    falls back to its default and nothing of a former run survives. Keys that no config has (``probe``,
    ``intensity_scale``, ``offset``, …) stay. A bare `ModelConfig` writes the keys of the network and leaves
    the others.

    Raises
    ------
    ConfigError
        With all problems; `cfg` is as it was.
    TypeError
        Not one of the configs.
    """
    _check_kind(dataclass_obj)
    validate(dataclass_obj)
    flat = dataclass_to_legacy_dict(dataclass_obj)
    if not isinstance(dataclass_obj, ModelConfig):
        for key in BRIDGED_KEYS - flat.keys():
            cfg.pop(key, None)
    cfg.update(flat)


def _check_kind(obj: Any) -> None:
    if not isinstance(obj, (ModelConfig, TrainingConfig, InferenceConfig)):
        raise TypeError(
            f"{type(obj).__name__} cannot be bridged: give a TrainingConfig, an InferenceConfig or a "
            "ModelConfig; execution settings go to the backend directly."
        )
