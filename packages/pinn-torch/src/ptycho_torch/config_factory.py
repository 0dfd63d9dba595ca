"""The payloads of a run under their historical module name; see `pinn_torch.settings.config_factory`."""

from pinn_torch.settings.config_factory import (
    InferencePayload,
    TrainingPayload,
    create_inference_payload,
    create_training_payload,
)

__all__ = ["InferencePayload", "TrainingPayload", "create_inference_payload", "create_training_payload"]
