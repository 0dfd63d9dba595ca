"""The workflow functions of the specification: one call trains and stitches, as its parts do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
from pinn_config import legacy
from pinn_config.bridge import dataclass_to_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import field_types
from pinn_data.errors import RequestError
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.grouping.raw_data import RawData
from pinn_data.run.outputs import save_outputs
from pinn_data.scan.positions import reoriented
from pinn_torch.archive.model_archive import load_model
from pinn_torch.backend import TORCH
from pinn_torch.components import RESULT_KEYS, reassemble_cdi_image, run_cdi_example, train_cdi_model
from pinn_torch.workflows import reconstruct
from torch_scans import network_image, quiet, small_scan


@pytest.fixture(autouse=True)
def restored_dictionary():
    before = dict(legacy.cfg)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


def _config(folder, **settings):
    model = ModelConfig(n_filters_scale=1, architecture=settings.pop("architecture", "cnn"))
    return TrainingConfig(
        model, **{"nepochs": 2, "batch_size": 6, "n_groups": 12, "output_dir": folder} | settings
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One training with a validation, and its stitched image."""
    folder = tmp_path_factory.mktemp("finished")
    return run_cdi_example(
        small_scan(),
        small_scan(rows=3),
        _config(folder, architecture="unrolled"),
        M=None,
        do_stitching=True,
        execution_config=quiet(learning_rate=0.02),
    )


def test_the_results_are_those_of_the_table(finished):
    amplitude, phase, results = finished
    assert tuple(results) == RESULT_KEYS
    assert results["backend"] == "pytorch" and results["bundle_path"].name == "wts.h5.zip"
    assert results["bundle_path"].is_file()
    assert results["history_epochs"] == 2
    history = results["history"]
    assert len(history["train_loss"]) == len(history["val_loss"]) == 2
    assert np.isfinite([*history["train_loss"], *history["val_loss"]]).all()
    assert set(results["models"]) == {"autoencoder", "diffraction_to_obj"}
    assert results["model_instance"] is results["models"]["diffraction_to_obj"]
    trained = load_model(results["bundle_path"])
    assert results["intensity_scale"] == trained.intensity_scale > 0
    assert results["parameters"] > 1000 and results["training_seconds"] > 0
    image = results["object"]
    assert image.dtype == np.complex64 and image.ndim == 2
    assert amplitude.dtype == phase.dtype == np.float32
    np.testing.assert_array_equal(amplitude, np.abs(image))
    np.testing.assert_array_equal(phase, np.angle(image))
    np.testing.assert_array_equal(results["positions"], small_scan(rows=3).positions)
    assert results["coverage"].shape == image.shape and results["gridsize"] == 1
    assert 0 < results["residual"] < 1


def test_the_image_is_that_of_a_reconstruction_with_the_same_archive(finished):
    _, _, results = finished
    found = network_image(results["bundle_path"], small_scan(rows=3))
    np.testing.assert_array_equal(found.object, results["object"])
    assert found.canvas.origin == results["canvas_origin"] and found.residual == results["residual"]
    again = reassemble_cdi_image(
        small_scan(rows=3),
        InferenceConfig(ModelConfig(n_filters_scale=1, architecture="unrolled"), results["bundle_path"]),
        M=None,
    )
    np.testing.assert_array_equal(again[2]["object"], results["object"])
    assert tuple(again[2]) == RESULT_KEYS and again[2]["history"] is None and again[2]["models"] is None
    assert again[2]["refined"] is None and results["refined"] is None


def test_one_setting_has_the_solver_follow_the_network(finished, tmp_path):
    _, _, results = finished
    scan, bundle = small_scan(rows=3), results["bundle_path"]
    config = InferenceConfig(ModelConfig(n_filters_scale=1, architecture="unrolled"), bundle, refine="probe")
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


def test_without_stitching_there_is_no_image(tmp_path):
    amplitude, phase, results = run_cdi_example(
        small_scan(), None, _config(tmp_path, nepochs=1), execution_config=quiet()
    )
    assert amplitude is None and phase is None
    assert tuple(results) == RESULT_KEYS and results["object"] is None and results["residual"] is None
    assert results["history"]["val_loss"] is None and len(results["history"]["train_loss"]) == 1
    assert results["history_epochs"] == 1


def test_a_scan_may_come_in_any_form(tmp_path):
    scan = small_scan()
    path = write_scan(tmp_path / "train.npz", scan, unit="counts")
    like = SimpleNamespace(
        xcoords=scan.positions[:, 1],
        ycoords=scan.positions[:, 0],
        diff3d=scan.diffraction,
        probeGuess=scan.probe,
        scan_index=scan.scan_index,
        objectGuess=scan.object,
    )
    weights = []
    for number, data in enumerate([scan, RawData.from_scan(scan), path, str(path), like, None]):
        config = _config(tmp_path / str(number), nepochs=1, train_data_file=path if data is None else None)
        results = train_cdi_model(data, None, config, quiet())
        weights.append(load_model(results["bundle_path"]).module.state_dict())
    for other in weights[1:]:
        assert all(bool((other[name] == value).all()) for name, value in weights[0].items())


def test_the_test_file_of_the_configuration_validates_and_is_stitched(tmp_path):
    path = write_scan(tmp_path / "test.npz", small_scan(rows=3), unit="counts")
    config = _config(tmp_path / "out", nepochs=1, test_data_file=path, train_data_file=Path())
    amplitude, _, results = run_cdi_example(
        small_scan(), None, config, M=None, do_stitching=True, execution_config=quiet()
    )
    assert results["history"]["val_loss"] is not None and amplitude is not None
    np.testing.assert_array_equal(results["positions"], read_scan(path).positions)


@pytest.mark.parametrize(
    "turn",
    [
        {"flip_x": True},
        {"flip_y": True},
        {"flip_x": True, "flip_y": True},
        {"flip_x": True, "transpose": True},
    ],
)
def test_positions_that_were_recorded_the_other_way_round_are_put_right(finished, turn):
    """Undoing what was done to the positions gives the same image."""
    _, _, results = finished
    scan = small_scan(rows=3)
    recorded = scan.positions
    # The inverse of "flips, then transposition" is the transposition, then the flips of the exchanged axes.
    if turn.get("transpose"):
        recorded = reoriented(recorded, transpose=True)
    recorded = reoriented(recorded, flip_x=turn.get("flip_x", False), flip_y=turn.get("flip_y", False))
    wrong = attrs.evolve(scan, positions=recorded, positions_start=recorded)
    config = InferenceConfig(ModelConfig(n_filters_scale=1, architecture="unrolled"))
    options = {"M": None, "bundle_path": results["bundle_path"]}
    _, _, mended = reassemble_cdi_image(wrong, config, **turn, **options)
    np.testing.assert_allclose(mended["positions"], scan.positions, atol=1e-9)
    np.testing.assert_allclose(mended["object"], results["object"], atol=1e-3)
    _, _, left = reassemble_cdi_image(wrong, config, **options)
    assert left["residual"] > 1.2 * mended["residual"]


def test_training_turns_both_scans(tmp_path, monkeypatch):
    seen = {}

    def remember(job, origin):
        seen.update(scan=job.scan, validation=job.validation)
        raise KeyboardInterrupt

    monkeypatch.setattr(TORCH, "finish_training", remember)
    scan, test = small_scan(), small_scan(rows=3)
    with pytest.raises(KeyboardInterrupt):
        run_cdi_example(scan, test, _config(tmp_path), flip_y=True, transpose=True)
    for given, used in ((scan, seen["scan"]), (test, seen["validation"])):
        expected = reoriented(given.positions, flip_y=True, transpose=True)
        np.testing.assert_array_equal(used.positions, expected)
        assert used.diffraction is given.diffraction


def test_a_scale_of_the_positions(finished):
    _, _, results = finished
    scan = small_scan(rows=3)
    halved = attrs.evolve(scan, positions=scan.positions / 2, positions_start=scan.positions / 2)
    config = InferenceConfig(ModelConfig(n_filters_scale=1, architecture="unrolled"))
    options = {"M": None, "bundle_path": results["bundle_path"]}
    _, _, scaled = reassemble_cdi_image(halved, config, coord_scale=2.0, **options)
    np.testing.assert_array_equal(scaled["object"], results["object"])


def test_the_configuration_is_bridged_before_anything_else_and_execution_never(tmp_path, monkeypatch):
    """CONFIG-001, and section 4.7: execution settings stay out of the dictionary."""
    config = _config(tmp_path, nepochs=1, n_subsample=11, subsample_seed=5)
    monkeypatch.setattr(
        TORCH, "require", lambda: (_ for _ in ()).throw(RuntimeError("first use of the backend"))
    )
    for call in (run_cdi_example, train_cdi_model, lambda a, b, c: reassemble_cdi_image(a, c)):
        legacy.cfg["nepochs"] = -7
        with pytest.raises(RuntimeError, match="first use"):
            call(None, None, config)
        expected = dataclass_to_legacy_dict(config)
        assert {key: legacy.cfg[key] for key in expected} == expected
    monkeypatch.undo()
    execution = quiet(learning_rate=0.0123, accum_steps=2, num_workers=0)
    run_cdi_example(small_scan(), None, config, execution_config=execution)
    only_execution = field_types(PyTorchExecutionConfig).keys() - field_types(TrainingConfig).keys()
    assert {"learning_rate", "accum_steps", "accelerator"} <= only_execution
    assert not only_execution & legacy.cfg.keys()
    assert 0.0123 not in legacy.cfg.values()


def test_after_a_training_the_dictionary_is_that_of_its_archive(tmp_path):
    config = _config(tmp_path, nepochs=1, nphotons=321.0)
    results = train_cdi_model(small_scan(), None, config, quiet())
    assert legacy.get("intensity_scale") == results["intensity_scale"]
    assert (legacy.get("N"), legacy.get("nphotons")) == (64, 321.0)
    assert legacy.get("output_prefix") == str(tmp_path)


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


def test_an_image_by_the_archive_that_a_training_left(tmp_path):
    config = _config(tmp_path, nepochs=1)
    train_cdi_model(small_scan(), None, config, quiet())
    amplitude, _, results = reassemble_cdi_image(small_scan(rows=3), config, M=None)
    assert results["bundle_path"] == tmp_path and amplitude.shape == results["object"].shape


def test_M_central_pixels_of_each_patch_count(finished):
    """20 by default, as the historical function had it; what the execution says of it has the last word."""
    _, _, results = finished
    scan = small_scan(rows=3)
    config = InferenceConfig(ModelConfig(n_filters_scale=1, architecture="unrolled"))
    bundle = results["bundle_path"]
    images = {
        M: reassemble_cdi_image(scan, config, M=M, bundle_path=bundle)[2]["object"] for M in (None, 0, 20, 12)
    }
    np.testing.assert_array_equal(images[0], images[None])
    np.testing.assert_array_equal(
        reassemble_cdi_image(scan, config, bundle_path=bundle)[2]["object"], images[20]
    )
    for M in (12, 20):
        trimmed = network_image(bundle, scan, config, quiet(middle_trim=M))
        np.testing.assert_array_equal(images[M], trimmed.object)
        y, x = np.mgrid[: trimmed.object.shape[0], : trimmed.object.shape[1]]
        here = np.floor(scan.positions - trimmed.canvas.origin)
        inside = np.zeros(trimmed.object.shape, bool)
        for py, px in here:
            inside |= (y >= py - M // 2) & (y <= py + M // 2) & (x >= px - M // 2) & (x <= px + M // 2)
        assert not images[M][~inside].any() and images[M][inside].any()
    asked = {"M": 20, "bundle_path": bundle, "execution_config": quiet(middle_trim=12)}
    np.testing.assert_array_equal(reassemble_cdi_image(scan, config, **asked)[2]["object"], images[12])


def test_the_files_of_an_inference_configuration_are_used(finished, tmp_path):
    _, _, results = finished
    path = write_scan(tmp_path / "test.npz", small_scan(rows=3), unit="counts")
    config = InferenceConfig(
        ModelConfig(n_filters_scale=1, architecture="unrolled"), results["bundle_path"].parent, path
    )
    _, _, found = reassemble_cdi_image(None, config, M=None)
    np.testing.assert_array_equal(found["object"], results["object"])
