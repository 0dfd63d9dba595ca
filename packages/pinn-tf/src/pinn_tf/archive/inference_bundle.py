"""A model archive opened for a client: the model, and the legacy dictionary as it was when it was trained.

`pinn_tf.archive.model_archive.load_model` opens an archive without touching anything; this is the loader of
the specification (sections 4.2 and 4.6), which historical code expects to overwrite ``params.cfg``.
`save_inference_bundle` is its inverse. Importing this module loads no framework.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_config import legacy
from pinn_data.run.inference_bundle import chosen_model, model_path, restore_legacy_dict, trained_in
from pinn_data.run.plain_errors import plain_errors

from pinn_tf import BACKEND
from pinn_tf.runtime.requirements import require_tensorflow

if TYPE_CHECKING:
    from pinn_config.execution import PyTorchExecutionConfig

    from pinn_tf.archive.model_archive import TrainedModel

__all__ = [
    "load_inference_bundle",
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
    execution_config : the model lies, and computes, on the device of its ``accelerator``; None: where
        TensorFlow puts it, the GPU where there is one

    Side effect: `pinn_config.legacy.cfg` (``ptycho.params.cfg``) holds what the training was configured with,
    ``N``, ``gridsize``, ``intensity_scale.trainable`` and all, and the learned ``intensity_scale``; the paths
    of the training are left out, so files and ``output_prefix`` stay those of this process. Whoever
    reconstructs with another configuration bridges it after loading.

    Returns
    -------
    model, params
        `model` is a `pinn_tf.models.GroupModel`, `params` a copy of the dictionary. Then
        ``model.predict([X * params['intensity_scale'], local_offsets])``.

    Raises
    ------
    ModelPathError (a ValueError and a FileNotFoundError)
        There is nothing at `bundle_dir`.
    ArchiveNotFoundError (a FileNotFoundError)
        There is no archive in the folder.
    ArchiveError, ModelArchiveError (a ValueError)
        The archive is damaged, or of another backend and cannot be opened here; then the message names both.
    ModelNameError (a KeyError)
        There is no model of that name.
    RunError (a ValueError)
        TensorFlow sees no such device on this machine.
    TensorFlowMissingError (a RuntimeError); never a class of TensorFlow or Keras
    """
    require_tensorflow()
    from pinn_tf.archive.model_archive import load_model
    from pinn_tf.runtime.devices import device_of, on_device

    device = None if execution_config is None else device_of(execution_config.accelerator)
    path = model_path(bundle_dir)
    with plain_errors(), on_device(device):
        trained = load_model(path)
        models = models_of(trained)
    model = chosen_model(models, model_name, path)
    restore_legacy_dict(trained)
    model.device = device
    return model, dict(legacy.cfg)


def save_inference_bundle(results: Mapping[str, Any] | Any, bundle_dir: str | os.PathLike[str]) -> Path:
    """Write the archive of a training as ``bundle_dir/wts.h5.zip``; its path. The folder is made.

    results : what `pinn_tf.components.train_cdi_model` or `run_cdi_example` returned, or a model that
        `load_inference_bundle` opened

    The weights are those that the model has now; configuration and provenance are those of its training.

    Raises
    ------
    RunError (a ValueError)
        There is no model of this backend in `results`.
    OSError
        The folder cannot be written.
    TensorFlowMissingError (a RuntimeError); never a class of TensorFlow or Keras
    """
    require_tensorflow()
    from pinn_tf.archive.model_archive import TrainedModel, save_model

    trained = trained_in(results, TrainedModel, BACKEND)
    with plain_errors():
        return save_model(Path(bundle_dir), trained)


def models_of(trained: TrainedModel) -> dict[str, Any]:
    """The models of an archive by name (`MODEL_NAMES`); see `pinn_tf.models`."""
    from pinn_tf import models

    found = models.models_of(trained.module)
    for model in found.values():
        model.trained = trained
    return dict(found)
