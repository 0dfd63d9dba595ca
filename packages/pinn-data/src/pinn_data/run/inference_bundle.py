"""A model archive opened for a client: the model, and the legacy dictionary as it was when it was trained.

The loader of the specification (sections 4.2 and 4.6), which historical code expects to overwrite
``params.cfg``; each backend gives the parts that need its framework.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pinn_config import legacy
from pinn_config.bridge import dataclass_to_legacy_dict
from pinn_config.configs import TrainingConfig

from pinn_data.run.errors import ModelNameError, ModelPathError, RunError

__all__ = ["MODEL_NAMES", "LearnedModel", "chosen_model", "model_path", "restore_legacy_dict", "trained_in"]

MODEL_NAMES = ("autoencoder", "diffraction_to_obj")
"""The models of every archive."""

# Where the training was done says nothing about where this process reads and writes.
_PLACES = ("train_data_file_path", "test_data_file_path", "output_prefix")

T = TypeVar("T")


class LearnedModel(Protocol):
    """What a backend's trained model says of its training."""

    @property
    def config(self) -> TrainingConfig:
        """The configuration of its training."""

    @property
    def intensity_scale(self) -> float:
        """Learned factor from network amplitudes to sqrt(photons)."""


def model_path(bundle_dir: str | os.PathLike[str]) -> Path:
    """The folder or file at which a client has its archive; raises ModelPathError if nothing is there."""
    path = Path(bundle_dir)
    if not path.exists() and path.name != "wts.h5":  # the historical base name of wts.h5.zip
        raise ModelPathError(
            f"Model directory does not exist: {path}: give the folder that holds wts.h5.zip, or that file"
        )
    return path


def chosen_model(models: Mapping[str, T], name: str, path: Path) -> T:
    """The model of this name in the archive at `path`; raises ModelNameError if there is none."""
    if name not in models:
        raise ModelNameError(
            f"Model {name!r} not found in {path}: available models are {sorted(models)}, choose one of them"
        )
    return models[name]


def trained_in(results: Mapping[str, Any] | Any, kind: type[T], backend: str) -> T:
    """The trained model in the results of a workflow function, or behind a model that was opened.

    Raises RunError if there is none of this `kind`.
    """
    model = results.get("model_instance") if isinstance(results, Mapping) else results
    trained = getattr(model, "trained", None)
    if not isinstance(trained, kind):
        raise RunError(
            f"there is no trained model of the backend {backend!r} in this {type(results).__name__}: give "
            "the results of run_cdi_example or train_cdi_model, or a model that load_inference_bundle opened"
        )
    return trained


def restore_legacy_dict(trained: LearnedModel) -> None:
    """Make `pinn_config.legacy.cfg` say what `trained` was trained with."""
    restored = dataclass_to_legacy_dict(trained.config)
    for place in _PLACES:
        restored.pop(place)
    legacy.cfg.update(restored)
    legacy.cfg["intensity_scale"] = trained.intensity_scale
