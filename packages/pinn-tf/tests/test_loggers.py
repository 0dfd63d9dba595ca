"""Who records the metrics: CSV, TensorBoard, MLflow where it is installed, or nobody; all record the same."""

from __future__ import annotations

import csv
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from pinn_data.learning import metric_loggers
from pinn_data.testing import small_scan
from pinn_tf.training.loggers import metrics_logger
from tf_trainings import small_training

_needs_tensorboard = pytest.mark.skipif(
    find_spec("tensorboard") is None, reason="the package tensorboard is not installed"
)
_needs_mlflow = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="neither mlflow nor mlflow-skinny is installed"
)
_RECORD = [(10, {"a": 1.5}), (12, {"b": 2.0, "a": 3.0}), (20, {"a": -1.0})]
_EXPECTED = {"a": [(10, 1.5), (12, 3.0), (20, -1.0)], "b": [(12, 2.0)]}


@pytest.fixture(autouse=True)
def _no_telemetry_and_no_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def _recorded(backend, folder):
    with metrics_logger(backend, folder) as log:
        for step, metrics in _RECORD:
            log(step, metrics)


def _of_csv(file: Path) -> dict[str, list[tuple[int, float]]]:
    rows = list(csv.DictReader(file.open()))
    return {k: [(int(r["step"]), float(r[k])) for r in rows if r[k]] for k in rows[0] if k != "step"}


def test_csv_is_written_under_the_output_folder(tmp_path):
    """Each run has a folder of its own."""
    for version in (0, 1):
        _recorded("csv", tmp_path)
        assert _of_csv(tmp_path / "logs" / f"version_{version}" / "metrics.csv") == _EXPECTED


@_needs_tensorboard
def test_tensorboard_writes_events(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    _recorded("tensorboard", tmp_path)
    events = EventAccumulator(str(tmp_path / "logs" / "version_0"))
    events.Reload()
    found = {
        n: [(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(n)]
        for n in events.Tags()["tensors"]
    }
    assert found == _EXPECTED


@_needs_mlflow
@pytest.mark.parametrize("named", [False, True])
def test_mlflow_keeps_the_metrics_under_the_output_folder(tmp_path, monkeypatch, named):
    import mlflow
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = ((tmp_path / "store") if named else (tmp_path / "out" / "mlruns")).as_uri()
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", where)
    before = mlflow.get_tracking_uri(), dict(os.environ)
    _recorded("mlflow", tmp_path / "out")
    assert (mlflow.get_tracking_uri(), dict(os.environ)) == before
    client = MlflowClient(where)
    (run,) = client.search_runs([client.get_experiment_by_name("pinn-tf").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "out")
    found = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    assert {name: [(m.step, m.value) for m in rows] for name, rows in found.items()} == _EXPECTED
    with pytest.raises(KeyError), metrics_logger("mlflow", tmp_path / "out"):
        raise KeyError
    runs = client.search_runs([client.get_experiment_by_name("pinn-tf").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]


def test_none_writes_nothing(tmp_path):
    _recorded("none", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_mlflow_metrics_go_to_csv_and_one_line_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(metric_loggers, "find_spec", lambda name: None)
    with caplog.at_level("INFO", logger="pinn_data"):
        _recorded("mlflow", tmp_path)
    assert len([r for r in caplog.records if "mlflow is not installed" in r.getMessage()]) == 1
    assert _of_csv(tmp_path / "logs" / "version_0" / "metrics.csv") == _EXPECTED


def test_a_folder_named_mlflow_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "no_such_logger").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_spec("no_such_logger") is not None
    assert not metric_loggers._is_installed("no_such_logger") and metric_loggers._is_installed("csv")


def test_tensorboard_without_its_package_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(metric_loggers, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install tensorboard"):
        _recorded("tensorboard", tmp_path)


def test_a_training_records_what_its_history_says(eager, tmp_path):
    """Twelve steps, of which every tenth is recorded, in two epochs."""
    result = small_training(
        tmp_path,
        small_scan(),
        batch_size=1,
        n_groups=6,
        nepochs=2,
        validation=small_scan(rows=2),
        execution={"logger_backend": "csv"},
    )
    found = _of_csv(tmp_path / "logs" / "version_0" / "metrics.csv")
    rows = {row["step"]: row for row in result.history}
    assert found["train_loss"] == [(10, rows[10]["train_loss"])]
    assert found["poisson_val_loss"] == [(step, rows[step]["val_loss"]) for step in (6, 12)]
    assert found["poisson_train_loss"][0][1] == pytest.approx(
        sum(rows[step]["train_loss"] for step in range(1, 7)) / 6
    )
    assert {"train_deviance", "val_deviance", "learning_rate"} <= found.keys()
