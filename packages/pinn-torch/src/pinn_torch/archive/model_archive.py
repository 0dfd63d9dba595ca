"""A trained module as ``wts.h5.zip``, and back."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import attrs
import lightning
import numpy as np
import torch
from pinn_archive.contents import Archive, ModelPayload
from pinn_archive.writer import write_archive
from pinn_config.configs import TrainingConfig
from pinn_data.json_values import as_json
from pinn_data.run.foreign_archive import use_archive
from pinn_data.run.stored_configs import archived_configs, plain_configs

from pinn_torch import BACKEND, __version__
from pinn_torch.errors import ModelArchiveError
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.model.network import read_weights, write_weights

__all__ = ["TrainedModel", "framework_versions", "load_model", "save_model"]

_NETWORK = "diffraction_to_obj"
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
    return write_archive(
        path,
        models={
            _NETWORK: ModelPayload(weights, "model.ckpt" if checkpoint else None, checkpoint),
            _AUTOENCODER: ModelPayload(weights),
        },
        params={
            **plain_configs(config, module.execution),
            "training_intensity_scale": float(module.training_intensity_scale),
            "log_intensity_scale": float(module.log_intensity_scale.detach()),
        },
        arrays={"probe": torch.view_as_complex(module.probe_parts.detach().cpu().contiguous()).numpy()},
        backend=BACKEND,
        provenance={
            "pinn-torch": __version__,
            **framework_versions(),
            "numpy": np.__version__,
            "python": platform.python_version(),
            **as_json(provenance),
        },
    )


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
    if _NETWORK not in archive.models:
        raise ModelArchiveError(
            f"{path} holds the models {sorted(archive.models)}, but not {_NETWORK!r}: open an "
            "archive of a training"
        )
    config, execution = archived_configs(archive, path)
    try:
        probe = archive.arrays["probe"]
        trained_scale = float(archive.params["training_intensity_scale"])
        log_scale = float(archive.params["log_intensity_scale"])
    except KeyError as missing:
        raise ModelArchiveError(
            f"{path} lacks {missing}: open an archive that this version wrote, or train again"
        ) from missing
    module = PtychoPINN_Lightning.of(
        config, execution, torch.from_numpy(np.array(probe, np.complex64)), trained_scale
    )
    read_weights(module.network, archive.models[_NETWORK].weights)
    with torch.no_grad():
        # To the bit: normalising again would round.
        module.probe_parts.copy_(torch.view_as_real(torch.from_numpy(np.array(probe, np.complex64))))
        module.log_intensity_scale.fill_(log_scale)
    module.eval()
    return TrainedModel(
        module,
        config,
        config.probe_trainable,
        float(np.exp(log_scale)) / trained_scale,
        dict(archive.provenance),
        archive.models[_NETWORK].native if archive.backend == BACKEND else None,
    )
