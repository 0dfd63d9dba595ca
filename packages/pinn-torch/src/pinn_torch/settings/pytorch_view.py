"""A configured run in the terms of the PyTorch configs, as far as those have the fields.

The inverse of `pinn_torch.settings.config_bridge`: where a config of `pinn_torch.settings.config_params` can
say what a setting is, translating it back gives the setting. Importing this loads no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pinn_torch.settings.config_params import DataConfig, InferenceConfig, ModelConfig, TrainingConfig
from pinn_torch.settings.config_support import OPTIONS, Honoured

__all__ = ["data_config", "inference_config", "model_config", "training_config"]

Values = Mapping[str, Any]
C = TypeVar("C")

_MODES = {"pinn": "Unsupervised", "supervised": "Supervised"}
_DEVICES = {"auto": "cuda", "cuda": "gpu"}


def data_config(values: Values) -> DataConfig:
    """The `DataConfig` of canonical settings, name to value."""
    side = values["gridsize"]
    count = "K_quadrant" if values["neighbor_function"] == "4_quadrant" else "K"
    fields = {"C": side**2, "grid_size": (side, side), count: values["neighbor_count"]}
    if values["neighbor_function"] != "Nearest":
        fields |= {name: values[name] for name in ("min_neighbor_distance", "max_neighbor_distance")}
    return _filled(DataConfig, values, fields)


def model_config(values: Values) -> ModelConfig:
    """The `ModelConfig` of canonical settings."""
    channels = values["gridsize"] ** 2
    return _filled(
        ModelConfig,
        values,
        {
            "mode": _MODES[values["model_type"]],
            "amp_activation": values["amp_activation"],
            "probe_mask": values["probe_mask"],
            "C_model": channels,
            "C_forward": channels,
        }
        | ({"loss_function": "MAE" if _absolute(values) else "Poisson"} if "nll_weight" in values else {}),
    )


def training_config(values: Values) -> TrainingConfig:
    """The `TrainingConfig` of canonical settings."""
    device = values["accelerator"]
    return _filled(
        TrainingConfig,
        values,
        {
            "nll": not _absolute(values),
            "device": _DEVICES.get(device, device),
            "strategy": values["strategy"],
            "scheduler": values["scheduler"],
            "orchestrator": "Mlflow" if values["logger_backend"] == "mlflow" else "Lightning",
        },
    )


def inference_config(values: Values) -> InferenceConfig:
    """The `InferenceConfig` of canonical settings."""
    batch = values["inference_batch_size"] or values.get("batch_size")
    return _filled(InferenceConfig, values, {"batch_size": batch} if batch else {})


def _absolute(values: Values) -> bool:
    return values["nll_weight"] == 0 and values["mae_weight"] > 0


def _filled(kind: type[C], values: Values, fields: dict[str, Any]) -> C:
    """A config with `fields`, and with every field that is a setting under a name of its own."""
    copied = {
        name: values[setting]
        for name, option in OPTIONS[kind].items()
        if isinstance(option, Honoured) and option.copied
        if (setting := option.becomes[0].partition(".")[2]) in values and setting != "inference_batch_size"
    }
    return kind(**copied | fields)
