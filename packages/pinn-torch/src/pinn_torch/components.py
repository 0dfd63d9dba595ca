"""The workflow functions of the specification (sections 4.5 and 4.8): train, stitch, and both.

They take scans in any form (:func:`pinn_data.grouping.raw_data.scan_of`) and return the dictionary of results
of `pinn_data.run.workflow_results`, the same for every backend. Importing this module loads no framework.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_config import legacy
from pinn_config.bridge import update_legacy_dict
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.run.workflow_results import RESULT_KEYS, stitched_part, stitching_results, training_results
from pinn_data.run.workflow_scans import check_window, given_scan, inference_config, turned, two_scans
from pinn_data.scan.scan import Scan

from pinn_torch import BACKEND
from pinn_torch.runtime.requirements import require_torch
from pinn_torch.workflows import reconstruct, train

__all__ = [
    "RESULT_KEYS",
    "reassemble_cdi_image",
    "run_cdi_example",
    "run_cdi_example_torch",
    "train_cdi_model",
    "train_cdi_model_torch",
]

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
    dictionary is that of the archive, see `pinn_torch.archive.inference_bundle.load_inference_bundle`.

    Parameters
    ----------
    train_data : a scan in any form, or None for ``config.train_data_file``
    test_data : a scan in any form, or None for ``config.test_data_file`` if that is given; it validates the
        training and is what is stitched
    flip_x, flip_y, transpose : put right the axes of both scans' positions where they were recorded the other
        way round (:func:`pinn_data.scan.positions.reoriented`); patterns and images are not turned
    M : only the central M x M pixels of a patch count in the stitched image; None or 0: as `execution_config`
        says (``middle_trim``), by default all of it, weighted with the probe's intensity
    seed, max_seconds : see `pinn_torch.workflows.train`

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
    ConfigError, TorchMissingError (a RuntimeError), NotFiniteError (a RuntimeError)
    """
    _bridge(config, TrainingConfig)
    train_scan, test_scan = two_scans(train_data, test_data, config, stitched=do_stitching, M=M)
    turn = {"flip_x": flip_x, "flip_y": flip_y, "transpose": transpose}
    train_scan = turned(train_scan, **turn)
    test_scan = None if test_scan is None else turned(test_scan, **turn)
    results = _trained(train_scan, test_scan, config, execution_config, seed, max_seconds)
    if not do_stitching or test_scan is None:
        return None, None, results
    stitched = _stitched(
        results["bundle_path"], test_scan, inference_config(config), M, execution_config, seed
    )
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


run_cdi_example_torch = run_cdi_example
train_cdi_model_torch = train_cdi_model
"""The historical names."""


def reassemble_cdi_image(
    test_data: Any,
    config: TrainingConfig | InferenceConfig,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    M: int | None = 20,
    coord_scale: float = 1.0,
    *,
    bundle_path: str | Path | None = None,
    execution_config: PyTorchExecutionConfig | None = None,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]]:
    """Amplitude, phase and results of a scan, by a model that was trained before.

    bundle_path : its archive; None: ``config.model_path`` of an `InferenceConfig`, or the one that a training
        with this `TrainingConfig` left in ``config.output_dir``
    coord_scale : the positions are multiplied by it

    The other parameters, and what is raised, are those of `run_cdi_example`; what the archive and its path
    may lack is said by `pinn_torch.workflows.reconstruct`.
    """
    _bridge(config, (TrainingConfig, InferenceConfig))
    scan = given_scan(test_data, config.test_data_file, "test_data")
    check_window(M, scan)
    scan = turned(scan, flip_x=flip_x, flip_y=flip_y, transpose=transpose, scale=coord_scale)
    if bundle_path is None:
        bundle_path = config.model_path if isinstance(config, InferenceConfig) else config.output_dir
    inference = config if isinstance(config, InferenceConfig) else inference_config(config)
    results = _stitched(Path(bundle_path), scan, inference, M, execution_config, seed)
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
    require_torch()


def _trained(
    scan: Scan,
    validation: Scan | None,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None,
    seed: int,
    max_seconds: float | None,
) -> dict[str, Any]:
    result = train(scan, config, execution, validation=validation, seed=seed, max_seconds=max_seconds)
    from pinn_torch.archive.inference_bundle import models_of, restore_legacy_dict
    from pinn_torch.archive.model_archive import load_model

    trained = load_model(result.archive)
    restore_legacy_dict(trained)
    return training_results(
        BACKEND,
        result.archive,
        models_of(trained),
        rows=result.history,
        epochs=int(trained.provenance["epochs"]),
        validated=validation is not None,
        intensity_scale=trained.intensity_scale,
        parameters=result.parameters,
        seconds=result.seconds,
        scales=result.scales,
        provenance=result.provenance,
    )


def _stitched(
    bundle: Path,
    scan: Scan,
    config: InferenceConfig,
    M: int | None,
    execution: PyTorchExecutionConfig | None,
    seed: int,
) -> dict[str, Any]:
    execution = execution or PyTorchExecutionConfig()
    if M and execution.middle_trim == 0:
        execution = dataclasses.replace(execution, middle_trim=M)
    # These functions return the network's own image unless the configuration asks for more.
    config = dataclasses.replace(config, refine=config.refine or "none")
    found = reconstruct(bundle, scan, config, execution, seed=seed)
    return stitching_results(BACKEND, bundle, found)
