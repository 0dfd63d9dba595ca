"""The Lightning logger of an execution config."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["experiment_logger"]

_LOG = logging.getLogger(__name__)


def experiment_logger(backend: str, output_dir: Path) -> Any:
    """A Lightning logger, or False for 'none'.

    csv : ``output_dir/lightning_logs/version_N/metrics.csv``, a new N for every run
    tensorboard : event files in ``output_dir/lightning_logs/version_N``
    mlflow : the server or database that ``MLFLOW_TRACKING_URI`` (or ``mlflow.set_tracking_uri``) names, else
        files in ``output_dir/mlruns``. MLflow is optional: where it is not installed, metrics go to CSV and
        one line says so.

    Raises
    ------
    RuntimeError
        'tensorboard' without the package tensorboard.
    """
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    if backend == "none":
        return False
    if backend == "mlflow":
        if _is_installed("mlflow"):
            return _mlflow_logger(output_dir)
        _LOG.info(
            "mlflow is not installed, so metrics are logged as CSV; `pip install mlflow` or "
            "logger_backend='csv' ends this line"
        )
    if backend == "tensorboard":
        if not _is_installed("tensorboard") and not _is_installed("tensorboardX"):
            raise RuntimeError(
                "logger_backend='tensorboard' needs the package tensorboard: `pip install "
                "tensorboard`, or choose 'csv'"
            )
        return TensorBoardLogger(save_dir=output_dir, name="lightning_logs")
    return CSVLogger(save_dir=output_dir, name="lightning_logs")


def _is_installed(package: str) -> bool:
    """A folder of that name in the working directory is no package."""
    found = find_spec(package)
    return found is not None and found.origin is not None


def _mlflow_logger(output_dir: Path) -> Any:
    import mlflow
    from lightning.pytorch.loggers import MLFlowLogger

    named = mlflow.is_tracking_uri_set()
    if not named:
        # Files need no server and bear a network file system, which a database does not. MLflow 3 writes them
        # only for those who say that they want them.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    # Lightning warns of every experiment that it makes.
    logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)
    logger = MLFlowLogger(
        experiment_name="pinn-torch",
        run_name=output_dir.absolute().name,
        tracking_uri=mlflow.get_tracking_uri() if named else (output_dir / "mlruns").absolute().as_uri(),
    )
    if not named:
        # Begun here, Lightning names these files to the whole process, and to its children; this run's are
        # no place for the next.
        _ = logger.experiment
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # it takes None, which its annotation forgets
    return logger
