"""A client's reconstruction."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_data.command.plain_errors import plain_errors

from pinn_torch.api.configs import ConfigManager
from pinn_torch.api.data import PtychoDataLoader
from pinn_torch.api.model import PtychoModel
from pinn_torch.archive.model_archive import TrainedModel
from pinn_torch.backend import TORCH
from pinn_torch.errors import RunError
from pinn_torch.runtime.devices import same_arithmetic_afterwards
from pinn_torch.workflows import Reconstruction

__all__ = ["InferenceEngine"]


class InferenceEngine:
    """Reconstructs scans with the network of a `PtychoModel`."""

    def __init__(self, config_manager: ConfigManager, ptycho_model: PtychoModel) -> None:
        self.config_manager, self.ptycho_model = config_manager, ptycho_model

    def predict_and_stitch(self, data_loader: PtychoDataLoader) -> NDArray[np.complex64]:
        """The object (row, column) complex64, an odd number of pixels each way.

        Its middle pixel lies at the middle of the scan's extent, to the fraction of a pixel: there ptychodus
        puts the centre of an object that it made for the scan.

        Raises
        ------
        ValueError, RuntimeError
            One sentence; never a class of a framework.
        """
        module = self.ptycho_model.model
        if module is None:
            raise RunError("this PtychoModel has no network yet: load a checkpoint first")
        scan = data_loader.scan
        # ptychodus counts from the patch's middle, half a pixel before ours.
        middle = (scan.positions.min(0) + scan.positions.max(0)) / 2 - 0.5
        centred = attrs.evolve(scan, positions=scan.positions - middle)
        with plain_errors(), same_arithmetic_afterwards():
            configs = self.config_manager
            config = configs.inference(len(scan))
            # The network is the checkpoint's; `validate_arch_compatibility` compared it with the settings.
            config.model = module.model
            training = configs.training(len(scan))
            training.model = module.model
            trained = TrainedModel(
                module,
                training,
                training.probe_trainable,
                math.exp(float(module.log_intensity_scale.detach())) / module.training_intensity_scale,
                configs.provenance(),
            )
            result = TORCH.refined_image(
                trained, centred, config, configs.execution(devices=1), seed=0, progress=None
            )
        return _about_the_origin(result)


def _about_the_origin(result: Reconstruction) -> NDArray[np.complex64]:
    """The part of the object that reaches as far on either side of object pixel (0, 0)."""
    first = np.asarray(result.canvas.origin)
    reach = np.minimum(-first, first + np.asarray(result.canvas.shape) - 1)
    rows, columns = (slice(-f - r, -f + r + 1) for f, r in zip(first, reach, strict=True))
    return np.ascontiguousarray(result.object[rows, columns])
