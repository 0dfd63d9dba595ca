"""Every call that reads a file a user was given, by kind of file; and what of it counts as a refusal."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pinn_archive import find_archive, read_archive, read_manifest
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.files import load_config, load_mapping, load_run
from pinn_data.archives.stored_configs import read_archived_configs
from pinn_data.files.npz import read_scan
from pinn_data.files.npz_header import read_scan_header
from pinn_data.files.product import read_product
from pinn_data.grouping.raw_data import RawData, load_data
from pinn_data.simulation.simulate_file import simulate_from_npz
from pinn_dispatch.cli.shared.settings import training_settings
from pinn_dispatch.dispatch import backend_of
from pinn_dispatch.reconstruction import read_image, read_reconstruction

from . import measured_openers
from .soundness import require, sound_description, sound_product, sound_scan

__all__ = ["ALWAYS", "OPENERS", "OUR_ERRORS", "problem_of"]

ALWAYS = 2
"""So many calls of a kind open every case of it; of the others, one does, in turn."""

OUR_ERRORS = frozenset(
    f"{package}.errors"
    for package in (
        "pinn_archive",
        "pinn_config",
        "pinn_data",
        "pinn_data.run",
        "pinn_dispatch",
        "pinn_tf",
        "pinn_torch",
    )
)
LONGEST_MESSAGE = 12_000  # a configuration may be wrong in every field, and all are told


def _scan(path: Path) -> Any:
    return sound_scan(RawData.from_file(path).scan)


def _in_the_file(path: Path) -> Any:
    """The scan with its patterns left in the file: the same ones, if it is read either way."""
    scan = read_scan(path, in_file_above=0)
    require(np.array_equal(np.asarray(scan.diffraction), read_scan(path).diffraction), "patterns in the file")
    return scan


def _simulated(path: Path) -> Any:
    return simulate_from_npz(TrainingConfig(ModelConfig(N=8), n_groups=2), path, buffer=4, seed=1)


def _archive(path: Path) -> Any:
    archive = read_archive(path)
    require(archive.backend == read_manifest(path).backend, "backend")
    for model in archive.models.values():
        require(all(isinstance(weight, np.ndarray) for weight in model.weights.values()), "weights")
    return archive


def _product(path: Path) -> Any:
    return sound_product(read_product(path))


OPENERS: Mapping[str, Mapping[str, Callable[[Path], Any]]] = {
    "npz": {
        "read_scan_header": read_scan_header,
        "RawData.from_file": _scan,
        # From here on, one a case.
        "read_scan(in_file_above=0)": _in_the_file,
        "read_scan(frames_axis=2)": lambda path: read_scan(path, frames_axis=2),
        "load_data(n_subsample=2)": lambda path: load_data(path, n_subsample=2),
        "simulate_from_npz": _simulated,
        "read_reconstruction": read_reconstruction,
        "read_image": read_image,
        "pinn info": sound_description,
    },
    "archive": {
        "read_manifest": read_manifest,
        "read_archive": _archive,
        # From here on, one a case.
        "find_archive": find_archive,
        "archived configs for PyTorch": partial(read_archived_configs, backend="pytorch"),
        "archived configs for TensorFlow": partial(read_archived_configs, backend="tensorflow"),
        "backend_of": backend_of,
        "pinn info": sound_description,
    },
    "product": {
        "read_product": _product,
        "read_image": read_image,
        "pinn info": sound_description,
    },
    "yaml": {
        "load_mapping": load_mapping,
        "load_run": lambda path: load_run(path, TrainingConfig),
        # From here on, one a case.
        "load_config": lambda path: load_config(path, InferenceConfig),
        "pinn train --config": lambda path: training_settings(argparse.Namespace(config=path)),
    },
}
OPENERS = {**OPENERS, "folder": OPENERS["archive"], **measured_openers.OPENERS}


def problem_of(error: BaseException) -> str | None:
    """None if `error` is a refusal as it should be: one of our classes, with one clear sentence."""
    if type(error).__module__ not in OUR_ERRORS:
        return f"{type(error).__module__}.{type(error).__name__}: {str(error)[:200]!r}"
    text = str(error)
    if not text.strip():
        return f"{type(error).__name__} without a message"
    if not text.isprintable():
        return f"{type(error).__name__} with a message of several lines or control characters: {text[:300]!r}"
    if len(text) > LONGEST_MESSAGE:
        return f"{type(error).__name__} with a message of {len(text)} characters: {text[:200]!r}"
    return None
