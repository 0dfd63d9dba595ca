"""The dictionary of results that the workflow functions of every backend return.

============================  ================================================================================
key                           value
============================  ================================================================================
``backend``                   ``'tensorflow'`` or ``'pytorch'``
``bundle_path``               the archive ``wts.h5.zip``; None where none was written
``history``                   ``{'train_loss': [...], 'val_loss': [...] or None}``, one value an epoch
``history_epochs``            epochs that were trained
``models``                    ``{'diffraction_to_obj': model, 'autoencoder': model}``
``model_instance``            the model ``diffraction_to_obj``, of the backend's module ``models``
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
``training_seconds`` where nothing was trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinn_data.results import Reconstruction

__all__ = ["RESULT_KEYS", "STITCHED_KEYS", "stitching_results", "training_results"]

_TRAINED = (
    "history",
    "history_epochs",
    "models",
    "model_instance",
    "intensity_scale",
    "parameters",
    "training_seconds",
)
STITCHED_KEYS = (
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
"""The keys of what was stitched."""

RESULT_KEYS = ("backend", "bundle_path", *_TRAINED, *STITCHED_KEYS)
"""The keys of every dictionary of results."""


def training_results(
    backend: str,
    bundle: Path | None,
    models: Mapping[str, Any],
    *,
    rows: Sequence[Mapping[str, Any]],
    epochs: int,
    validated: bool,
    intensity_scale: float,
    parameters: int,
    seconds: float,
) -> dict[str, Any]:
    """The results of a training; rows : its history, as in :class:`pinn_data.results.TrainingResult`."""
    return dict.fromkeys(RESULT_KEYS) | {
        "backend": backend,
        "bundle_path": bundle,
        "history": _history(rows, epochs, validated),
        "history_epochs": epochs,
        "models": dict(models),
        "model_instance": models["diffraction_to_obj"],
        "intensity_scale": intensity_scale,
        "parameters": parameters,
        "training_seconds": seconds,
    }


def _history(
    rows: Sequence[Mapping[str, Any]], epochs: int, validated: bool
) -> dict[str, list[float] | None]:
    """One value an epoch: the mean of its records (a training of many short epochs has fewer records)."""
    losses: dict[int, list[float]] = {}
    for row in rows:
        losses.setdefault(min(row["epoch"], epochs - 1), []).append(row["train_loss"])
    validation = [row["val_loss"] for row in rows if row["val_loss"] is not None]
    return {
        "train_loss": [float(np.mean(losses[epoch])) for epoch in sorted(losses)],
        "val_loss": validation if validated else None,
    }


def stitching_results(backend: str, bundle: Path | None, found: Reconstruction) -> dict[str, Any]:
    """The results of a reconstruction by a model that was trained before."""
    return dict.fromkeys(RESULT_KEYS) | {
        "backend": backend,
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
