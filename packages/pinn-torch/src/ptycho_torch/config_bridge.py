"""The adapters of configurations under their historical module name.

See `pinn_torch.settings.config_bridge`.
"""

from pinn_torch.settings.config_bridge import to_inference_config, to_model_config, to_training_config

__all__ = ["to_inference_config", "to_model_config", "to_training_config"]
