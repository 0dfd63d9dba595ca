"""Which logger records the metrics of a training, and where."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from pathlib import Path

__all__ = ["available_logger", "mlflow_folder"]

_LOG = logging.getLogger(__name__)


def available_logger(backend: str) -> str:
    """The logger that can be used: `backend`, or 'csv' for 'mlflow' where MLflow is not installed, which one
    line says.

    Raises RuntimeError for 'tensorboard' without its package.
    """
    if backend == "mlflow" and not _is_installed("mlflow"):
        _LOG.info(
            "mlflow is not installed, so metrics are logged as CSV; `pip install mlflow` or "
            "logger_backend='csv' ends this line"
        )
        return "csv"
    if backend == "tensorboard" and not (_is_installed("tensorboard") or _is_installed("tensorboardX")):
        raise RuntimeError(
            "logger_backend='tensorboard' needs the package tensorboard: `pip install tensorboard`, or "
            "choose 'csv'"
        )
    return backend


def mlflow_folder(output_dir: Path) -> str:
    """The address with which MLflow records in files, in ``output_dir/mlruns``."""
    # Files need no server and bear a network file system, which a database does not. MLflow 3 writes them
    # only for those who say that they want them.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return (output_dir / "mlruns").absolute().as_uri()


def _is_installed(package: str) -> bool:
    """A folder of that name in the working directory is no package."""
    found = find_spec(package)
    return found is not None and found.origin is not None
