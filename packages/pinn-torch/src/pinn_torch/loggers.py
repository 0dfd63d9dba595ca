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
    """A Lightning logger that writes under `output_dir`, or False for 'none'.

    MLflow is optional: where it is not installed, metrics go to CSV and one line says so. A server is named
    by the environment variable ``MLFLOW_TRACKING_URI``; without it, files go to ``mlruns``.

    Raises
    ------
    RuntimeError
        'tensorboard' without the package tensorboard.
    """
    from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger

    if backend == "none":
        return False
    if backend == "mlflow":
        if find_spec("mlflow") is not None or find_spec("mlflow_skinny") is not None:
            return MLFlowLogger(experiment_name="pinn-torch", tracking_uri=_mlflow_address(output_dir))
        _LOG.info(
            "mlflow is not installed, so metrics are logged as CSV; `pip install mlflow` or "
            "logger_backend='csv' ends this line"
        )
    if backend == "tensorboard":
        if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
            raise RuntimeError(
                "logger_backend='tensorboard' needs the package tensorboard: `pip install "
                "tensorboard`, or choose 'csv'"
            )
        return TensorBoardLogger(save_dir=output_dir, name="lightning_logs")
    return CSVLogger(save_dir=output_dir, name="lightning_logs")


def _mlflow_address(output_dir: Path) -> str:
    server = os.environ.get("MLFLOW_TRACKING_URI")
    if server:
        return server
    # MLflow 3 writes plain files only if it is told that this is meant; the alternative, a database, asks for
    # a package that mlflow-skinny does not bring.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return (output_dir / "mlruns").absolute().as_uri()
