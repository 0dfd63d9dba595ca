"""A trained model as ``wts.h5.zip``, and back: archives of every backend."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs
import keras
import numpy as np
import tensorflow as tf
from pinn_archive.contents import Archive, ModelPayload
from pinn_config.configs import TrainingConfig
from pinn_config.objective import Objective
from pinn_data.archives.foreign_archive import use_archive
from pinn_data.archives.model_parts import NETWORK, ModelParts

from pinn_tf import BACKEND, __version__
from pinn_tf.model.module import PtychoPINN
from pinn_tf.model.network import read_weights, write_weights
from pinn_tf.model.trained_model import TrainedModel
from pinn_tf.models import models_of

__all__ = ["TrainedModel", "framework_versions", "load_model", "reopened", "save_model"]

_NATIVE = "model.keras"


def framework_versions() -> dict[str, str]:
    """Versions of what this backend computes with."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def save_model(path: Path, trained: TrainedModel, *, native: bool = True) -> Path:
    """Write the archive; returns its path. native : also the files of Keras, for programs without this
    package's reader"""
    module = trained.module
    weights = write_weights(module.network)
    payloads = {
        name: ModelPayload(weights, _NATIVE, _keras_file(model)) if native else ModelPayload(weights)
        for name, model in models_of(module).items()
    }
    parts = ModelParts(
        trained.config,
        trained.execution,
        _complex(module.probe_parts.value.numpy()),
        module.training_intensity_scale,
        float(module.log_intensity_scale.value.numpy()),
        trained.provenance,
    )
    return parts.write(path, payloads, BACKEND, {"pinn-tf": __version__, **framework_versions()})


def _complex(parts: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(parts, np.float32).view(np.complex64)[..., 0]


def _keras_file(model: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _NATIVE
        model.save(path)
        return path.read_bytes()


def load_model(path: Path) -> TrainedModel:
    """The model of an archive, whichever backend wrote it, with exactly the weights that were saved.

    Raises
    ------
    ArchiveError, ArchiveNotFoundError
        No sound archive.
    ModelArchiveError
        A sound archive without a network that this backend can build; of another backend: naming both, and
        the layer that TensorFlow lacks, if it is that.
    """
    return use_archive(path, BACKEND, lambda archive: _trained_model(archive, path))


def _trained_model(archive: Archive, path: Path) -> TrainedModel:
    parts = ModelParts.of(archive, path)
    module = _module(
        parts.config,
        archive.models[NETWORK].weights,
        parts.probe,
        parts.log_intensity_scale,
        parts.training_intensity_scale,
    )
    return TrainedModel(module, parts.config, parts.execution, parts.provenance)


def _module(
    config: TrainingConfig,
    weights: Mapping[str, np.ndarray],
    probe: np.ndarray,
    log_scale: float,
    trained_scale: float,
) -> PtychoPINN:
    module = PtychoPINN(
        config.model,
        probe,
        trained_scale,
        objective=Objective.of(config),
        probe_trainable=config.probe_trainable,
        intensity_scale_trainable=config.intensity_scale_trainable,
    )
    read_weights(module.network, weights)
    module.restore(probe, log_scale, trained_scale)
    return module


def reopened(trained: TrainedModel) -> TrainedModel:
    """The model as its archive would give it back, without an archive: the same weights to the bit, in
    float32, shared with nothing."""
    module = trained.module
    again = _module(
        trained.config,
        write_weights(module.network),
        _complex(module.probe_parts.numpy()),
        float(module.log_intensity_scale.numpy()),
        module.training_intensity_scale,
    )
    return attrs.evolve(trained, module=again)
