"""Trainings of a few steps with the narrowest networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.progress.reports import Watcher
from pinn_data.run.run_record import Origin
from pinn_data.scan.scan import Scan
from pinn_tf.archive.model_archive import load_model
from pinn_tf.backend import TENSORFLOW
from pinn_tf.training.run import learn
from pinn_tf.workflows import Reconstruction, TrainingResult, reconstruct, train


def quiet(**settings: Any) -> PyTorchExecutionConfig:
    """An execution that writes neither logs nor checkpoints."""
    return PyTorchExecutionConfig(**{"logger_backend": "none", "enable_checkpointing": False} | settings)


def small_training(
    folder: Path,
    scan: Scan,
    *,
    architecture: str = "cnn",
    gridsize: int = 1,
    execution: dict[str, Any] | None = None,
    learning_rate: float = 1e-3,
    seed: int = 0,
    validation: Scan | None = None,
    max_seconds: float | None = None,
    progress: Watcher | None = None,
    model: dict[str, Any] | None = None,
    historical: bool = False,
    **settings: Any,
) -> TrainingResult:
    """Two steps unless `settings` (of TrainingConfig) say otherwise, with the narrowest network.

    historical : without execution settings, as clients train
    """
    config = TrainingConfig(
        model=ModelConfig(
            **{"N": scan.N, "architecture": architecture, "gridsize": gridsize, "n_filters_scale": 1}
            | (model or {})
        ),
        **{"nepochs": 1, "batch_size": 6, "n_groups": 12, "output_dir": folder} | settings,
    )
    run = None if historical else quiet(**{"learning_rate": learning_rate} | (execution or {}))
    return train(
        scan, config, run, validation=validation, seed=seed, max_seconds=max_seconds, progress=progress
    )


def state_of(archive: Path) -> dict[str, NDArray[Any]]:
    """Every number that a training has learned, by name."""
    module = load_model(archive).module
    state = {name: variable.numpy() for name, variable in module.network.arrays.items()}
    return state | {
        "probe": module.probe_parts.numpy(),
        "log_intensity_scale": module.log_intensity_scale.numpy(),
    }


def same(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


def network_image(
    model: Any,
    scan: Scan,
    config: InferenceConfig | None = None,
    execution: PyTorchExecutionConfig | None = None,
    **options: Any,
) -> Reconstruction:
    """The image as the network makes it, without the solver after it unless `config` asks for that."""
    config = config or InferenceConfig(ModelConfig())
    config = dataclasses.replace(config, refine=config.refine or "none")
    return reconstruct(model, scan, config, execution, **options)


def learned(scan, config, execution, *, validation=None, seed=0):
    """A training that writes nothing."""
    job = TENSORFLOW.training_job(scan, config, execution, validation=validation, seed=seed, max_seconds=None)
    return learn(job, Origin(job.scan, validation=validation), None)
