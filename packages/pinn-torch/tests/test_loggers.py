"""Who records the metrics: CSV, nobody, or MLflow where it is installed."""

from __future__ import annotations

import csv
from importlib.util import find_spec

import pytest
from pinn_torch import loggers
from torch_scans import small_scan, small_training


def _columns(folder):
    (file,) = folder.rglob("metrics.csv")
    with file.open() as stream:
        return set(next(csv.reader(stream)))


def test_csv_is_written_under_the_output_folder(tmp_path):
    small_training(
        tmp_path,
        small_scan(),
        batch_size=1,
        validation=small_scan(rows=3),
        execution={"logger_backend": "csv"},
    )
    assert {"train_loss", "train_deviance", "val_loss", "step", "epoch"} <= _columns(
        tmp_path / "lightning_logs"
    )


def test_none_writes_nothing(tmp_path):
    small_training(tmp_path, small_scan(), execution={"logger_backend": "none"})
    assert list(tmp_path.rglob("metrics.csv")) == []


def test_without_mlflow_metrics_go_to_csv_and_one_line_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with caplog.at_level("INFO", logger="pinn_torch"):
        small_training(tmp_path, small_scan(), batch_size=1, execution={"logger_backend": "mlflow"})
    assert [r.getMessage() for r in caplog.records if "mlflow is not installed" in r.getMessage()] != []
    assert "train_loss" in _columns(tmp_path)


def test_tensorboard_without_its_package_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install tensorboard"):
        small_training(tmp_path, small_scan(), execution={"logger_backend": "tensorboard"})


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="the package tensorboard is not installed")
def test_tensorboard_writes_events(tmp_path):
    small_training(tmp_path, small_scan(), execution={"logger_backend": "tensorboard"})
    assert list(tmp_path.rglob("events.out.tfevents*"))


needs_mlflow = pytest.mark.skipif(find_spec("mlflow") is None, reason="the package mlflow is not installed")


@needs_mlflow
def test_mlflow_keeps_the_metrics_under_the_output_folder(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    folder = tmp_path / "out"
    small_training(folder, small_scan(), batch_size=1, execution={"logger_backend": "mlflow"})
    client = MlflowClient((folder / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("pinn-torch")
    (run,) = client.search_runs([experiment.experiment_id])
    assert "train_loss" in run.data.metrics and run.info.status == "FINISHED"
    assert list(elsewhere.iterdir()) == []


@needs_mlflow
def test_the_server_of_mlflow_is_named_by_the_environment(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    server = (tmp_path / "server").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    small_training(tmp_path / "out", small_scan(), batch_size=1, execution={"logger_backend": "mlflow"})
    assert MlflowClient(server).get_experiment_by_name("pinn-torch") is not None
    assert not (tmp_path / "out" / "mlruns").exists()


def test_the_address_of_mlflow(tmp_path, monkeypatch):
    """Without the package too: what it would be told."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert loggers._mlflow_address(tmp_path) == (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example:5000")
    assert loggers._mlflow_address(tmp_path) == "https://tracking.example:5000"
