"""Who records the metrics of a training, by the name in its execution config."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pinn_data.learning.metric_loggers import available_logger, mlflow_folder

__all__ = ["FOLDER", "MetricsLogger", "metrics_logger"]

FOLDER = "logs"
"""Under a training's output folder."""


class MetricsLogger(Protocol):
    """Takes metrics by name."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None: ...


@contextmanager
def metrics_logger(backend: str, output_dir: Path) -> Iterator[MetricsLogger]:
    """A `MetricsLogger` for the length of the block.

    csv : ``output_dir/logs/version_N/metrics.csv``, a new N for every run
    tensorboard : event files in ``output_dir/logs/version_N``
    mlflow : the server or database that ``MLFLOW_TRACKING_URI`` (or ``mlflow.set_tracking_uri``) names, else
        files in ``output_dir/mlruns``. MLflow is optional: where it is not installed, metrics go to CSV and
        one line says so.
    none : nobody

    Raises
    ------
    RuntimeError
        'tensorboard' without the package tensorboard.
    """
    makers = {"none": _nobody, "csv": _csv, "tensorboard": _tensorboard, "mlflow": _mlflow}
    with makers[available_logger(backend)](output_dir) as logger:
        yield logger


@contextmanager
def _nobody(output_dir: Path) -> Iterator[MetricsLogger]:
    yield lambda step, metrics: None


@contextmanager
def _csv(output_dir: Path) -> Iterator[MetricsLogger]:
    path = _new_version(output_dir) / "metrics.csv"
    rows: list[dict[str, Any]] = []
    names: list[str] = ["step"]

    def log(step: int, metrics: Mapping[str, float]) -> None:
        rows.append({"step": step, **metrics})
        new = [name for name in metrics if name not in names]
        names.extend(new)
        # A new column changes the whole table.
        with path.open("w" if new else "a", newline="") as file:
            table = csv.DictWriter(file, names)
            if new:
                table.writeheader()
            table.writerows(rows if new else rows[-1:])

    yield log


@contextmanager
def _tensorboard(output_dir: Path) -> Iterator[MetricsLogger]:
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(_new_version(output_dir)))

    def log(step: int, metrics: Mapping[str, float]) -> None:
        with writer.as_default():
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=step)

    try:
        yield log
    finally:
        writer.close()


@contextmanager
def _mlflow(output_dir: Path) -> Iterator[MetricsLogger]:
    import mlflow
    from mlflow.tracking import MlflowClient

    named = mlflow.is_tracking_uri_set()
    # A client of our own: the tracking address of the process stays what it is.
    client = MlflowClient(mlflow.get_tracking_uri() if named else mlflow_folder(output_dir))
    found = client.get_experiment_by_name("pinn-tf")
    experiment = found.experiment_id if found else client.create_experiment("pinn-tf")
    run = client.create_run(experiment, run_name=output_dir.absolute().name).info.run_id

    def log(step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            client.log_metric(run, name, value, step=step)

    try:
        yield log
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, "FINISHED")


def _new_version(output_dir: Path) -> Path:
    """A folder that did not exist before: ``logs/version_N`` with the lowest N above all that are there."""
    folder = output_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        taken = [int(p.name[8:]) for p in folder.glob("version_*") if p.name[8:].isdigit()]
        try:
            (made := folder / f"version_{max(taken, default=-1) + 1}").mkdir()
            return made
        except FileExistsError:  # another run was quicker
            continue
