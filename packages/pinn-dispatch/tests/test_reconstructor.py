"""The lifecycle of a program's reconstructor, in order and out of order, without any framework."""

from __future__ import annotations

import multiprocessing
import pickle
import threading

import fake_backend
import numpy as np
import pytest
from pinn_archive import ArchiveError, ArchiveNotFoundError
from pinn_config import (
    ConfigError,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    legacy,
)
from pinn_data.files.npz import read_scan
from pinn_data.run.workflow_results import RESULT_KEYS
from pinn_dispatch import dispatch
from pinn_dispatch.errors import (
    BackendRunError,
    BackendUnavailableError,
    BusyError,
    DispatchError,
    UnknownBackendError,
)
from pinn_dispatch.reconstructor import Cancel, CancelledError, Progress, Reconstructor
from spawned_client import child


@pytest.fixture(autouse=True)
def restored_dictionary():
    before = dict(legacy.cfg)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


@pytest.fixture
def client(backend, tmp_path):
    """A reconstructor of the fake backend that trains into the test's folder."""
    return Reconstructor("pytorch", training={"output_dir": tmp_path / "run"})


@pytest.fixture
def data_folder(scan, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train_data.npz", "test_data.npz"):
        Reconstructor("pytorch").export_training_data(folder / name, scan)
    return folder


def _told(run) -> list[Progress]:
    told: list[Progress] = []
    run(told.append)
    return told


def test_the_lifecycle(client, backend, scan, data_folder, tmp_path):
    client.configure(model={"gridsize": 2}, training={"nepochs": 7}, execution={"accum_steps": 3}, seed=4)
    told: list[Progress] = []
    results = client.train(data_folder, on_progress=told.append)
    call = backend.CALLS[-1]
    assert (call["config"].model.gridsize, call["config"].model.N, call["config"].nepochs) == (2, 16, 7)
    assert (call["execution"].accum_steps, call["seed"], call["config"].backend) == (3, 4, "pytorch")
    assert call["config"].train_data_file == data_folder / "train_data.npz"
    assert call["config"].test_data_file == data_folder / "test_data.npz"
    assert legacy.cfg["gridsize"] == 2 and legacy.cfg["nepochs"] == 7
    assert call["validation"].equals(call["scan"]) and np.array_equal(call["scan"].counts(), scan.counts())
    assert set(results) == {*RESULT_KEYS, "cancelled"} and not results["cancelled"]
    assert results["bundle_path"] == tmp_path / "run" / "wts.h5.zip" == client.model_path
    assert results["history"]["train_loss"] == [np.mean([1 / (1 + i) for i in range(5)])]
    assert results["models"] is None and results["provenance"]["seeds"]["seed"] == 4
    assert told[0].fraction == 0 and told[-1].finished and told[-1].fraction == 1
    saved = client.save(tmp_path / "kept" / "model.zip")
    assert saved.read_bytes() == client.model_path.read_bytes()
    again = Reconstructor("pytorch", seed=4).open(saved)
    found = again.reconstruct(scan)
    expected = dispatch.reconstruct(saved, scan, InferenceConfig(ModelConfig(N=16)), seed=4)
    assert found.object.tobytes() == expected.object.tobytes() and found.residual == expected.residual
    assert found.canvas == expected.canvas and found.provenance["model"] == expected.provenance["model"]
    assert [p.fraction for p in _told(lambda tell: again.reconstruct(scan, on_progress=tell))] == [0, 0.5, 1]


def test_exported_data_have_the_schema_and_come_back(client, scan, tmp_path):
    (tmp_path / "folder").mkdir()
    written = client.export_training_data(tmp_path / "folder", scan)
    assert written == tmp_path / "folder" / "train_data.npz"
    with np.load(written) as file:
        assert {"xcoords", "ycoords", "diff3d", "probeGuess", "objectGuess", "scan_index"} <= set(file)
        arrays = dict(file)
    np.testing.assert_allclose(arrays["diff3d"] ** 2, scan.counts(), rtol=1e-6, atol=1e-6)
    # The arrays themselves are a scan, too.
    arrays["metadata"] = {}
    del arrays["diffraction_unit"]
    again = client.export_training_data(tmp_path / "again.npz", arrays)
    np.testing.assert_allclose(read_scan(again).positions, scan.positions)
    with pytest.raises(DispatchError, match=r"ends in \.npz, or a folder that exists"):
        client.export_training_data(tmp_path / "scan.h5", scan)


@pytest.mark.parametrize("arrange", ["folder", "unpacked", "file"])
def test_a_model_opens_in_every_form(client, scan, data_folder, tmp_path, arrange):
    client.train(data_folder)
    path = client.model_path
    if arrange == "unpacked":
        import zipfile

        with zipfile.ZipFile(path) as file:
            file.extractall(tmp_path / "unpacked")
        path = tmp_path / "unpacked"
    again = Reconstructor("pytorch").open(path.parent if arrange == "folder" else path)
    assert again.is_model_open
    assert again.save(tmp_path / "copy.zip").read_bytes() == client.model_path.read_bytes()
    assert again.reconstruct(scan).residual == client.reconstruct(scan).residual


def test_out_of_order_each_step_is_one_sentence(client, scan, tmp_path):
    for call in (lambda: client.reconstruct(scan), lambda: client.save(tmp_path / "m.zip")):
        with pytest.raises(DispatchError, match=r"there is no model .*: open\(\) or train\(\) one first"):
            call()
    assert not client.is_model_open and not (tmp_path / "m.zip").exists()
    with pytest.raises(ArchiveNotFoundError):
        client.open(tmp_path)
    (tmp_path / "model.zip").write_bytes(b"no archive")
    with pytest.raises(ArchiveError):
        client.open(tmp_path / "model.zip")
    with pytest.raises(DispatchError, match=r"holds no train_data\.npz"):
        client.train(tmp_path)
    with pytest.raises(DispatchError, match="no folder for the training was given"):
        Reconstructor("pytorch", training={"output_dir": "."}).train(scan)
    assert not client.is_model_open and not client.is_running


def test_settings_change_between_runs_and_a_wrong_change_changes_nothing(client, backend, scan):
    client.train(scan)
    with pytest.raises(ConfigError) as caught:
        client.configure(
            model={"gridsize": 0, "colour": 1},
            training={"batch_size": -1, "nepochs": 3},
            execution={"learning_rate": 0.0, "num_workers": -1},
            inference=7,
            seed=-1,
        )
    said = " ".join(caught.value.problems)
    for part in (
        "gridsize",
        "'colour'",
        "batch_size",
        "learning_rate",
        "num_workers",
        "InferenceConfig",
        "seed",
    ):
        assert part in said
    assert len(caught.value.problems) == len(set(caught.value.problems)) == 7
    assert client.training.nepochs == TrainingConfig(ModelConfig()).nepochs and client.execution is None
    client.training = {"nepochs": 3}
    client.model = ModelConfig(N=16, n_filters_scale=1)
    client.execution = PyTorchExecutionConfig(accum_steps=2)
    client.inference = {"border_px": 1}
    client.train(scan)
    call = backend.CALLS[-1]
    assert (call["config"].nepochs, call["config"].model.n_filters_scale) == (3, 1)
    client.reconstruct(scan)
    assert backend.CALLS[-1]["config"].border_px == 1
    client.execution = None
    client.train(scan)
    assert call["execution"].accum_steps == 2 and backend.CALLS[-1]["execution"] is None


def test_what_is_handed_out_is_a_copy(client):
    for config in (client.model, client.training.model, client.training, client.inference):
        vars(config).update(gridsize=99, nepochs=99, border_px=99)
    assert client.model.gridsize == 1 and client.training.nepochs == 50 and client.inference.border_px == 0
    given = TrainingConfig(ModelConfig(N=16, gridsize=2), output_dir="somewhere")
    client.configure(training=given)
    given.model.gridsize = 5
    assert client.model.gridsize == client.training.model.gridsize == 2
    client.configure(inference=InferenceConfig(ModelConfig(N=16)))  # brings no network
    assert client.model.gridsize == 2


@pytest.mark.parametrize(
    ("installed", "named", "expected"),
    [
        (["pytorch"], None, "pytorch"),
        (["tensorflow"], None, "tensorflow"),
        (["pytorch", "tensorflow"], None, "tensorflow"),
        (["pytorch", "tensorflow"], "pytorch", "pytorch"),
    ],
)
def test_the_backend_is_the_one_named_or_installed(provide, scan, tmp_path, installed, named, expected):
    provide(**dict.fromkeys(installed, "fake_backend"))
    client = Reconstructor(named)
    assert client.backend == expected
    client.train(scan, output_dir=tmp_path)
    assert fake_backend.CALLS[-1]["config"].backend == expected


def test_of_both_backends_the_archive_chooses_once(provide, client, scan, tmp_path):
    client.train(scan)
    provide(pytorch="fake_backend", tensorflow="fake_backend")
    open_to_both = Reconstructor().open(client.model_path)
    assert open_to_both.name == "PtychoPINN"
    open_to_both.reconstruct(scan)
    assert open_to_both.backend == "pytorch" and open_to_both.name == "PtychoPINN/PyTorch"
    open_to_both.train(scan, output_dir=tmp_path / "more")
    assert fake_backend.CALLS[-1]["config"].backend == "pytorch"


def test_an_unknown_or_missing_backend(provide, scan, tmp_path):
    with pytest.raises(UnknownBackendError):
        Reconstructor("jax")
    provide()
    client = Reconstructor()  # settings and files need none
    client.export_training_data(tmp_path / "scan.npz", scan)
    with pytest.raises(BackendUnavailableError, match="no backend is installed: run pip install"):
        client.train(scan, output_dir=tmp_path)


def test_cancelled_a_training_keeps_what_was_learned_and_a_second_one_works(client, scan):
    def stops(progress):
        return Cancel if progress.step == 2 else None

    results = client.train(scan, on_progress=stops)
    assert results["cancelled"] and client.is_model_open
    assert results["history"]["train_loss"] == [np.mean([1, 1 / 2, 1 / 3])]
    assert client.reconstruct(scan).object.size
    assert not client.train(scan)["cancelled"]


def test_a_token_that_is_set_stops_the_run_before_it_begins(client, backend, scan):
    token = threading.Event()
    token.set()
    with pytest.raises(CancelledError, match="the training was cancelled before it began"):
        client.train(scan, cancel=token)
    assert not backend.CALLS and not client.is_model_open
    client.train(scan)
    model = client.model_path
    with pytest.raises(CancelledError):
        client.reconstruct(scan, cancel=token)
    with pytest.raises(CancelledError):
        client.reconstruct(scan, on_progress=lambda progress: Cancel if progress.fraction else None)
    assert client.model_path == model and not client.is_running
    token.clear()
    assert not client.train(scan, cancel=token)["cancelled"]


@pytest.mark.parametrize("how", ["method", "token"])
def test_another_thread_cancels(client, scan, how):
    begun, go_on, token, results = threading.Event(), threading.Event(), threading.Event(), []

    def watch(progress):
        if progress.step:
            begun.set()
            assert go_on.wait(30)

    thread = threading.Thread(
        target=lambda: results.append(client.train(scan, on_progress=watch, cancel=token))
    )
    assert not client.cancel()  # nothing is at work
    thread.start()
    assert begun.wait(30) and client.is_running
    with pytest.raises(BusyError, match="a training is already running"):
        client.reconstruct(scan)
    client.configure(seed=8)  # counts from the next run on
    if how == "method":
        assert client.cancel()
    else:
        token.set()
    go_on.set()
    thread.join(30)
    assert results[0]["cancelled"] and results[0]["provenance"]["seeds"]["seed"] == 0
    token.clear()
    assert not client.train(scan, cancel=token)["cancelled"]


def test_an_error_of_a_callback_is_the_callers_and_the_next_run_works(client, scan):
    def broken(progress):
        raise ZeroDivisionError("of the callback")

    client.train(scan)
    model = client.model_path.read_bytes()
    for run in (client.train, client.reconstruct):
        with pytest.raises(ZeroDivisionError, match="of the callback"):
            run(scan, on_progress=broken)
    assert client.model_path.read_bytes() == model and client.reconstruct(scan).object.size


@pytest.mark.parametrize(
    ("name", "expected"), [("MisconfigurationException", BackendRunError), ("OutOfMemoryError", MemoryError)]
)
def test_an_error_of_a_framework_becomes_one_of_ours(client, backend, scan, monkeypatch, name, expected):
    foreign = type(name, (Exception,), {"__module__": "lightning.fabric.utilities.exceptions"})

    def fails(*_, **__):
        raise foreign("no such\nthing")

    monkeypatch.setattr(backend, "train", fails)
    monkeypatch.setattr(dispatch, "load_backend", lambda name: backend)
    with pytest.raises(expected, match="no such") as caught:
        client.train(scan)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - it was pickled here
    assert type(again) is expected and str(again) == str(caught.value)


def test_it_is_pickled_with_its_settings_and_its_model(client, scan):
    client.configure(model={"gridsize": 2}, execution={"accum_steps": 3}, seed=5)
    client.train(scan)
    again = pickle.loads(pickle.dumps(client))  # noqa: S301 - it was pickled here
    assert (again.model, again.training, again.inference) == (client.model, client.training, client.inference)
    assert (again.execution, again.seed, again.backend) == (client.execution, 5, "pytorch")
    assert again.reconstruct(scan).residual == client.reconstruct(scan).residual and not again.is_running


@pytest.mark.processes
def test_it_works_in_a_spawned_child_that_its_parent_cancels(client, scan):
    context = multiprocessing.get_context("spawn")
    queue, token = context.Queue(), context.Event()
    process = context.Process(target=child, args=(client, scan, queue, token))
    process.start()
    told = [queue.get(timeout=120) for _ in range(3)]  # then the child waits for the token
    assert [type(record) for record in told] == [Progress] * 3
    token.set()
    results, found, error, loaded = queue.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0 and loaded == []
    assert results["cancelled"] and results["bundle_path"].is_file()
    assert found.residual == client.open(results["bundle_path"]).reconstruct(scan).residual
    assert type(error) is CancelledError


def test_file_filters():
    client = Reconstructor("pytorch")
    assert client.open_file_filter.patterns == client.save_file_filter.patterns == ("*.zip",)
    assert str(client.training_data_file_filter) == "NumPy Zipped Archives (*.npz)"
