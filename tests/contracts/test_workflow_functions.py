"""The historical workflow functions, from the dispatcher to files that the commands read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pinn_archive import ModelPayload, write_archive
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig, legacy
from pinn_data.files.npz import read_scan
from pinn_dispatch.dispatch import (
    load_inference_bundle_with_backend,
    run_cdi_example_with_backend,
    train_cdi_model_with_backend,
)
from pinn_dispatch.reconstruction import read_reconstruction
from ptycho_torch.workflows.components import reassemble_cdi_image, save_outputs


@pytest.fixture(autouse=True)
def restored_dictionary():
    before = dict(legacy.cfg)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


@pytest.fixture(scope="module")
def ran(scan_file, tmp_path_factory):
    """One run of the dispatcher with the real backend: the folder, and what came back."""
    folder = tmp_path_factory.mktemp("ran")
    config = TrainingConfig(
        ModelConfig(N=64, n_filters_scale=1), nepochs=1, n_groups=49, backend="pytorch", output_dir=folder
    )
    execution = PyTorchExecutionConfig(logger_backend="none", enable_checkpointing=False)
    answer = run_cdi_example_with_backend(
        str(scan_file), scan_file, config, M=None, do_stitching=True, torch_execution_config=execution
    )
    return folder, config, answer


def test_the_dispatcher_returns_what_the_backend_made(ran, scan_file):
    folder, _, (amplitude, phase, results) = ran
    assert results["backend"] == "pytorch" and results["bundle_path"] == folder / "wts.h5.zip"
    assert amplitude.shape == phase.shape == results["object"].shape
    np.testing.assert_array_equal(results["positions"], read_scan(scan_file).positions)


def test_saved_outputs_are_a_reconstruction_that_pinn_evaluates(ran, scan_file, pinn, tmp_path):
    _, _, (amplitude, phase, results) = ran
    written = save_outputs(amplitude, phase, results, str(tmp_path / "image"))
    assert all(path.is_file() for path in written)
    found = read_reconstruction(tmp_path / "image")
    np.testing.assert_array_equal(found.object, results["object"])
    assert tuple(found.canvas.origin) == results["canvas_origin"]
    code, _, err = pinn(
        "evaluate", tmp_path / "image", "--reference", scan_file, "--output", tmp_path / "scores"
    )
    assert code == 0, err
    scores = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert 0 <= scores["ssim_amp"] <= 1


def test_the_bundle_opens_through_the_dispatcher_and_restores_the_dictionary(ran):
    folder, config, (_, _, results) = ran
    asked = InferenceConfig(ModelConfig(N=128, gridsize=2), folder, backend="pytorch")
    model, params = load_inference_bundle_with_backend(folder, asked)
    assert type(model) is type(results["model_instance"])
    assert (params["N"], params["gridsize"], params["nepochs"]) == (64, 1, config.nepochs)
    assert legacy.get("intensity_scale") == params["intensity_scale"] == results["intensity_scale"]
    assert legacy.get("intensity_scale.trainable") is True


def test_the_bundle_stitches_another_scan(ran, scan_file):
    folder, config, (_, _, results) = ran
    amplitude, _, again = reassemble_cdi_image(scan_file, config, M=None)
    np.testing.assert_array_equal(again["object"], results["object"])
    assert amplitude.dtype == np.float32 and again["bundle_path"] == folder


def test_a_training_alone_gives_the_same_table_without_an_image(ran, scan_file, tmp_path):
    _, config, (_, _, results) = ran
    config.output_dir = tmp_path
    trained = train_cdi_model_with_backend(scan_file, None, config)
    assert trained.keys() == results.keys() and trained["object"] is None


def test_an_archive_of_another_backend_is_refused_by_the_dispatcher_with_both_names(tmp_path):
    payload = ModelPayload({"dense/kernel": np.ones((3, 2), np.float32)}, "model.keras", b"keras")
    write_archive(
        tmp_path / "wts.h5.zip",
        models={"diffraction_to_obj": payload},
        params={},
        arrays={},
        backend="tensorflow",
        provenance={},
    )
    asked = InferenceConfig(ModelConfig(), tmp_path, backend="pytorch")
    with pytest.raises(ValueError, match=r"by the backend 'tensorflow' .* active backend 'pytorch'"):
        load_inference_bundle_with_backend(tmp_path, asked)
