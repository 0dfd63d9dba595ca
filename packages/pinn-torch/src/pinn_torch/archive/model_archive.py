"""A trained module as ``wts.h5.zip``, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import lightning
import numpy as np
import torch
from pinn_archive.contents import Archive, ModelPayload
from pinn_config.configs import TrainingConfig
from pinn_data.archives.foreign_archive import use_archive
from pinn_data.archives.model_parts import NETWORK, ModelParts

from pinn_torch import BACKEND, __version__
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.model.network import read_weights, write_weights

__all__ = ["TrainedModel", "framework_versions", "load_model", "save_model"]

# The specification wants both names in every archive; the autoencoder is the same network with the physics
# behind it.
_AUTOENCODER = "autoencoder"


@attrs.frozen
class TrainedModel:
    """What an archive gives back.

    gain : learned factor on the intensity scale; the network's own scale is measured on each scan
    checkpoint : bytes of the Lightning checkpoint, the native payload; None: there is none
    """

    module: PtychoPINN_Lightning
    config: TrainingConfig
    probe_trained: bool
    gain: float
    provenance: dict[str, Any]
    checkpoint: bytes | None = attrs.field(default=None, repr=False)

    @property
    def intensity_scale(self) -> float:
        """Learned factor from network amplitudes to sqrt(photons)."""
        return float(self.module.log_intensity_scale.detach().exp())


def framework_versions() -> dict[str, str]:
    """Versions of what this backend computes with."""
    return {"torch": str(torch.__version__), "lightning": str(lightning.__version__)}


def save_model(
    path: Path,
    module: PtychoPINN_Lightning,
    config: TrainingConfig,
    checkpoint: bytes | None,
    provenance: dict[str, Any],
) -> Path:
    """Write the archive; returns its path. `checkpoint`: bytes of the Lightning checkpoint, the native
    payload."""
    weights = write_weights(module.network)
    parts = ModelParts(
        config,
        module.execution,
        torch.view_as_complex(module.probe_parts.detach().cpu().contiguous()).numpy(),
        float(module.training_intensity_scale),
        float(module.log_intensity_scale.detach()),
        provenance,
    )
    payloads = {
        NETWORK: ModelPayload(weights, "model.ckpt" if checkpoint else None, checkpoint),
        _AUTOENCODER: ModelPayload(weights),
    }
    return parts.write(path, payloads, BACKEND, {"pinn-torch": __version__, **framework_versions()})


def load_model(path: Path) -> TrainedModel:
    """The module of an archive, on the CPU and in evaluation mode, with exactly the weights that were saved.

    Raises
    ------
    ArchiveError, ArchiveNotFoundError
        No sound archive.
    ModelArchiveError
        A sound archive without a network that this backend can build; of another backend: naming both.
    """
    return use_archive(path, BACKEND, lambda archive: _trained_model(archive, path))


def _trained_model(archive: Archive, path: Path) -> TrainedModel:
    parts = ModelParts.of(archive, path)
    config, scale = parts.config, parts.training_intensity_scale
    probe = torch.from_numpy(parts.probe)
    module = PtychoPINN_Lightning.of(config, parts.execution, probe, scale)
    read_weights(module.network, archive.models[NETWORK].weights)
    with torch.no_grad():
        module.probe_parts.copy_(torch.view_as_real(probe))  # to the bit: normalising again would round
        module.log_intensity_scale.fill_(parts.log_intensity_scale)
    module.eval()
    return TrainedModel(
        module,
        config,
        config.probe_trainable,
        float(np.exp(parts.log_intensity_scale)) / scale,
        dict(parts.provenance),
        archive.models[NETWORK].native if archive.backend == BACKEND else None,
    )
