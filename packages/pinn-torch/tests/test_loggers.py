"""Who records the metrics: CSV, TensorBoard, MLflow where it is installed, or nobody; all record the same."""

from __future__ import annotations

import csv
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pinn_data.learning import metric_loggers
from torch_scans import small_scan, small_training

_needs_tensorboard = pytest.mark.skipif(
    find_spec("tensorboard") is None, reason="the package tensorboard is not installed"
)
_needs_mlflow = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="neither mlflow nor mlflow-skinny is installed"
)


@pytest.fixture(autouse=True)
def _no_telemetry_and_no_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    if "mlflow" in sys.modules:  # it remembers a server beside the environment
        sys.modules["mlflow"].set_tracking_uri(None)


def _trained(folder, backend):
    """Twenty-four steps, of which Lightning logs every tenth; two epochs."""
    return small_training(
        folder,
        small_scan(),
        batch_size=1,
        nepochs=2,
        validation=small_scan(rows=3),
        execution={"logger_backend": backend},
    )


def _expected(result):
    """(step, value) of what the history says; Lightning counts a step before it is done."""
    rows = result.history
    steps = [(row["step"] - 1, row["train_loss"]) for row in rows if row["step"] % 10 == 0]
    epochs = [(row["step"] - 1, row["val_loss"]) for row in rows if row["val_loss"] is not None]
    return {"train_loss": steps, "val_loss": epochs}


def _same(found, result):
    for name, expected in _expected(result).items():
        assert len(expected) == 2
        assert [step for step, _ in found[name]] == [step for step, _ in expected]
        assert [v for _, v in found[name]] == pytest.approx([v for _, v in expected], rel=1e-5)


def _of_csv(file: Path) -> dict[str, list[tuple[int, float]]]:
    rows = list(csv.DictReader(file.open()))
    return {k: [(int(r["step"]), float(r[k])) for r in rows if r[k]] for k in rows[0]}


def test_csv_is_written_under_the_output_folder(tmp_path):
    """Each run has a folder of its own."""
    for version in (0, 1):
        result = _trained(tmp_path, "csv")
        _same(_of_csv(tmp_path / "lightning_logs" / f"version_{version}" / "metrics.csv"), result)
    found = _of_csv(tmp_path / "lightning_logs" / "version_1" / "metrics.csv")
    assert {"train_deviance", "poisson_train_loss", "poisson_val_loss", "epoch"} <= found.keys()


@_needs_tensorboard
def test_tensorboard_writes_events(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = _trained(tmp_path, "tensorboard")
    events = EventAccumulator(str(tmp_path / "lightning_logs" / "version_0"))
    events.Reload()
    names = events.Tags()["scalars"]
    assert {"train_deviance", "poisson_val_loss"} <= set(names)
    _same({n: [(e.step, e.value) for e in events.Scalars(n)] for n in names}, result)


def _of_mlflow(where: str) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(where)
    experiment = client.get_experiment_by_name("pinn-torch")
    (run,) = client.search_runs([experiment.experiment_id])
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    assert run.info.status == "FINISHED"
    return run.info.run_name, {name: [(m.step, m.value) for m in found] for name, found in history.items()}


@_needs_mlflow
@pytest.mark.parametrize("named", [False, True])
def test_mlflow_keeps_the_metrics_under_the_output_folder(tmp_path, monkeypatch, caplog, named):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = ((tmp_path / "store") if named else (tmp_path / "out" / "mlruns")).as_uri()
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", where)
    result = _trained(tmp_path / "out", "mlflow")
    name, found = _of_mlflow(where)
    assert name == "out" and "poisson_train_loss" in found
    _same(found, result)
    assert list(elsewhere.iterdir()) == [] and (tmp_path / "out" / "mlruns").exists() != named
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == []


@_needs_mlflow
def test_mlflow_leaves_no_server_behind(tmp_path, monkeypatch):
    """And leaves nothing behind that a second run in the same process would follow."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    for name in ("a", "b"):
        result = _trained(tmp_path / name, "mlflow")
        run, found = _of_mlflow((tmp_path / name / "mlruns").as_uri())
        assert run == name and "MLFLOW_TRACKING_URI" not in os.environ
        _same(found, result)


def test_none_writes_nothing(tmp_path):
    small_training(tmp_path, small_scan(), execution={"logger_backend": "none"})
    assert [p.name for p in tmp_path.iterdir()] == ["wts.h5.zip"]


def test_without_mlflow_metrics_go_to_csv_and_one_line_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(metric_loggers, "find_spec", lambda name: None)
    with caplog.at_level("INFO", logger="pinn_data"):
        result = _trained(tmp_path, "mlflow")
    assert len([r for r in caplog.records if "mlflow is not installed" in r.getMessage()]) == 1
    _same(_of_csv(tmp_path / "lightning_logs" / "version_0" / "metrics.csv"), result)


def test_a_folder_named_mlflow_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "no_such_logger").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_spec("no_such_logger") is not None
    assert not metric_loggers._is_installed("no_such_logger") and metric_loggers._is_installed("csv")


def test_tensorboard_without_its_package_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(metric_loggers, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install tensorboard"):
        small_training(tmp_path, small_scan(), execution={"logger_backend": "tensorboard"})
