"""What a PtychoPINN run is: configs, their validation, YAML files, and the bridge to the legacy
dictionary."""

from pinn_config.bridge import KEY_MAPPINGS, dataclass_to_legacy_dict, update_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import (
    ConfigError,
    ConfigFileError,
    ConfigFileNotFoundError,
    ParameterNotFoundError,
)
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import validate

__version__ = "0.1.0"
__all__ = [
    "KEY_MAPPINGS",
    "ConfigError",
    "ConfigFileError",
    "ConfigFileNotFoundError",
    "InferenceConfig",
    "ModelConfig",
    "ParameterNotFoundError",
    "PyTorchExecutionConfig",
    "TrainingConfig",
    "dataclass_to_legacy_dict",
    "update_legacy_dict",
    "validate",
]
