"""A network that was trained, with all that is needed to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig

from pinn_tf.model.module import PtychoPINN

__all__ = ["TrainedModel"]


@attrs.frozen
class TrainedModel:
    """A model, and what is known of its training; what an archive gives back.

    gain : learned factor on the intensity scale; the network's own scale is measured on each scan
    """

    module: PtychoPINN
    config: TrainingConfig
    execution: PyTorchExecutionConfig
    provenance: Mapping[str, Any]

    @property
    def probe_trained(self) -> bool:
        return self.config.probe_trainable

    @property
    def intensity_scale(self) -> float:
        """Learned factor from network amplitudes to sqrt(photons)."""
        return self.module.intensity_scale

    @property
    def gain(self) -> float:
        return self.intensity_scale / self.module.training_intensity_scale
