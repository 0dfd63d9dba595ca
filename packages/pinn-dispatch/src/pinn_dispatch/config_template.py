"""The settings of a command as a YAML file to be edited: each with its default and what it means.

Law: given back with ``--config``, the file changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_config.configs import Framework
from pinn_config.files import EXECUTION, to_yaml

__all__ = ["KINDS", "template"]

KINDS = ("training", "inference", "execution")

_TRAINING = """\
# Settings of `pinn train --config FILE`. Every line is the default; delete what you do not change.
# Lines that begin with '#' are set by the data (N) or by a flag (output_dir).

"""
_INFERENCE = """\
# Settings of `pinn infer --config FILE`. Every line is the default; delete what you do not change.
# Lines that begin with '#' are set by the archive (backend and network) or by flags.

"""
_EXECUTION = """\
# How `pinn train --config FILE` and `pinn infer --config FILE` are executed. Every line is the default.

"""


def template(kind: str, recipe: Mapping[str, Any], backend: Framework | None = None) -> str:
    """The text of the file for one of :data:`KINDS`.

    recipe : what the commands use in place of the configs' defaults, in the form of a file
    backend : the one that the file names
    """
    execution = PyTorchExecutionConfig(**recipe[EXECUTION])
    if kind == "execution":
        return _EXECUTION + to_yaml(None, execution)
    if kind == "inference":
        unsaid = {"model", "output_dir", "model_path"} | ({"backend"} if backend is None else set())
        config = InferenceConfig(ModelConfig())
        if backend is not None:
            config.backend = backend
        return _INFERENCE + to_yaml(config, execution, unsaid=unsaid)
    own = {key: value for key, value in recipe.items() if key not in ("model", EXECUTION)}
    training = TrainingConfig(
        ModelConfig(**recipe["model"]), **(own | ({"backend": backend} if backend else {}))
    )
    training.n_groups = None  # as many as there are patterns
    return _TRAINING + to_yaml(training, execution, unsaid={"N", "output_dir"})
