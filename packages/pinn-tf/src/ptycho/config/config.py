"""The configurations, their checks and the bridge, under their historical names; loads no framework.

See `pinn_config.configs`, `pinn_config.bridge`, `pinn_config.validation` and `pinn_config.files`.
"""

from pinn_config.bridge import KEY_MAPPINGS, dataclass_to_legacy_dict, update_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import load_mapping as load_yaml_config
from pinn_config.validation import (
    validate_inference_config,
    validate_model_config,
    validate_training_config,
)

__all__ = [
    "KEY_MAPPINGS",
    "InferenceConfig",
    "ModelConfig",
    "PyTorchExecutionConfig",
    "TrainingConfig",
    "dataclass_to_legacy_dict",
    "load_yaml_config",
    "update_legacy_dict",
    "validate_inference_config",
    "validate_model_config",
    "validate_training_config",
]
