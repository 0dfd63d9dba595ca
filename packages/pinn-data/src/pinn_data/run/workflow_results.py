"""The dictionary of results that the workflow functions of every backend return.

==========================  ========================  =============  =========================================
key                         type                      unit           value
==========================  ========================  =============  =========================================
``backend``                 text                                     ``tensorflow`` or ``pytorch``
``bundle_path``             path                                     the archive; None: none was written
``provenance``              mapping                                  versions, seeds, configuration, SHA-256
                                                                     of the input:
                                                                     :mod:`pinn_data.run.run_record`
``scales``                  mapping                                  ``training`` and ``reconstruction``, each
                                                                     :func:`pinn_data.run.results.scales` or
                                                                     None
``history``                 mapping                                  ``train_loss`` and ``val_loss``, lists of
                                                                     float, one an epoch; the second may be
                                                                     None
``history_epochs``          int                                      epochs that were trained
``models``                  mapping                                  ``diffraction_to_obj``, ``autoencoder``
``model_instance``          model                                    ``diffraction_to_obj``, of the backend's
                                                                     module ``models``
``intensity_scale``         float                     sqrt(photons)  learned: it times the network's amplitude
                                                                     predicts sqrt(photons)
``parameters``              int                                      trained numbers of the network
``training_seconds``        float                     s              of the training alone
``object``                  (H, W) complex64          1              the stitched image; with ``probe`` it
                                                                     predicts sqrt(photons)
``amplitude``               (H, W) float32            1              ``abs(object)``
``phase``                   (H, W) float32            rad            ``angle(object)``
``coverage``                (H, W) float32            1              weight that each pixel got; 0: nothing
                                                                     is known
``canvas_origin``           (2) int                   pixel          (y, x), object pixel of the image's
                                                                     pixel (0, 0)
``positions``               (n, 2) float64            pixel          of the patches' centres, as (y, x)
``probe``                   (..., N, N) complex64     sqrt(photons)  (N, N), or (modes, N, N): they add in
                                                                     intensity
``residual``                float                     1              R of all frames, amplitudes
``refined``                 Refined                                  what the solver found besides
                                                                     (:mod:`pinn_data.scan.refined`); None:
                                                                     the image is the network's own
``gridsize``                int                                      of the network
``reconstruction_seconds``  float                     s              from the arrays to the image
==========================  ========================  =============  =========================================

The keys from ``object`` on are None where nothing was stitched, and those from ``history`` to
``training_seconds`` where nothing was trained; the first four are always there. Of a training by
:class:`pinn_dispatch.reconstructor.Reconstructor`, which holds no framework, both models are
None. A test runs both backends and holds what they return against this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinn_data.run.results import Reconstruction
from pinn_data.run.run_record import joined

__all__ = ["RESULT_KEYS", "STITCHED_KEYS", "stitched_part", "stitching_results", "training_results"]

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
    "refined",
    "gridsize",
    "reconstruction_seconds",
)
"""The keys of what was stitched."""

RESULT_KEYS = ("backend", "bundle_path", "provenance", "scales", *_TRAINED, *STITCHED_KEYS)
"""The keys of every dictionary of results."""


def training_results(
    backend: str,
    bundle: Path | None,
    models: Mapping[str, Any] | None,
    *,
    rows: Sequence[Mapping[str, Any]],
    epochs: int,
    validated: bool,
    intensity_scale: float,
    parameters: int,
    seconds: float,
    scales: Mapping[str, float],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The results of a training.

    models : None where only the archive holds them
    rows : its history, as in :class:`pinn_data.run.results.TrainingResult`
    """
    return dict.fromkeys(RESULT_KEYS) | {
        "backend": backend,
        "bundle_path": bundle,
        "provenance": dict(provenance),
        "scales": {"training": dict(scales), "reconstruction": None},
        "history": _history(rows, epochs, validated),
        "history_epochs": epochs,
        "models": None if models is None else dict(models),
        "model_instance": None if models is None else models["diffraction_to_obj"],
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
        "provenance": dict(found.provenance),
        "scales": {"training": None, "reconstruction": dict(found.scales)},
        "object": found.object,
        "amplitude": np.abs(found.object),
        "phase": np.angle(found.object),
        "coverage": found.coverage,
        "canvas_origin": found.canvas.origin,
        "positions": found.positions,
        "probe": found.probe,
        "residual": found.residual,
        "refined": found.refined,
        "gridsize": found.gridsize,
        "reconstruction_seconds": found.seconds["total"],
    }


def stitched_part(trained: Mapping[str, Any], stitched: Mapping[str, Any]) -> dict[str, Any]:
    """What the results `stitched` add to those of the training that they belong to."""
    return {key: stitched[key] for key in STITCHED_KEYS} | {
        "provenance": joined(trained["provenance"], stitched["provenance"]),
        "scales": trained["scales"] | {"reconstruction": stitched["scales"]["reconstruction"]},
    }
