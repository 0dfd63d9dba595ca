"""The workflow functions of the specification (sections 4.5 and 4.8): train, stitch, and both.

They take scans in any form (:func:`pinn_data.grouping.raw_data.scan_of`) and return the dictionary of results
of `pinn_data.run.workflow_results`, the same for every backend. Importing this module loads no framework.

Programs like ptychodus give no ``output_dir`` but a placeholder, ``Path()``, and ask for the archive later.
Then nothing is written, ``bundle_path`` of the results is None, and the model stays in this process
(`pinn_tf.training.last_training`), where `pinn_tf.historical.saved_models.save` finds it.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pinn_config import legacy
from pinn_config.bridge import update_legacy_dict
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.run.plain_errors import plain_errors
from pinn_data.run.workflow_results import RESULT_KEYS, stitched_part, stitching_results, training_results
from pinn_data.run.workflow_scans import check_window, given_scan, inference_config, turned, two_scans
from pinn_data.scan.scan import Scan

from pinn_tf import BACKEND
from pinn_tf.runtime.requirements import require_tensorflow
from pinn_tf.training.last_training import keep, last_training
from pinn_tf.training.training_policy import HISTORICAL_EXECUTION
from pinn_tf.workflows import reconstruct

if TYPE_CHECKING:
    from pinn_tf.archive.model_archive import TrainedModel

__all__ = ["RESULT_KEYS", "reassemble_cdi_image", "run_cdi_example", "train_cdi_model"]

Image = NDArray[np.float32] | None


def run_cdi_example(
    train_data: Any,
    test_data: Any,
    config: TrainingConfig,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    M: int | None = 20,
    do_stitching: bool = False,
    execution_config: PyTorchExecutionConfig | None = None,
    *,
    seed: int = 0,
    max_seconds: float | None = None,
) -> tuple[Image, Image, dict[str, Any]]:
    """Train on `train_data` and, if `do_stitching`, reconstruct `test_data` with what was learned.

    `config` is bridged to the legacy dictionary first (`execution_config` never is), and afterwards the
    dictionary is that of the archive, see `pinn_tf.archive.inference_bundle.load_inference_bundle`.

    Parameters
    ----------
    train_data : a scan in any form, or None for ``config.train_data_file``
    test_data : a scan in any form, or None for ``config.test_data_file`` if that is given; it validates the
        training and is what is stitched
    config : with ``output_dir=Path()`` nothing is written, see the module's docstring
    flip_x, flip_y, transpose : put right the axes of both scans' positions where they were recorded the other
        way round (:func:`pinn_data.scan.positions.reoriented`); patterns and images are not turned
    M : only the central M x M pixels of a patch count in the stitched image; None or 0: as `execution_config`
        says (``middle_trim``), by default all of it, weighted with the probe's intensity
    execution_config : None: as this backend was always used, see `pinn_tf.training.training_policy`
    seed, max_seconds : see `pinn_tf.workflows.train`

    Returns
    -------
    amplitude, phase : (H, W) float32, or None and None without stitching
    results : see the table of `pinn_data.run.workflow_results`

    Raises
    ------
    PinnDataError (a ValueError)
        A scan cannot be used, or lacks what the settings need; there is none to train on or to stitch; M is
        out of range; `train_data` or `test_data` is no scan (then a TypeError, too).
    RunError (a ValueError)
        What `workflows.train` and `workflows.reconstruct` refuse.
    ConfigError, TensorFlowMissingError (a RuntimeError), NotFiniteError (a RuntimeError), MemoryError; never
    a class of TensorFlow or Keras
    """
    _bridge(config, TrainingConfig)
    train_scan, test_scan = two_scans(train_data, test_data, config, stitched=do_stitching, M=M)
    turn = {"flip_x": flip_x, "flip_y": flip_y, "transpose": transpose}
    train_scan = turned(train_scan, **turn)
    test_scan = None if test_scan is None else turned(test_scan, **turn)
    results = _trained(train_scan, test_scan, config, execution_config, seed, max_seconds)
    if not do_stitching or test_scan is None:
        return None, None, results
    stitched = _stitched(last_training(), test_scan, inference_config(config), M, execution_config, seed)
    results |= stitched_part(results, stitched)
    return results["amplitude"], results["phase"], results


def train_cdi_model(
    train_data: Any,
    test_data: Any,
    config: TrainingConfig,
    execution_config: PyTorchExecutionConfig | None = None,
    *,
    seed: int = 0,
    max_seconds: float | None = None,
) -> dict[str, Any]:
    """The results of a training, as those of `run_cdi_example` without stitching."""
    _bridge(config, TrainingConfig)
    train_scan, test_scan = two_scans(train_data, test_data, config)
    return _trained(train_scan, test_scan, config, execution_config, seed, max_seconds)


def reassemble_cdi_image(
    test_data: Any,
    config: TrainingConfig | InferenceConfig,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    M: int | None = 20,
    coord_scale: float = 1.0,
    *,
    bundle_path: str | os.PathLike[str] | None = None,
    execution_config: PyTorchExecutionConfig | None = None,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]]:
    """Amplitude, phase and results of a scan, by a model that was trained before.

    bundle_path : its archive; None: ``config.model_path`` of an `InferenceConfig`, or what a training with
        this `TrainingConfig` left: the archive in ``config.output_dir``, and where that is ``Path()`` the
        model of the last training of this process
    coord_scale : the positions are multiplied by it

    The other parameters, and what is raised, are those of `run_cdi_example`; what the archive and its path
    may lack is said by `pinn_tf.workflows.reconstruct`.
    """
    _bridge(config, (TrainingConfig, InferenceConfig))
    scan = given_scan(test_data, config.test_data_file, "test_data")
    check_window(M, scan)
    scan = turned(scan, flip_x=flip_x, flip_y=flip_y, transpose=transpose, scale=coord_scale)
    model: Path | TrainedModel
    if bundle_path is not None:
        model = Path(bundle_path)
    elif isinstance(config, TrainingConfig) and config.output_dir == Path():
        model = last_training()
    else:
        model = Path(config.output_dir if isinstance(config, TrainingConfig) else config.model_path)
    inference = inference_config(config) if isinstance(config, TrainingConfig) else config
    results = _stitched(model, scan, inference, M, execution_config, seed)
    return results["amplitude"], results["phase"], results


def _bridge(
    config: Any, kinds: type[TrainingConfig] | tuple[type[TrainingConfig], type[InferenceConfig]]
) -> None:
    if not isinstance(config, kinds):
        raise TypeError(
            f"the configuration is a {type(config).__name__}, but a "
            f"{' or an '.join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))} is "
            "needed: make one of pinn_config.configs"
        )
    update_legacy_dict(legacy.cfg, config)
    require_tensorflow()


def _trained(
    scan: Scan,
    validation: Scan | None,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None,
    seed: int,
    max_seconds: float | None,
) -> dict[str, Any]:
    from pinn_tf.archive.inference_bundle import models_of, restore_legacy_dict
    from pinn_tf.archive.model_archive import reopened
    from pinn_tf.reconstruction.refinement import correct_scans
    from pinn_tf.training.run import learn

    folder = None if config.output_dir == Path() else Path(config.output_dir)
    with plain_errors():
        scan, validation = correct_scans(scan, validation, config, execution)
        learned = learn(
            scan, config, execution, validation=validation, seed=seed, max_seconds=max_seconds, folder=folder
        )
        archive = None if folder is None else learned.saved(folder).archive
        trained = reopened(learned.trained)
        keep(trained)
        restore_legacy_dict(trained)
        models = models_of(trained)
    return training_results(
        BACKEND,
        archive,
        models,
        rows=learned.history,
        epochs=int(trained.provenance["epochs"]),
        validated=validation is not None,
        intensity_scale=trained.intensity_scale,
        parameters=learned.parameters,
        seconds=learned.seconds,
        scales=learned.scales,
        provenance=learned.provenance,
    )


def _stitched(
    model: Path | TrainedModel,
    scan: Scan,
    config: InferenceConfig,
    M: int | None,
    execution: PyTorchExecutionConfig | None,
    seed: int,
) -> dict[str, Any]:
    execution = execution or HISTORICAL_EXECUTION
    if M and execution.middle_trim == 0:
        execution = dataclasses.replace(execution, middle_trim=M)
    # These functions return the network's own image unless the configuration asks for more.
    config = dataclasses.replace(config, refine=config.refine or "none")
    found = reconstruct(model, scan, config, execution, seed=seed)
    return stitching_results(BACKEND, model if isinstance(model, Path) else None, found)
