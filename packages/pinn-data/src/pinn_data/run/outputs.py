"""What a workflow leaves behind: two pictures and the arrays that they show."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.files.atomic_write import atomic_write
from pinn_data.files.npz_archive import NpzWriter
from pinn_data.run.pictures import write_pictures
from pinn_data.run.run_record import without_times

__all__ = ["ARRAYS", "save_outputs"]

ARRAYS = "reconstruction.npz"

_TRUSTED = 0.04  # of the best-covered pixel: below it an image is mostly noise, which would set the colours


def save_outputs(
    amplitude: ArrayLike | None,
    phase: ArrayLike | None,
    results: Mapping[str, Any],
    output_prefix: str | os.PathLike[str],
) -> list[Path]:
    """Write what `run_cdi_example` returned into the folder `output_prefix`, which is made; the files' paths.

    ``reconstructed_amplitude.png`` (grey) and ``reconstructed_phase.png`` (viridis), and
    ``reconstruction.npz`` with ``amplitude`` and ``phase`` and, where `results` has them, the entries that
    `pinn evaluate` reads: ``object``, ``coverage``, ``canvas_origin``, ``xcoords``, ``ycoords``,
    ``probeGuess``, ``metadata`` (with the scales and the provenance, without the times of day), and what the
    solver found (:mod:`pinn_data.scan.refined`). Without an
    image (`amplitude` or `phase` is None) nothing but the folder is
    made.

    amplitude, phase : (row, column) or (row, column, 1) real; phase in rad

    Raises ShapeError (a ValueError) for arrays that are no image, DataWriteError (an OSError).
    """
    folder = Path(output_prefix)
    folder.mkdir(parents=True, exist_ok=True)
    if amplitude is None or phase is None:
        return []
    pair = _image(amplitude), _image(phase)
    coverage = results.get("coverage")
    known = trusted = None
    if coverage is not None:
        known = np.asarray(coverage) > 0
        trusted = np.asarray(coverage) >= _TRUSTED * np.max(coverage)
    written = list(write_pictures(folder, *pair, known, trusted))
    arrays = {"amplitude": pair[0], "phase": pair[1], **_entries(results)}
    with atomic_write(folder / ARRAYS) as temporary, NpzWriter(temporary) as file:
        for name, array in arrays.items():
            file.write(name, array)
    return [*written, folder / ARRAYS]


def _image(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


def _entries(results: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The entries of a reconstruction file, if `results` is one of a reconstruction."""
    if results.get("object") is None:
        return {}
    facts = ("backend", "gridsize", "residual", "reconstruction_seconds")
    metadata = {name: results[name] for name in facts if results.get(name) is not None}
    if results.get("provenance"):
        metadata |= {"scales": results["scales"], "provenance": without_times(results["provenance"])}
    return {
        "object": np.asarray(results["object"], np.complex64),
        "coverage": np.asarray(results["coverage"], np.float32),
        "canvas_origin": np.asarray(results["canvas_origin"], np.int64),
        "xcoords": np.asarray(results["positions"], np.float64)[:, 1],
        "ycoords": np.asarray(results["positions"], np.float64)[:, 0],
        "probeGuess": np.asarray(results["probe"], np.complex64),
        "metadata": np.array(json.dumps(metadata)),
        **({} if results.get("refined") is None else results["refined"].entries()),
    }
