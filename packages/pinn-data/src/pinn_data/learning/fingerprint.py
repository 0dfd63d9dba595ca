"""Which training this is: what tells whether one may go on where another was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import to_yaml
from pinn_config.objective import Objective

from pinn_data.scan.scan import Scan

__all__ = ["fingerprint"]

_SAMPLED_FRAMES = 64
# How many processes share the work changes a result within float32 only; after a kill there may be others.
_WITHOUT_INFLUENCE = (
    "devices",
    "strategy",
    "enable_progress_bar",
    "logger_backend",
    "num_workers",
    "pin_memory",
    "persistent_workers",
    "prefetch_factor",
    "inference_batch_size",
)


def fingerprint(
    scan: Scan,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    seed: int,
    validation: Scan | None = None,
    extra: str = "",
) -> str:
    """A text that two trainings share only if one may go on where the other was stopped.

    It covers the seed, every setting that changes the result (paths, bars, loggers and loading do not), and
    what was measured: all positions, the probe, a sample of the frames, the bad pixels and the background;
    the object, where it is learned. What lies under bad pixels has no influence.
    """
    defaults: dict[str, Any] = {
        item.name: item.default for item in dataclasses.fields(PyTorchExecutionConfig)
    }
    execution = dataclasses.replace(execution, **{name: defaults[name] for name in _WITHOUT_INFLUENCE})
    config = dataclasses.replace(
        config, output_dir=Path(), train_data_file=None, test_data_file=None, positions_provided=True
    )
    digest = hashlib.sha256(f"{seed}\n{to_yaml(config, execution)}{extra}".encode())
    for data in (scan, validation):
        if data is None:
            continue
        digest.update(f"{data.unit} {data.diffraction.shape} {data.diffraction.dtype}".encode())
        frames = np.unique(np.linspace(0, len(data) - 1, _SAMPLED_FRAMES).astype(int))
        for array in (data.positions, data.probe, data.diffraction[frames]):
            digest.update(np.ascontiguousarray(array).tobytes())
        for part in ("bad_pixels", "background"):
            array = getattr(data, part)
            if array is not None:
                digest.update(f"{part} {array.shape}".encode())
                digest.update(np.packbits(array).tobytes() if part == "bad_pixels" else array.tobytes())
        if data.object is not None and Objective.of(config).needs_labels:
            digest.update(np.ascontiguousarray(data.object).tobytes())
    return digest.hexdigest()
