"""What an archive holds of a trained model, in the terms that both backends share."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_archive.contents import Archive, ModelPayload
from pinn_archive.writer import write_archive
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig

from pinn_data.archives.stored_configs import archived_configs, plain_configs
from pinn_data.errors import ModelArchiveError
from pinn_data.json_values import as_json

__all__ = ["NETWORK", "ModelParts"]

NETWORK = "diffraction_to_obj"
"""The model of an archive that holds the weights of the network."""


@attrs.frozen(eq=False)
class ModelParts:
    """A trained model without its framework.

    probe : (mode, N, N) complex64, in network units
    training_intensity_scale : of the scan that was learned, from network units to sqrt(photons)
    log_intensity_scale : logarithm of the learned one
    provenance : what the archive says of its origin
    """

    config: TrainingConfig
    execution: PyTorchExecutionConfig
    probe: NDArray[np.complex64] = attrs.field(repr=False)
    training_intensity_scale: float
    log_intensity_scale: float
    provenance: Mapping[str, Any]

    @classmethod
    def of(cls, archive: Archive, path: Path) -> ModelParts:
        """The parts in an archive that was read from `path`; raises ModelArchiveError if one is missing."""
        if NETWORK not in archive.models:
            raise ModelArchiveError(
                f"{path} holds the models {sorted(archive.models)}, but not {NETWORK!r}: open an "
                "archive of a training"
            )
        config, execution = archived_configs(archive, path)
        try:
            return cls(
                config,
                execution,
                np.array(archive.arrays["probe"], np.complex64),
                float(archive.params["training_intensity_scale"]),
                float(archive.params["log_intensity_scale"]),
                dict(archive.provenance),
            )
        except KeyError as missing:
            raise ModelArchiveError(
                f"{path} lacks {missing}: open an archive that this version wrote, or train again"
            ) from missing

    def write(
        self, path: Path, payloads: Mapping[str, ModelPayload], backend: str, versions: Mapping[str, str]
    ) -> Path:
        """Write the archive and return its path.

        payloads : models by name, with the weights of the network
        versions : of the backend's package and its frameworks
        """
        return write_archive(
            path,
            models=payloads,
            params={
                **plain_configs(self.config, self.execution),
                "training_intensity_scale": self.training_intensity_scale,
                "log_intensity_scale": self.log_intensity_scale,
            },
            arrays={"probe": np.ascontiguousarray(self.probe)},
            backend=backend,
            provenance={
                **versions,
                "numpy": np.__version__,
                "python": platform.python_version(),
                **as_json(self.provenance),
            },
        )
