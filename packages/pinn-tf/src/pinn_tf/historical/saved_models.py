"""Models saved and opened under the names of the historical ``model_manager``; importing this loads no
framework.

The archives are those of `pinn_tf.archive.model_archive`: no code of a model is in them, so nothing is
unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pinn_archive.layout import FILE_NAME
from pinn_data.command.plain_errors import plain_errors
from pinn_data.run.inference_bundle import MODEL_NAMES, attached_models, restore_legacy_dict

from pinn_tf.backend import TENSORFLOW
from pinn_tf.errors import ModelNameError, ModelPathError, RunError
from pinn_tf.runtime.requirements import require_tensorflow
from pinn_tf.training.last_training import last_training

__all__ = ["ModelManager", "save"]


def save(out_prefix: str | os.PathLike[str]) -> Path:
    """Write what was trained last in this process as ``out_prefix/wts.h5.zip``; the path of the archive.

    The folder is made where it is missing.

    Raises RunError (a ValueError) where nothing has been trained yet, and what writing raises.
    """
    return _write(Path(out_prefix) / FILE_NAME)


def _write(path: Path) -> Path:
    trained = last_training()
    require_tensorflow()
    from pinn_tf.archive.model_archive import save_model

    with plain_errors():
        return save_model(path, trained)


class ModelManager:
    """Both models of a training, saved and opened together."""

    @staticmethod
    def save_multiple_models(
        models_dict: Mapping[str, Any],
        base_path: str | os.PathLike[str],
        custom_objects: Mapping[str, Any] | None = None,
        intensity_scale: float | None = None,
    ) -> Path:
        """Write ``<base_path>.zip``; the path of the archive.

        models_dict : ``{'autoencoder': model, 'diffraction_to_obj': model}`` of the last training of this
            process, as its results hold them
        custom_objects : None or none: the layers of these models are known by name to whoever opens them
        intensity_scale : None, or that of the models, which have their own

        Raises RunError (a ValueError) for anything else.
        """
        if custom_objects:
            raise RunError(
                f"custom_objects {sorted(custom_objects)} were given, but an archive holds no code, and the "
                "layers of its models are part of this package: leave custom_objects out"
            )
        if set(models_dict) != set(MODEL_NAMES):
            raise RunError(
                f"the models {sorted(models_dict)} were given, but an archive holds {sorted(MODEL_NAMES)}: "
                "give both of one training, as results['models'] has them"
            )
        trained = last_training()
        if any(getattr(model, "module", None) is not trained.module for model in models_dict.values()):
            raise RunError(
                "the models are not those that were trained last in this process: save them after their "
                "training, or copy the archive that they were opened from"
            )
        scale = trained.intensity_scale
        if intensity_scale is not None and not np.isclose(intensity_scale, scale, rtol=1e-5):
            raise RunError(
                f"intensity_scale={intensity_scale:g} was given, but the models have learned {scale:g}: "
                "leave it out"
            )
        return _write(Path(f"{os.fspath(base_path)}.zip"))

    @staticmethod
    def load_multiple_models(
        base_path: str | os.PathLike[str], model_names: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The models of the archive ``<base_path>.zip`` by name, or those of `model_names`; the legacy
        dictionary becomes that of their training, as `load_inference_bundle`
        says.

        Raises
        ------
        ModelPathError (a FileNotFoundError)
            There is no such file.
        ModelNameError (a ValueError and a KeyError)
            The archive has no model of a name.

        And what `load_inference_bundle` raises.
        """
        path = Path(f"{os.fspath(base_path)}.zip")
        if not path.is_file():
            raise ModelPathError(
                f"Model archive not found: {path}: give the path of an archive without its ending .zip"
            )
        require_tensorflow()
        from pinn_tf.archive.model_archive import load_model

        with plain_errors():
            trained = load_model(path)
            models = attached_models(TENSORFLOW, trained)
        wanted = list(models) if model_names is None else list(model_names)
        missing = sorted(set(wanted) - set(models))
        if missing:
            raise ModelNameError(
                f"Requested models not found in archive: {missing} in {path}, which has {sorted(models)}: "
                "choose one of these"
            )
        restore_legacy_dict(trained)
        return {name: models[name] for name in wanted}
