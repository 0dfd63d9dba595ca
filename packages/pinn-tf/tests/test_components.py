"""The workflow functions of the specification, and the calls by which ptychodus trains."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path

import attrs
import numpy as np
import ptycho.model
import ptycho.model_manager
import pytest
import tensorflow as tf
from pinn_config import legacy
from pinn_config.bridge import dataclass_to_legacy_dict, update_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import field_types
from pinn_data.errors import LabelError, RequestError
from pinn_data.files.npz import write_scan
from pinn_data.grouping.raw_data import RawData
from pinn_data.run.outputs import save_outputs
from pinn_data.scan.positions import reoriented
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import TrainedModel, load_model, reopened, save_model
from pinn_tf.backend import TENSORFLOW
from pinn_tf.components import RESULT_KEYS, reassemble_cdi_image, run_cdi_example, train_cdi_model
from pinn_tf.errors import RunError
from pinn_tf.historical.saved_models import ModelManager, save
from pinn_tf.model.module import PtychoPINN
from pinn_tf.training import last_training
from pinn_tf.training import run as training
from pinn_tf.workflows import reconstruct
from tf_trainings import network_image, quiet, same, state_of


@pytest.fixture(autouse=True)
def restored_state(monkeypatch):
    before = dict(legacy.cfg)
    monkeypatch.setattr(last_training, "_kept", last_training._kept)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


def _config(folder, gridsize=1, **settings):
    model = ModelConfig(n_filters_scale=1, gridsize=gridsize)
    return TrainingConfig(
        model, **{"nepochs": 2, "batch_size": 6, "n_groups": 12, "output_dir": folder} | settings
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One training with a validation, and its stitched image; the dictionary afterwards."""
    before, folder = dict(legacy.cfg), tmp_path_factory.mktemp("ran")
    answer = run_cdi_example(
        small_scan(),
        small_scan(rows=3),
        _config(folder),
        M=None,
        do_stitching=True,
        execution_config=quiet(learning_rate=0.0234),
    )
    after = dict(legacy.cfg)
    legacy.cfg.clear()
    legacy.cfg.update(before)
    return answer, after


@pytest.fixture
def finished(ran):
    """Amplitude, phase and results of it."""
    return ran[0]


@pytest.fixture(scope="module")
def as_ptychodus(tmp_path_factory):
    """ptychodus 1.7.0's calls for a training, in a working directory of its own: the folder of the archive,
    the results, and the directory."""
    place, folder = tmp_path_factory.mktemp("cwd"), tmp_path_factory.mktemp("out")
    paths = [
        write_scan(tmp_path_factory.mktemp("in") / f"{name}_data.npz", scan, unit="counts")
        for name, scan in (("train", small_scan()), ("test", small_scan(rows=3)))
    ]
    model = ModelConfig(N=0, n_filters_scale=1)
    config = TrainingConfig(model, Path(), None, nepochs=1, batch_size=6, output_dir=Path())
    before, cfg = os.getcwd(), dict(legacy.cfg)
    os.chdir(place)
    try:
        config = pickle.loads(pickle.dumps(config))  # noqa: S301
        train, test = (RawData.from_file(path) for path in paths)
        config.model.N = train.diff3d.shape[-1]
        update_legacy_dict(legacy.cfg, config)
        amplitude, phase, results = run_cdi_example(train, test, config)
        assert amplitude is None and phase is None
        scale = ptycho.model.params()["intensity_scale"]
        ptycho.model_manager.save(folder)
    finally:
        os.chdir(before)
        legacy.cfg.clear()
        legacy.cfg.update(cfg)
    return folder, results, place, scale, last_training.last_training()


def test_the_results_are_those_of_the_table(finished):
    amplitude, phase, results = finished
    assert tuple(results) == RESULT_KEYS
    assert results["backend"] == "tensorflow" and results["bundle_path"].name == "wts.h5.zip"
    assert results["bundle_path"].is_file()
    assert results["history_epochs"] == 2
    history = results["history"]
    assert len(history["train_loss"]) == len(history["val_loss"]) == 2
    assert np.isfinite([*history["train_loss"], *history["val_loss"]]).all()
    assert set(results["models"]) == {"autoencoder", "diffraction_to_obj"}
    assert results["model_instance"] is results["models"]["diffraction_to_obj"]
    assert results["intensity_scale"] == load_model(results["bundle_path"]).intensity_scale > 0
    assert results["parameters"] > 1000 and results["training_seconds"] > 0
    image = results["object"]
    assert image.dtype == np.complex64 and image.ndim == 2
    assert amplitude.dtype == phase.dtype == np.float32
    np.testing.assert_array_equal(amplitude, np.abs(image))
    np.testing.assert_array_equal(phase, np.angle(image))
    np.testing.assert_array_equal(results["positions"], small_scan(rows=3).positions)
    assert results["coverage"].shape == image.shape and results["gridsize"] == 1
    assert results["residual"] > 0


def test_the_image_is_that_of_a_reconstruction_with_the_same_archive(finished):
    _, _, results = finished
    found = network_image(results["bundle_path"], small_scan(rows=3))
    np.testing.assert_array_equal(found.object, results["object"])
    assert found.canvas.origin == results["canvas_origin"] and found.residual == results["residual"]
    again = reassemble_cdi_image(
        small_scan(rows=3), InferenceConfig(ModelConfig(n_filters_scale=1), results["bundle_path"]), M=None
    )
    np.testing.assert_array_equal(again[2]["object"], results["object"])
    assert tuple(again[2]) == RESULT_KEYS and again[2]["history"] is None and again[2]["models"] is None
    assert again[2]["refined"] is None and results["refined"] is None


def test_one_setting_has_the_solver_follow_the_network(finished, tmp_path):
    _, _, results = finished
    scan, bundle = small_scan(rows=3), results["bundle_path"]
    config = InferenceConfig(ModelConfig(n_filters_scale=1), bundle, refine="probe")
    _, _, again = reassemble_cdi_image(scan, config, M=None)
    found = reconstruct(bundle, scan, config)
    np.testing.assert_array_equal(again["object"], found.object)
    assert again["residual"] == found.residual < results["residual"]
    assert again["refined"].facts["R"] == found.residual
    picture = save_outputs(again["amplitude"], again["phase"], again, tmp_path)[-1]
    with np.load(picture) as stored:
        np.testing.assert_array_equal(stored["frame_misfit"], again["refined"].frame_misfit)


def test_without_a_word_on_it_reconstruct_has_the_solver_follow(finished):
    bundle = finished[2]["bundle_path"]
    found = reconstruct(bundle, small_scan(rows=3))
    everything = InferenceConfig(ModelConfig(), refine="auto")
    np.testing.assert_array_equal(found.object, reconstruct(bundle, small_scan(rows=3), everything).object)
    assert found.refined is not None


def test_M_central_pixels_of_each_patch_count(monkeypatch):
    """20 by default, as the historical function had it; what the execution says of it has the last word."""
    seen = []

    def remember(model, scan, config, execution, *, seed):
        seen.append((execution.middle_trim, execution.accelerator, seed))
        raise KeyboardInterrupt

    monkeypatch.setattr(TENSORFLOW, "reconstruct", remember)
    config = InferenceConfig(ModelConfig(n_filters_scale=1), "somewhere")
    execution = quiet(middle_trim=12, accelerator="cpu")
    for options in ({}, {"M": 8}, {"M": None}, {"M": 0}, {"execution_config": execution, "seed": 3}):
        with pytest.raises(KeyboardInterrupt):
            reassemble_cdi_image(small_scan(), config, **options)
    assert seen == [(20, "auto", 0), (8, "auto", 0), (0, "auto", 0), (0, "auto", 0), (12, "cpu", 3)]


def test_positions_that_were_recorded_otherwise_are_put_right(finished):
    _, _, results = finished
    scan = small_scan(rows=3)
    recorded = reoriented(scan.positions, flip_x=True) / 2
    wrong = attrs.evolve(scan, positions=recorded, positions_start=recorded)
    config = InferenceConfig(ModelConfig(n_filters_scale=1), results["bundle_path"])
    _, _, mended = reassemble_cdi_image(wrong, config, flip_x=True, M=None, coord_scale=2.0)
    np.testing.assert_allclose(mended["positions"], scan.positions, atol=1e-9)
    np.testing.assert_allclose(mended["object"], results["object"], atol=1e-3)


def test_without_an_output_folder_nothing_is_written_before_it_is_asked_for(as_ptychodus):
    folder, results, place, _, trained = as_ptychodus
    assert list(place.iterdir()) == []
    assert tuple(results) == RESULT_KEYS and results["bundle_path"] is None
    assert results["history"]["val_loss"] is not None and results["object"] is None
    assert [path.name for path in folder.iterdir()] == ["wts.h5.zip"]
    assert results["model_instance"].module is trained.module
    found = state_of(folder / "wts.h5.zip")
    module = trained.module
    kept = {name: variable.numpy() for name, variable in module.network.arrays.items()}
    kept |= {"probe": module.probe_parts.numpy(), "log_intensity_scale": module.log_intensity_scale.numpy()}
    assert same(found, kept)


def test_after_a_training_the_dictionary_is_that_of_its_archive(as_ptychodus):
    folder, results, _, scale, _ = as_ptychodus
    assert scale == results["intensity_scale"] == load_model(folder).intensity_scale


def test_an_image_by_what_was_trained_last(as_ptychodus, monkeypatch):
    folder, _, _, _, trained = as_ptychodus
    monkeypatch.setattr(last_training, "_kept", trained)
    config, scan = _config(Path()), small_scan(rows=3)
    weaker = attrs.evolve(scan, probe=scan.probe * np.linspace(0.5, 1, 64))
    reassemble_cdi_image(weaker, config)
    _, _, kept = reassemble_cdi_image(scan, config)
    assert kept["bundle_path"] is None
    _, _, saved = reassemble_cdi_image(scan, config, bundle_path=folder)
    assert saved["bundle_path"] == folder
    np.testing.assert_array_equal(saved["object"], kept["object"])


def test_where_nothing_was_trained_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(last_training, "_kept", None)
    for call in (lambda: save(tmp_path / "new"), lambda: reassemble_cdi_image(small_scan(), _config(Path()))):
        with pytest.raises(ValueError, match=r"^nothing has been trained in this process: call run_cdi_exa"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_both_models_are_saved_and_opened_together(as_ptychodus, tmp_path, monkeypatch):
    _, results, _, scale, trained = as_ptychodus
    monkeypatch.setattr(last_training, "_kept", trained)
    path = ModelManager.save_multiple_models(results["models"], tmp_path / "a" / "wts.h5", {}, scale)
    assert path == tmp_path / "a" / "wts.h5.zip"
    legacy.cfg.clear()
    opened = ModelManager.load_multiple_models(tmp_path / "a" / "wts.h5")
    assert list(opened) == list(results["models"]) and legacy.cfg["intensity_scale"] == scale
    (name,) = ModelManager.load_multiple_models(tmp_path / "a" / "wts.h5", ["autoencoder"])
    assert name == "autoencoder"
    with pytest.raises(ValueError, match=r"^Requested models not found in archive: .'b'. in "):
        ModelManager.load_multiple_models(tmp_path / "a" / "wts.h5", ["b"])
    with pytest.raises(FileNotFoundError, match=r"^Model archive not found: "):
        ModelManager.load_multiple_models(tmp_path / "b")
    wrong = [
        ({"models_dict": opened}, "^the models are not those that were trained last"),
        ({"models_dict": {"a": 1}}, "^the models .'a'. were given, but an archive holds"),
        ({"custom_objects": {"b": int}}, "^custom_objects .'b'. were given, but an archive holds no code"),
        ({"intensity_scale": 2 * scale}, "^intensity_scale=.* was given, but the models have learned"),
    ]
    for options, sentence in wrong:
        with pytest.raises(RunError, match=sentence):
            ModelManager.save_multiple_models(
                **{"models_dict": results["models"], "base_path": tmp_path / "c"} | options
            )
    assert not (tmp_path / "c.zip").exists()


def test_what_is_kept_of_a_training_in_bfloat16_is_what_its_archive_gives_back(tmp_path):
    scan = small_scan()
    config = _config(Path(), probe_trainable=True)
    module = PtychoPINN(config.model, scan.probe[None], 7.0, precision="mixed_bfloat16", probe_trainable=True)
    trained = TrainedModel(module, config, PyTorchExecutionConfig(), {"epochs": 1})
    again = reopened(trained)
    assert (again.module.network.precision, again.config) == ("float32", config)
    first, second = (save_model(tmp_path / name, model) for name, model in (("a", trained), ("b", again)))
    assert same(state_of(first), state_of(second))


def test_training_turns_both_scans(tmp_path, monkeypatch):
    seen = {}

    def remember(job, origin, folder):
        seen.update(scan=job.scan, validation=job.validation, folder=folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "learn", remember)
    scan, test = small_scan(), small_scan(rows=3)
    for folder, wanted in ((tmp_path, tmp_path), (Path(), None), (".", Path()), ("", None)):
        with pytest.raises(KeyboardInterrupt):
            run_cdi_example(scan, test, _config(folder), flip_y=True, transpose=True)
        assert seen["folder"] == (None if Path(folder) == Path() else wanted)
    for given, used in ((scan, seen["scan"]), (test, seen["validation"])):
        expected = reoriented(given.positions, flip_y=True, transpose=True)
        np.testing.assert_array_equal(used.positions, expected)
        assert used.diffraction is given.diffraction


def test_no_error_is_of_a_class_of_the_framework(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nand more")

    monkeypatch.setattr(training, "learn", fail)
    for call in (run_cdi_example, train_cdi_model):
        with pytest.raises(MemoryError, match=r"OOM when allocating\): lower batch_size"):
            call(small_scan(), None, _config(tmp_path))


def test_the_configuration_is_bridged_before_anything_else(tmp_path, monkeypatch):
    """CONFIG-001."""
    config = _config(tmp_path, nepochs=1, n_subsample=11, subsample_seed=5)
    monkeypatch.setattr(TENSORFLOW, "require", lambda: (_ for _ in ()).throw(RuntimeError("first use")))
    for call in (run_cdi_example, train_cdi_model, lambda a, b, c: reassemble_cdi_image(a, c)):
        legacy.cfg["nepochs"] = -7
        with pytest.raises(RuntimeError, match="first use"):
            call(None, None, config)
        expected = dataclass_to_legacy_dict(config)
        assert {key: legacy.cfg[key] for key in expected} == expected


def test_execution_settings_stay_out_of_the_dictionary(ran):
    """Section 4.7."""
    (_, _, results), after = ran
    only_execution = field_types(PyTorchExecutionConfig).keys() - field_types(TrainingConfig).keys()
    assert {"learning_rate", "accum_steps", "accelerator"} <= only_execution
    assert not only_execution & after.keys()
    assert 0.0234 not in after.values()
    assert after["output_prefix"] == str(results["bundle_path"].parent)


def test_learning_from_labels_needs_the_object(tmp_path):
    model = ModelConfig(n_filters_scale=1, model_type="supervised")
    config = dataclasses.replace(_config(Path(), nepochs=1), model=model)
    with pytest.raises(LabelError) as caught:
        run_cdi_example(attrs.evolve(small_scan(), object=None), None, config)
    assert str(caught.value).count("\n") == 0 and "object" in str(caught.value)
    _, _, results = run_cdi_example(small_scan(), None, config)
    assert len(results["history"]["train_loss"]) == 1
    assert last_training.last_training().config.model.model_type == "supervised"


@pytest.mark.parametrize("call", [run_cdi_example, train_cdi_model])
def test_what_is_no_scan_or_no_configuration_is_refused_in_one_sentence(tmp_path, call):
    folder = tmp_path / "out"
    with pytest.raises(TypeError, match=r"^train_data is a dict, but a Scan, a RawData or the path"):
        call({"diff3d": 1}, None, _config(folder))
    with pytest.raises(TypeError, match=r"^test_data is a list, but a Scan"):
        call(small_scan(), [1], _config(folder))
    with pytest.raises(RequestError, match=r"^there is no train_data: give a scan, or name its NPZ file"):
        call(None, None, _config(folder, train_data_file=Path()))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        call("nowhere.npz", None, _config(folder))
    with pytest.raises(TypeError, match=r"^the configuration is a ModelConfig, but a TrainingConfig"):
        call(small_scan(), None, ModelConfig())
    with pytest.raises(ConfigError, match="batch_size must be >= 1"):
        call(small_scan(), None, _config(folder, batch_size=0))
    assert not folder.exists()


def test_a_request_for_an_image_that_cannot_be_made_is_refused_before_training(tmp_path):
    config = _config(tmp_path / "out")
    with pytest.raises(RequestError, match="do_stitching=True was given without test_data"):
        run_cdi_example(small_scan(), None, config, do_stitching=True)
    for M in (-2, 65):
        with pytest.raises(RequestError, match=f"M={M} was given, but it must be 0 to N=64"):
            run_cdi_example(small_scan(), small_scan(), config, M=M, do_stitching=True)
    with pytest.raises(RequestError, match="there is no test_data"):
        reassemble_cdi_image(None, config)
    assert not config.output_dir.exists()
