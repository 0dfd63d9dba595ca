"""Configurations of the PyTorch backend for tests: complete ones, and every field with another value."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from pinn_torch.settings.config_bridge import (
    to_execution_config,
    to_inference_config,
    to_model_config,
    to_training_config,
)
from pinn_torch.settings.config_params import (
    DataConfig,
    DatagenConfig,
    InferenceConfig,
    ModelConfig,
    TrainingConfig,
)
from pinn_torch.settings.config_support import default_of

CLASSES = (DataConfig, ModelConfig, TrainingConfig, InferenceConfig, DatagenConfig)
EVERY_FIELD = [(kind, item.name) for kind in CLASSES for item in fields(kind)]

# Where adding one, or turning round, gives no other value that is allowed.
_OTHER: dict[str, Any] = {
    "N": 128,
    "C": 9,
    "C_model": 9,
    "C_forward": 9,
    "grid_size": (3, 3),
    "subsample_seed": 5,
    "neighbor_function": "Min_dist",
    "max_neighbor_distance": 7.5,
    "scan_pattern": "Rectangular",
    "normalize": "Group",
    "data_scaling": "Max",
    "x_bounds": (0.2, 0.8),
    "y_bounds": (0.2, 0.8),
    "mode": "Supervised",
    "architecture": "unrolled",
    "cnn_output_mode": "real_imag",
    "amp_activation": "relu",
    "probe_mask": True,
    "probe_mask_diameter": 20.0,
    "decoder_last_amp_channels": 4,
    "decoder_spatial_kernel": 5,
    "training_patch_weighting": "probe",
    "loss_function": "MAE",
    "amp_loss": "Total_Variation",
    "phase_loss": "Mean_Deviation",
    "training_directories": ["somewhere"],
    "train_data_file": Path("other.npz"),
    "test_data_file": Path("test.npz"),
    "n_groups": 77,
    "output_dir": Path("elsewhere"),
    "torch_loss_mode": "mae",
    "device": "cpu",
    "strategy": "ddp_spawn",
    "orchestrator": "Lightning",
    "gradient_clip_val": 0.5,
    "gradient_clip_algorithm": "value",
    "optimizer": "sgd",
    "scheduler": "Exponential",
    "patch_weighting": "uniform",
    "patch_stats_limit": 3,
    "image_size": (9, 9),
    "probe_paths": ["probe.npz"],
}

# Settings without which a field has nothing to say.
_NEEDS: dict[str, dict[str, Any]] = {
    "K_quadrant": {"neighbor_function": "4_quadrant"},
    "min_neighbor_distance": {"neighbor_function": "Min_dist"},
    "max_neighbor_distance": {"neighbor_function": "Min_dist"},
    "neighbor_function": {"max_neighbor_distance": None},
    "n_devices": {"strategy": "auto"},
    "strategy": {"n_devices": 2},
}


def changed(kind: type, name: str) -> Any:
    """Another value of a field than its default."""
    default = default_of(next(item for item in fields(kind) if item.name == name))
    if name in _OTHER:
        return _OTHER[name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, str):
        return default + "_other"
    return default + 1 if isinstance(default, int) else default / 2 + 0.125


def complete(**values: Any) -> dict[type, Any]:
    """The five configurations, complete, with `values` in whichever of them have such a field."""
    given = {"nphotons": 2e6, "n_groups": 12, "train_data_file": Path("scan.npz")} | values
    return {
        kind: kind(**{item.name: given[item.name] for item in fields(kind) if item.name in given})
        for kind in CLASSES
    }


def with_change(kind: type, name: str) -> tuple[dict[type, Any], dict[type, Any]]:
    """Complete configurations without and with another value of one field."""
    before = complete(**_NEEDS.get(name, {}))
    return before, before | {kind: replace(before[kind], **{name: changed(kind, name)})}


def bridged(configs: dict[type, Any]) -> dict[str, Any]:
    """Every canonical setting that `configs` become, as ``section.field``."""
    data, model = configs[DataConfig], configs[ModelConfig]
    training, inference = configs[TrainingConfig], configs[InferenceConfig]
    network = to_model_config(data, model)
    files = {"model_path": Path("run"), "test_data_file": Path("unseen.npz")}
    sections = {
        "model": asdict(network),
        "training": asdict(to_training_config(network, data, model, training)),
        "inference": asdict(to_inference_config(network, data, inference, files)),
        "execution": asdict(to_execution_config(training, inference)),
    }
    return {
        f"{section}.{name}": value
        for section, settings in sections.items()
        for name, value in settings.items()
        if name != "model"
    }
