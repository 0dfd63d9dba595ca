"""A model archive opened for a client: the model, and the legacy dictionary as it was when it was trained.

`pinn_torch.archive.model_archive.load_model` opens an archive without touching anything; this is the loader
of the specification (sections 4.2 and 4.6), which historical code expects to overwrite ``params.cfg``.
`save_inference_bundle` is its inverse.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_config import legacy
from pinn_data.run.inference_bundle import chosen_model, model_path, restore_legacy_dict, trained_in

from pinn_torch import BACKEND
from pinn_torch.runtime.requirements import require_torch

if TYPE_CHECKING:
    from pinn_config.execution import PyTorchExecutionConfig

    from pinn_torch.archive.model_archive import TrainedModel

__all__ = [
    "load_inference_bundle",
    "load_inference_bundle_torch",
    "models_of",
    "save_inference_bundle",
]


def load_inference_bundle(
    bundle_dir: str | os.PathLike[str],
    model_name: str = "diffraction_to_obj",
    execution_config: PyTorchExecutionConfig | None = None,
) -> tuple[Any, dict[str, Any]]:
    """A trained model, and the legacy dictionary that belongs to it, which is now in force.

    bundle_dir : a folder that holds ``wts.h5.zip``, that file, or a folder that it was unpacked to
    model_name : ``'diffraction_to_obj'`` or ``'autoencoder'``
    execution_config : the model lies on the device of its ``accelerator``; None: on the CPU

    Side effect: `pinn_config.legacy.cfg` (``ptycho.params.cfg``) holds what the training was configured with,
    ``N``, ``gridsize``, ``intensity_scale.trainable`` and all, and the learned ``intensity_scale``; the paths
    of the training are left out, so files and ``output_prefix`` stay those of this process. Whoever
    reconstructs with another configuration bridges it after loading.

    Returns
    -------
    model, params
        `model` is a `pinn_torch.archive.models.DiffractionToObject` or `Autoencoder`, `params` a copy of the
        dictionary.

    Raises
    ------
    ModelPathError (a ValueError and a FileNotFoundError)
        There is nothing at `bundle_dir`.
    ArchiveNotFoundError (a FileNotFoundError)
        There is no archive in the folder.
    ArchiveError, ModelArchiveError (a ValueError)
        The archive is damaged, or of another backend; then the message names both.
    ModelNameError (a KeyError)
        There is no model of that name.
    RunError (a ValueError)
        This machine has no such device.
    TorchMissingError (a RuntimeError)
    """
    require_torch()
    from pinn_torch.archive.model_archive import load_model
    from pinn_torch.runtime.devices import device_of

    device = device_of(execution_config.accelerator if execution_config is not None else "cpu")
    path = model_path(bundle_dir)
    trained = load_model(path)
    model = chosen_model(models_of(trained), model_name, path)
    restore_legacy_dict(trained)
    return model.to(device), dict(legacy.cfg)


load_inference_bundle_torch = load_inference_bundle
"""The historical name."""


def save_inference_bundle(results: Mapping[str, Any] | Any, bundle_dir: str | os.PathLike[str]) -> Path:
    """Write the archive of a training as ``bundle_dir/wts.h5.zip``; its path. The folder is made.

    results : what `pinn_torch.components.train_cdi_model` or `run_cdi_example` returned, or a model that
        `load_inference_bundle` opened

    The weights are those that the model has now; configuration, provenance and checkpoint are those of its
    training, so that of a model which was not changed the same archive comes back to the bit.

    Raises
    ------
    RunError (a ValueError)
        There is no model of this backend in `results`.
    OSError
        The folder cannot be written.
    TorchMissingError (a RuntimeError)
    """
    require_torch()
    from pinn_torch.archive.model_archive import TrainedModel, save_model

    trained = trained_in(results, TrainedModel, BACKEND)
    return save_model(
        Path(bundle_dir), trained.module, trained.config, trained.checkpoint, trained.provenance
    )


def models_of(trained: TrainedModel) -> dict[str, Any]:
    """The models of an archive by name (`MODEL_NAMES`); see `pinn_torch.archive.models`."""
    from pinn_torch.archive import models

    found = models.models_of(trained.module)
    for model in found.values():
        model.trained = trained
    return dict(found)
