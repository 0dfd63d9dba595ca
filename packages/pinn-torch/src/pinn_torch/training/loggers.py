"""The Lightning logger of an execution config."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pinn_data.learning.metric_loggers import available_logger, mlflow_folder

__all__ = ["experiment_logger"]


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

    chosen = available_logger(backend)
    if chosen == "none":
        return False
    if chosen == "mlflow":
        return _mlflow_logger(output_dir)
    kind = TensorBoardLogger if chosen == "tensorboard" else CSVLogger
    return kind(save_dir=output_dir, name="lightning_logs")


def _mlflow_logger(output_dir: Path) -> Any:
    import mlflow
    from lightning.pytorch.loggers import MLFlowLogger

    named = mlflow.is_tracking_uri_set()
    # Lightning warns of every experiment that it makes.
    logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)
    logger = MLFlowLogger(
        experiment_name="pinn-torch",
        run_name=output_dir.absolute().name,
        tracking_uri=mlflow.get_tracking_uri() if named else mlflow_folder(output_dir),
    )
    if not named:
        # Begun here, Lightning names these files to the whole process, and to its children; this run's are
        # no place for the next.
        _ = logger.experiment
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # it takes None, which its annotation forgets
    return logger
