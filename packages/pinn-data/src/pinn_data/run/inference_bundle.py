"""A model archive opened for a client: the model, and the legacy dictionary as it was when it was trained.

The loader of the specification (sections 4.2 and 4.6), which historical code expects to overwrite
``params.cfg``, and its inverse.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pinn_config import legacy
from pinn_config.bridge import dataclass_to_legacy_dict
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig

from pinn_data.errors import ModelNameError, ModelPathError, RunError
from pinn_data.run.backend import Backend

__all__ = ["MODEL_NAMES", "BundleFunctions", "LearnedModel", "attached_models", "restore_legacy_dict"]

MODEL_NAMES = ("autoencoder", "diffraction_to_obj")
"""The models of every archive."""

# Where the training was done says nothing about where this process reads and writes.
_PLACES = ("train_data_file_path", "test_data_file_path", "output_prefix")


class LearnedModel(Protocol):
    """What a backend's trained model says of its training."""

    @property
    def config(self) -> TrainingConfig:
        """The configuration of its training."""

    @property
    def intensity_scale(self) -> float:
        """Learned factor from network amplitudes to sqrt(photons)."""


class BundleFunctions(Backend):
    """`load_inference_bundle` and `save_inference_bundle` of a backend."""

    def load_inference_bundle(
        self,
        bundle_dir: str | os.PathLike[str],
        model_name: str = "diffraction_to_obj",
        execution_config: PyTorchExecutionConfig | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """A trained model, and the legacy dictionary that belongs to it, which is now in force.

        bundle_dir : a folder that holds ``wts.h5.zip``, that file, or a folder that it was unpacked to
        model_name : ``'diffraction_to_obj'`` or ``'autoencoder'``
        execution_config : the model computes on the device of its ``accelerator``; None: PyTorch's on the
            CPU, TensorFlow's where TensorFlow puts it

        Side effect: `pinn_config.legacy.cfg` (``ptycho.params.cfg``) holds what the training was configured
        with, ``N``, ``gridsize``, ``intensity_scale.trainable`` and all, and the learned ``intensity_scale``;
        the paths of the training are left out, so files and ``output_prefix`` stay those of this process.
        Whoever reconstructs with another configuration bridges it after loading.

        Returns
        -------
        model, params
            `model` is of the backend's module ``models``, `params` a copy of the dictionary.

        Raises
        ------
        ModelPathError (a ValueError and a FileNotFoundError)
            There is nothing at `bundle_dir`.
        ArchiveNotFoundError (a FileNotFoundError)
            There is no archive in the folder.
        ArchiveError, ModelArchiveError (a ValueError)
            The archive is damaged, or of another backend and cannot be opened here; then the message names
            both.
        ModelNameError (a KeyError)
            There is no model of that name.
        RunError (a ValueError)
            This machine has no such device.
        RuntimeError
            The framework is missing. Never a class of a framework.
        """
        self.require()
        path = Path(bundle_dir)
        if not path.exists() and path.name != "wts.h5":  # the historical base name of wts.h5.zip
            raise ModelPathError(
                f"Model directory does not exist: {path}: give the folder that holds wts.h5.zip, or that file"
            )
        with self.guarded(), self.placed(execution_config) as place:
            trained = self.load_model(path)
            models = attached_models(self, trained)
            if model_name not in models:
                raise ModelNameError(
                    f"Model {model_name!r} not found in {path}: available models are {sorted(models)}, "
                    "choose one of them"
                )
            model = place(models[model_name])
        restore_legacy_dict(trained)
        return model, dict(legacy.cfg)

    def save_inference_bundle(
        self, results: Mapping[str, Any] | Any, bundle_dir: str | os.PathLike[str]
    ) -> Path:
        """Write the archive of a training as ``bundle_dir/wts.h5.zip``; its path. The folder is made.

        results : what `train_cdi_model` or `run_cdi_example` returned, or a model that
            `load_inference_bundle` opened

        The weights are those that the model has now; configuration, provenance and checkpoint are those of
        its training, so that of a model which was not changed the same archive comes back to the bit.

        Raises
        ------
        RunError (a ValueError)
            There is no model of this backend in `results`.
        OSError
            The folder cannot be written.
        RuntimeError
            The framework is missing. Never a class of a framework.
        """
        self.require()
        model = results.get("model_instance") if isinstance(results, Mapping) else results
        trained = getattr(model, "trained", None)
        if not self.is_trained(trained):
            raise RunError(
                f"there is no trained model of the backend {self.name!r} in this {type(results).__name__}: "
                "give the results of run_cdi_example or train_cdi_model, or a model that "
                "load_inference_bundle opened"
            )
        with self.guarded():
            return self.save_model(Path(bundle_dir), trained)


def attached_models(backend: Backend, trained: Any) -> dict[str, Any]:
    """The models of a trained model by name; each knows as ``trained`` what it belongs to."""
    models = backend.named_models(trained)
    for model in models.values():
        model.trained = trained
    return models


def restore_legacy_dict(trained: LearnedModel) -> None:
    """Make `pinn_config.legacy.cfg` say what `trained` was trained with."""
    restored = dataclass_to_legacy_dict(trained.config)
    for place in _PLACES:
        restored.pop(place)
    legacy.cfg.update(restored)
    legacy.cfg["intensity_scale"] = trained.intensity_scale
