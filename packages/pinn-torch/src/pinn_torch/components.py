"""The workflow functions of the specification (sections 4.5 and 4.8): train, stitch, and both.

They take scans in any form (:func:`pinn_data.raw_data.scan_of`) and return one dictionary of results, the
same for every backend:

============================  ================================================================================
key                           value
============================  ================================================================================
``backend``                   ``'pytorch'``
``bundle_path``               the archive ``wts.h5.zip``
``history``                   ``{'train_loss': [...], 'val_loss': [...] or None}``, one value an epoch
``history_epochs``            epochs that were trained
``models``                    ``{'diffraction_to_obj': model, 'autoencoder': model}``
``model_instance``            the model ``diffraction_to_obj`` (`pinn_torch.models`)
``intensity_scale``           learned factor from network amplitudes to sqrt(photons)
``parameters``                trained numbers of the network
``training_seconds``          of the training
``object``                    (H, W) complex64, the stitched image
``amplitude``, ``phase``      (H, W) float32, its modulus and its argument in rad
``coverage``                  (H, W) float32, weight that each pixel got; 0: nothing is known
``canvas_origin``             (y, x), object pixel of the image's pixel (0, 0)
``positions``                 (n, 2) float64 as (y, x), object pixels
``probe``                     ([modes,] N, N) complex64
``residual``                  R of all frames
``gridsize``                  of the network
``reconstruction_seconds``    from the arrays to the image
============================  ================================================================================

The keys from ``object`` on are None where nothing was stitched, and those from ``history`` to
``training_seconds`` where nothing was trained. Importing this module loads no framework.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_config import legacy
from pinn_config.bridge import update_legacy_dict
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.npz import Scan
from pinn_data.raw_data import scan_of
from pinn_data.scan import reoriented

from pinn_torch.errors import TorchRunError
from pinn_torch.requirements import require_torch
from pinn_torch.workflows import Reconstruction, TrainingResult, reconstruct, train

__all__ = [
    "RESULT_KEYS",
    "reassemble_cdi_image",
    "run_cdi_example",
    "run_cdi_example_torch",
    "train_cdi_model",
    "train_cdi_model_torch",
]

_TRAINED = (
    "history",
    "history_epochs",
    "models",
    "model_instance",
    "intensity_scale",
    "parameters",
    "training_seconds",
)
_STITCHED = (
    "object",
    "amplitude",
    "phase",
    "coverage",
    "canvas_origin",
    "positions",
    "probe",
    "residual",
    "gridsize",
    "reconstruction_seconds",
)
RESULT_KEYS = ("backend", "bundle_path", *_TRAINED, *_STITCHED)
"""The keys of every dictionary of results."""

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
    dictionary is that of the archive, see `pinn_torch.bundles.load_inference_bundle`.

    Parameters
    ----------
    train_data : a scan in any form, or None for ``config.train_data_file``
    test_data : a scan in any form, or None for ``config.test_data_file`` if that is given; it validates the
        training and is what is stitched
    flip_x, flip_y, transpose : put right the axes of both scans' positions where they were recorded the other
        way round (:func:`pinn_data.scan.reoriented`); patterns and images are not turned
    M : only the central M x M pixels of a patch count in the stitched image; None or 0: as `execution_config`
        says (``middle_trim``), by default all of it, weighted with the probe's intensity
    seed, max_seconds : see `pinn_torch.workflows.train`

    Returns
    -------
    amplitude, phase : (H, W) float32, or None and None without stitching
    results : see the table of this module

    Raises
    ------
    PinnDataError (a ValueError)
        A scan cannot be used, or lacks what the settings need; `train_data` or `test_data` is no scan (then
        a TypeError, too).
    TorchRunError (a ValueError)
        There is no scan to train on or to stitch; M is out of range; what `workflows.train` and
        `workflows.reconstruct` refuse.
    ConfigError, TorchMissingError (a RuntimeError), NotFiniteError (a RuntimeError)
    """
    _bridge(config, TrainingConfig)
    train_scan, test_scan = _two_scans(train_data, test_data, config)
    if do_stitching:
        if test_scan is None:
            raise TorchRunError(
                "do_stitching=True was given without test_data: give the scan to reconstruct, or "
                "do_stitching=False"
            )
        _check_window(M, test_scan)
    turn = {"flip_x": flip_x, "flip_y": flip_y, "transpose": transpose}
    train_scan = _turned(train_scan, **turn)
    test_scan = None if test_scan is None else _turned(test_scan, **turn)
    results = _trained(train_scan, test_scan, config, execution_config, seed, max_seconds)
    if not do_stitching or test_scan is None:
        return None, None, results
    stitched = _stitched(results["bundle_path"], test_scan, _inference(config), M, execution_config, seed)
    results |= {key: stitched[key] for key in _STITCHED}
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
    train_scan, test_scan = _two_scans(train_data, test_data, config)
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
    scan = scan_of(_given(test_data, config.test_data_file, "test_data"), "test_data")
    _check_window(M, scan)
    scan = _turned(scan, flip_x=flip_x, flip_y=flip_y, transpose=transpose, scale=coord_scale)
    if bundle_path is None:
        bundle_path = config.model_path if isinstance(config, InferenceConfig) else config.output_dir
    inference = config if isinstance(config, InferenceConfig) else _inference(config)
    results = _stitched(Path(bundle_path), scan, inference, M, execution_config, seed)
    return results["amplitude"], results["phase"], results


def _bridge(config: Any, kinds: type | tuple[type, ...]) -> None:
    if not isinstance(config, kinds):
        raise TypeError(
            f"the configuration is a {type(config).__name__}, but a "
            f"{' or an '.join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))} is "
            "needed: make one of pinn_config.configs"
        )
    update_legacy_dict(legacy.cfg, config)
    require_torch()


def _given(data: Any, file: Path | None, what: str) -> Any:
    """`data`, or the file that the configuration names; ``Path()`` names none."""
    if data is not None:
        return data
    if file is None or file == Path():
        raise TorchRunError(
            f"there is no {what}: give a scan, or name its NPZ file in the configuration "
            f"({what.removesuffix('_data')}_data_file)"
        )
    return file


def _two_scans(train_data: Any, test_data: Any, config: TrainingConfig) -> tuple[Scan, Scan | None]:
    train_scan = scan_of(_given(train_data, config.train_data_file, "train_data"), "train_data")
    if test_data is None and config.test_data_file in (None, Path()):
        return train_scan, None
    return train_scan, scan_of(_given(test_data, config.test_data_file, "test_data"), "test_data")


def _turned(scan: Scan, *, scale: float = 1.0, **flips: bool) -> Scan:
    if scale == 1 and not any(flips.values()):
        return scan
    return attrs.evolve(
        scan,
        positions=reoriented(scan.positions, scale=scale, **flips),
        positions_start=reoriented(scan.positions_start, scale=scale, **flips),
    )


def _check_window(M: int | None, scan: Scan) -> None:
    if M is not None and not 0 <= M <= scan.N:
        raise TorchRunError(
            f"M={M} was given, but it must be 0 to N={scan.N}: the central M x M pixels of each patch are "
            "stitched (0: all)"
        )


def _inference(config: TrainingConfig) -> InferenceConfig:
    """The reconstruction that belongs to a training: all frames, grouped by the same rule."""
    shared = {f.name for f in dataclasses.fields(InferenceConfig)} & {
        f.name for f in dataclasses.fields(TrainingConfig)
    }
    # How many groups and frames to learn from does not say how much to reconstruct.
    shared -= {"n_groups", "n_images", "n_subsample", "subsample_seed"}
    return InferenceConfig(**{name: getattr(config, name) for name in shared})


def _trained(
    scan: Scan,
    validation: Scan | None,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig | None,
    seed: int,
    max_seconds: float | None,
) -> dict[str, Any]:
    result = train(scan, config, execution, validation=validation, seed=seed, max_seconds=max_seconds)
    from pinn_torch.archive import load_model
    from pinn_torch.bundles import models_of, restore_legacy_dict

    trained = load_model(result.archive)
    restore_legacy_dict(trained)
    models = models_of(trained)
    epochs = int(trained.provenance["epochs"])
    return dict.fromkeys(RESULT_KEYS) | {
        "backend": "pytorch",
        "bundle_path": result.archive,
        "history": _history(result, epochs, validation is not None),
        "history_epochs": epochs,
        "models": models,
        "model_instance": models["diffraction_to_obj"],
        "intensity_scale": trained.intensity_scale,
        "parameters": result.parameters,
        "training_seconds": result.seconds,
    }


def _history(result: TrainingResult, epochs: int, validated: bool) -> dict[str, list[float] | None]:
    """One value an epoch: the mean of its records (a training of many short epochs has fewer records)."""
    losses: dict[int, list[float]] = {}
    for row in result.history:
        losses.setdefault(min(row["epoch"], epochs - 1), []).append(row["train_loss"])
    validation = [row["val_loss"] for row in result.history if row["val_loss"] is not None]
    return {
        "train_loss": [float(np.mean(losses[epoch])) for epoch in sorted(losses)],
        "val_loss": validation if validated else None,
    }


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
    found: Reconstruction = reconstruct(bundle, scan, config, execution, seed=seed)
    return dict.fromkeys(RESULT_KEYS) | {
        "backend": "pytorch",
        "bundle_path": bundle,
        "object": found.object,
        "amplitude": np.abs(found.object),
        "phase": np.angle(found.object),
        "coverage": found.coverage,
        "canvas_origin": found.canvas.origin,
        "positions": found.positions,
        "probe": found.probe,
        "residual": found.residual,
        "gridsize": found.gridsize,
        "reconstruction_seconds": found.seconds["total"],
    }
