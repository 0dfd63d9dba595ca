"""The PyTorch configurations under their historical module name; see `pinn_torch.settings.config_params`."""

from pinn_torch.settings.config_params import (
    DataConfig,
    DatagenConfig,
    InferenceConfig,
    ModelConfig,
    TrainingConfig,
)

__all__ = ["DataConfig", "DatagenConfig", "InferenceConfig", "ModelConfig", "TrainingConfig"]
