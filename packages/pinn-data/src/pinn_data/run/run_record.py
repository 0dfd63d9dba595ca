"""Where a result comes from: one record for a training or a reconstruction, whichever backend ran it.

==================  ==================================================================================
key                 value
==================  ==================================================================================
``packages``        ``{'pinn-data': '0.1.0', ...}``, those of this project that took part
``frameworks``      ``{'numpy': ..., 'torch': ..., 'lightning': ...}``, or ``tensorflow`` and ``keras``
``python``          ``'3.11.9'``
``platform``        operating system and machine, as :func:`platform.platform` says it
``seeds``           ``{'seed': int or None, 'subsample_seed': int or None}``
``configuration``   ``{'model': {...}, 'training': {...} or None, 'inference': {...} or None}``: every
                    setting as it took effect, the execution settings under ``execution`` of the run
                    that they were for; folders and files are left out. After the solver its settings,
                    under ``solver``
``input``           the scan that was learned or, without a training, reconstructed: `input_of`
``test_input``      the scan that validated the training, and was stitched after it, or None
``model``           the archive of a reconstruction without a training: ``{'name': ..., 'sha256': ...}``;
                    else None (the digest is None where the archive is gone)
``started``         ISO 8601, UTC, to the second
``finished``        the same
==================  ==================================================================================

All values are those of JSON. No folder is named, so a record may be passed on with the image.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig

from pinn_data.files.atomic_write import atomic_write
from pinn_data.json_values import as_json
from pinn_data.scan.diffraction import frame_blocks
from pinn_data.scan.scan import Scan

__all__ = [
    "FILE_NAME",
    "PROVENANCE_KEYS",
    "TIMES",
    "Origin",
    "input_of",
    "joined",
    "without_times",
    "write_provenance",
]

PROVENANCE_KEYS = (
    "packages",
    "frameworks",
    "python",
    "platform",
    "seeds",
    "configuration",
    "input",
    "test_input",
    "model",
    "started",
    "finished",
)
"""The keys of every record."""

FILE_NAME = "provenance.json"

TIMES = ("started", "finished")
"""When a run was; what is compared from run to run leaves it out."""

_plain = partial(as_json, not_finite=str)
_SHARED = ("pinn_archive", "pinn_config", "pinn_data", "pinn_dispatch")
# The execution settings that a reconstruction asks for; a bar on a terminal leaves nothing in its image.
_RECONSTRUCTING = (
    "accelerator",
    "devices",
    "precision",
    "compile",
    "num_workers",
    "prefetch_factor",
    "inference_batch_size",
    "middle_trim",
    "pad_eval",
)
_PLACES = ("train_data_file", "test_data_file", "output_dir", "model_path")


class Origin:
    """What is known of a run from its start.

    The data are hashed in a thread while the run goes on: a gigabyte takes a second or more.
    """

    def __init__(
        self, scan: Scan, *, validation: Scan | None = None, model: str | os.PathLike[str] | None = None
    ) -> None:
        """scan, validation : the input and the test input; model : an archive, or what it was unpacked to"""
        self._started = _now()
        self._data = (scan, validation, None if model is None else Path(model))
        self._found: dict[str, Any] = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._hash, name="pinn-sha256", daemon=True)
        self._thread.start()

    def _hash(self) -> None:
        scan, validation, model = self._data
        try:
            self._found["input"] = input_of(scan)
            self._found["test_input"] = None if validation is None else input_of(validation)
            self._found["model"] = None if model is None else _model(model)
        except BaseException as error:  # raised again where the record is asked for
            self._error = error

    @property
    def inputs(self) -> dict[str, Any]:
        """``input``, ``test_input`` and ``model`` of the record, once they are known."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return dict(self._found)

    def record(
        self,
        config: TrainingConfig | InferenceConfig,
        execution: PyTorchExecutionConfig,
        *,
        seed: int,
        backend: str,
        package: str,
        frameworks: Mapping[str, str],
    ) -> dict[str, Any]:
        """The record of the run, which is over now.

        config, execution : as they took effect
        backend, package : the name and the import name of who ran it, whatever `config` calls its backend
        frameworks : name to version of what it computes with, besides NumPy
        """
        kind = "training" if isinstance(config, TrainingConfig) else "inference"
        settings = _plain({k: v for k, v in dataclasses.asdict(config).items() if k not in _PLACES})
        model = settings.pop("model")
        executed = _plain(dataclasses.asdict(execution))
        if kind == "inference":
            executed = {name: executed[name] for name in _RECONSTRUCTING}
        runs: dict[str, Any] = {"training": None, "inference": None}
        runs[kind] = settings | {"backend": backend, "execution": executed}
        seeds = {"seed": int(seed), "subsample_seed": _plain(config.subsample_seed)}
        return self._record({"model": model, **runs}, seeds, package, frameworks)

    def solver_record(self, settings: Mapping[str, Any], frameworks: Mapping[str, str]) -> dict[str, Any]:
        """The record of a run of the solver alone, which draws nothing: its settings are the configuration's
        ``solver``."""
        runs = {"model": None, "training": None, "inference": None, "solver": _plain(settings)}
        return self._record(runs, {"seed": None, "subsample_seed": None}, "pinn_data", frameworks)

    def _record(
        self,
        configuration: Mapping[str, Any],
        seeds: Mapping[str, Any],
        package: str,
        frameworks: Mapping[str, str],
    ) -> dict[str, Any]:
        return {
            "packages": {
                name.replace("_", "-"): sys.modules[name].__version__
                for name in sorted({*_SHARED, package})
                if name in sys.modules
            },
            "frameworks": {"numpy": np.__version__, **frameworks},
            "python": platform.python_version(),
            "platform": platform.platform(),
            "seeds": dict(seeds),
            "configuration": dict(configuration),
            **self.inputs,
            "started": self._started,
            "finished": _now(),
        }


def joined(training: Mapping[str, Any], reconstruction: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a training and of the reconstruction that followed it with the same model."""
    stitched = {"inference": reconstruction["configuration"]["inference"]}
    return {
        **training,
        "configuration": {**training["configuration"], **stitched},
        "finished": reconstruction["finished"],
    }


def write_provenance(
    folder: str | os.PathLike[str], record: Mapping[str, Any], scales: Mapping[str, float]
) -> Path:
    """Write ``provenance.json``, the record and the `scales` of a training, into a folder; its path.

    Raises `pinn_data.errors.DataWriteError` (an OSError).
    """
    path = Path(folder) / FILE_NAME
    with atomic_write(path) as temporary:
        text = json.dumps({**record, "scales": _plain(scales)}, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def without_times(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record without what differs between two runs that are otherwise the same."""
    return {key: value for key, value in record.items() if key not in TIMES}


def input_of(scan: Scan) -> dict[str, Any]:
    """``{'name', 'sha256', 'of', 'frames', 'N'}`` of a scan.

    of : ``'file'``: the digest is that of the file that the scan was read from, as ``sha256sum`` prints it
        (``frames`` may be fewer than it holds); ``'arrays'``: there is no such file (any more), and what was
        hashed is the unit, the positions, the probe, the object, the patterns, and bad pixels and background
    name : of the file, without its folder; None without one
    """
    digest = None if scan.source is None else _file(Path(scan.source))
    return {
        "name": None if scan.source is None else Path(scan.source).name,
        "sha256": _arrays(scan) if digest is None else digest,
        "of": "arrays" if digest is None else "file",
        "frames": len(scan),
        "N": scan.N,
    }


def _model(path: Path) -> dict[str, Any]:
    """Of an unpacked archive, its table of contents, which has the digests of all else."""
    file = path / "manifest.json" if path.is_dir() else path
    return {"name": file.name, "sha256": _file(file)}


def _file(path: Path) -> str | None:
    """The digest of a file; None where it cannot be read, which is no reason to lose a finished training."""
    try:
        status = path.stat()
        return _file_as_it_is(path.resolve(), status.st_size, status.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=64)
def _file_as_it_is(path: Path, size: int, changed_ns: int) -> str:
    """The digest of a file; of one that has not changed since it is not asked again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _arrays(scan: Scan) -> str:
    digest = hashlib.sha256(scan.unit.encode())
    for array in (scan.positions, scan.probe, scan.object):
        if array is not None:
            _add(digest, array)
    for name in ("bad_pixels", "background"):
        part = getattr(scan, name)
        if part is not None:
            digest.update(name.encode())
            _add(digest, part)
    stack = scan.diffraction
    digest.update(f"{stack.shape} {stack.dtype.newbyteorder('<').str}".encode())
    for block in frame_blocks(stack):
        digest.update(_little(stack[block]))
    return digest.hexdigest()


def _add(digest: Any, array: np.ndarray) -> None:
    digest.update(f"{array.shape} {array.dtype.newbyteorder('<').str}".encode())
    digest.update(_little(array))


def _little(array: np.ndarray) -> memoryview:
    """The numbers in C order and little-endian, whatever the machine's order is."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data.cast("B")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
