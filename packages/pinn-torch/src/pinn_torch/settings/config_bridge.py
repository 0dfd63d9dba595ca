"""From the configurations of the PyTorch backend to the canonical ones (specification, section 2.3).

Fields are renamed and converted, never given other values: `pinn_torch.settings.config_support` says what
each becomes. A field that cannot be honoured is refused when it is not at its default. `overrides` name
fields of the config that comes back and have the last word. Laws, tested: what comes back equals the same
config built directly, and `pinn_config.update_legacy_dict` takes it. Importing this loads no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pinn_config import configs as canonical
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.suggestions import nearest
from pinn_config.validation import shown

from pinn_torch.settings import config_values as values
from pinn_torch.settings.config_params import DataConfig, InferenceConfig, ModelConfig, TrainingConfig
from pinn_torch.settings.config_support import OPTIONS, Honoured, default_of, refuse_unhonoured

__all__ = ["to_execution_config", "to_inference_config", "to_model_config", "to_training_config"]

Overrides = Mapping[str, Any] | None
C = TypeVar("C")


def to_model_config(
    data: DataConfig, model: ModelConfig, overrides: Overrides = None
) -> canonical.ModelConfig:
    """The canonical description of the network.

    ``grid_size`` becomes the side ``gridsize``, ``mode`` the ``model_type``, ``silu`` is ``swish``; a mask of
    the probe is on or off, so an array of pixels asks for the circular one and a warning says so.

    Raises
    ------
    ConfigError (a ValueError)
        A grid that is not square, channels that do not fit it, an unknown mode or activation, a field that
        cannot be honoured, an override that the canonical config does not have.
    """
    refuse_unhonoured(data, model)
    gridsize = _gridsize(data, model)
    found = _copied("model", data, model) | {
        "gridsize": gridsize,
        "model_type": values.model_type(model.mode),
        "amp_activation": values.amp_activation(model.amp_activation),
        "probe_mask": values.probe_mask(model.probe_mask),
    }
    return _built(canonical.ModelConfig, found, overrides)


def to_training_config(
    model: canonical.ModelConfig,
    data: DataConfig,
    pt_model: ModelConfig,
    training: TrainingConfig,
    overrides: Overrides = None,
) -> canonical.TrainingConfig:
    """The canonical training of the network `model`.

    ``epochs`` becomes ``nepochs``, ``K`` the ``neighbor_count``, ``nll`` and ``loss_function`` the weights of
    the two losses; the backend is ``pytorch``.

    Raises
    ------
    ConfigError (a ValueError)
        No file to learn from, no number of groups, the photons of neither, or what `to_model_config` refuses.
    """
    refuse_unhonoured(data, pt_model, training)
    given = overrides or {}
    if "nphotons" not in given and data.nphotons == _default(DataConfig, "nphotons"):
        raise ConfigError(
            f"nphotons default divergence detected: DataConfig has {data.nphotons:g}, where TrainingConfig "
            f"has {_default(canonical.TrainingConfig, 'nphotons'):g}: choose one with "
            "overrides={'nphotons': ...}"
        )
    if given.get("train_data_file", training.train_data_file) is None:
        raise ConfigError(
            "train_data_file is not known: give overrides={'train_data_file': ...}, the NPZ to learn from"
        )
    groups = [given.get("n_groups", training.n_groups), given.get("n_images")]
    if groups == [None, None]:
        raise ConfigError("n_groups is not known: give overrides={'n_groups': ...}, the groups to draw")
    absolute = _absolute(pt_model, training)
    found = (
        _copied("training", data, pt_model, training)
        | _grouping(data)
        | {
            "model": model,
            "nll_weight": float(not absolute),
            "mae_weight": float(absolute),
            "backend": "pytorch",
        }
    )
    return _built(canonical.TrainingConfig, found, overrides)


def to_inference_config(
    model: canonical.ModelConfig, data: DataConfig, inference: InferenceConfig, overrides: Overrides = None
) -> canonical.InferenceConfig:
    """The canonical reconstruction with the network `model`; the backend is ``pytorch``.

    Raises
    ------
    ConfigError (a ValueError)
        `overrides` lack ``model_path`` or ``test_data_file``, or what `to_model_config` refuses.
    """
    refuse_unhonoured(data, inference)
    for name, what in (
        ("model_path", "wts.h5.zip or its folder"),
        ("test_data_file", "the NPZ to reconstruct"),
    ):
        if (overrides or {}).get(name) is None:
            raise ConfigError(f"{name} is not known: give overrides={{{name!r}: ...}}, {what}")
    found = _copied("inference", data, inference) | _grouping(data) | {"model": model, "backend": "pytorch"}
    return _built(canonical.InferenceConfig, found, overrides)


def to_execution_config(
    training: TrainingConfig, inference: InferenceConfig, overrides: Overrides = None
) -> PyTorchExecutionConfig:
    """How the run is executed: device, loading, optimiser, recording.

    ``device='cuda'`` is a GPU where there is one and the CPU elsewhere, as the clients expect that send it
    from every machine; a strategy that spreads a run is ``auto`` where there is one device; ``Cosine``,
    warm-up and fine-tuning are a `pinn_torch.model.schedule.Schedule`, which whoever trains applies besides.

    Raises
    ------
    ConfigError (a ValueError)
        An unknown device or recorder, a field that cannot be honoured, settings that cannot work.
    """
    refuse_unhonoured(training, inference)
    found = _copied("execution", training, inference) | {
        "accelerator": values.accelerator(training.device),
        "strategy": training.strategy if training.n_devices != 1 else "auto",
        "scheduler": "Default" if training.scheduler == "Cosine" else training.scheduler,
        "logger_backend": values.logger_backend(training.orchestrator),
    }
    return _built(PyTorchExecutionConfig, found, overrides)


def _copied(section: str, *configs: Any) -> dict[str, Any]:
    """The settings of a canonical config that are fields of `configs` under another name, or the same."""
    found = {}
    for config in configs:
        for name, option in OPTIONS[type(config)].items():
            if isinstance(option, Honoured) and option.copied:
                target, _, setting = option.becomes[0].partition(".")
                if target == section or (target == "both" and section in ("training", "inference")):
                    found[setting] = getattr(config, name)
    return found


def _built(kind: type[C], settings: dict[str, Any], overrides: Overrides) -> C:
    names: Any = kind  # a dataclass, which a TypeVar cannot say
    known = [item.name for item in fields(names) if item.name != "model"]
    problems = []
    for name in overrides or {}:
        if name not in known:
            meant = nearest(str(name), known)
            hint = f"did you mean {meant!r}?" if meant else f"choose one of {', '.join(known)}"
            problems.append(f"{name!r} in overrides is not a field of {kind.__name__}: {hint}")
    if problems:
        raise ConfigError(*problems)
    return kind(**settings | dict(overrides or {}))


def _gridsize(data: DataConfig, model: ModelConfig) -> int:
    side = values.gridsize(data.grid_size)
    # Nobody who says grid_size alone means four channels; a default cannot be told from its value otherwise.
    channels = (("C", data), ("C_model", model), ("C_forward", model))
    allowed = {name: (side**2, _default(type(config), name)) for name, config in channels}
    wrong = [
        f"{name}={shown(getattr(config, name))}"
        for name, config in channels
        if getattr(config, name) not in allowed[name]
    ]
    if wrong:
        raise ConfigError(
            f"{', '.join(wrong)} was given, but a group of grid_size {side} x {side} has "
            f"{side**2} patterns: give {side**2}, or leave it at its default"
        )
    return side


def _absolute(model: ModelConfig, training: TrainingConfig) -> bool:
    """Whether the mean absolute error is minimised, and not the likelihood: any of three fields says so."""
    return (
        values.wants_mae("loss_function", model.loss_function)
        or values.wants_mae("torch_loss_mode", training.torch_loss_mode)
        or not training.nll
    )


def _grouping(data: DataConfig) -> dict[str, Any]:
    """K of the rule that finds neighbours, and its limits, which the nearest neighbours do not have."""
    low, high = data.min_neighbor_distance, data.max_neighbor_distance
    if data.neighbor_function == "Nearest":
        usual = {
            name: _default(DataConfig, name) for name in ("min_neighbor_distance", "max_neighbor_distance")
        }
        if low != usual["min_neighbor_distance"] or high not in (usual["max_neighbor_distance"], None):
            raise ConfigError(
                f"min_neighbor_distance={shown(low)} and max_neighbor_distance={shown(high)} have no meaning "
                "for neighbor_function='Nearest': choose 'Min_dist' or '4_quadrant', or leave them at their "
                "defaults"
            )
        low, high = 0.0, None
    return {
        "neighbor_count": data.K_quadrant if data.neighbor_function == "4_quadrant" else data.K,
        "min_neighbor_distance": low,
        "max_neighbor_distance": high,
    }


def _default(kind: type, name: str) -> Any:
    return next(default_of(item) for item in fields(kind) if item.name == name)
