"""The Lightning logger of an execution config."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["experiment_logger"]

_LOG = logging.getLogger(__name__)


def experiment_logger(backend: str, output_dir: Path) -> Any:
    """A Lightning logger that writes under `output_dir`, or False for 'none'.

    MLflow is optional: where it is not installed, metrics go to CSV and one line says so.

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
            return MLFlowLogger(
                experiment_name="pinn-torch", tracking_uri=(output_dir / "mlruns").absolute().as_uri()
            )
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
