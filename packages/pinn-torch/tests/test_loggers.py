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
