"""A bundle opens in every form in which a client may hand it over, and puts the dictionary right."""

from __future__ import annotations

import zipfile

import dill
import numpy as np
import pytest
import torch
from pinn_archive.contents import ModelPayload
from pinn_archive.writer import write_archive
from pinn_config import legacy, update_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_torch.archive.model_archive import load_model
from pinn_torch.components import load_inference_bundle, save_inference_bundle
from pinn_torch.errors import ModelArchiveError, RunError
from pinn_torch.models import Autoencoder, DiffractionToObject
from torch_scans import network_image, quiet, small_scan


@pytest.fixture(autouse=True)
def restored_dictionary():
    before = dict(legacy.cfg)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


def test_every_form_of_a_bundle_opens(tmp_path, trained):
    archive = trained("cnn", 2)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as file:
        file.extractall(unpacked)
    models = [
        load_inference_bundle(form)[0]
        for form in (archive, str(archive), archive.parent, archive.with_name("wts.h5"), unpacked)
    ]
    first = models[0].state_dict()
    for model in models[1:]:
        assert all(bool((value == first[name]).all()) for name, value in model.state_dict().items())


def test_the_dictionary_is_as_it_was_for_the_training(trained):
    archive = trained("cnn", 2)
    config = load_model(archive).config
    other = InferenceConfig(ModelConfig(N=128, object_big=False), output_dir="here", test_data_file="a.npz")
    update_legacy_dict(legacy.cfg, other)
    legacy.cfg["probe"] = "of a client"
    _, params = load_inference_bundle(archive.parent)
    assert params == legacy.cfg and params is not legacy.cfg
    assert (legacy.get("N"), legacy.get("gridsize"), legacy.get("object.big")) == (64, 2, True)
    assert legacy.get("batch_size") == config.batch_size
    assert legacy.get("intensity_scale.trainable") is config.intensity_scale_trainable
    assert legacy.get("intensity_scale") == pytest.approx(
        np.exp(load_model(archive).module.log_intensity_scale.item())
    )
    # Where the training was done says nothing about this process.
    assert (legacy.get("output_prefix"), legacy.get("test_data_file_path")) == ("here", "a.npz")
    assert legacy.get("probe") == "of a client"


def test_opening_an_archive_otherwise_leaves_the_dictionary_alone(trained):
    before = dict(legacy.cfg)
    load_model(trained())
    network_image(trained(), small_scan())
    assert legacy.cfg == before


def test_a_model_by_name(trained):
    for name in ("autoencoder", "diffraction_to_obj"):
        model, _ = load_inference_bundle(trained(), name)
        assert type(model) is {"diffraction_to_obj": DiffractionToObject, "autoencoder": Autoencoder}[name]
    before = dict(legacy.cfg)
    with pytest.raises(KeyError) as caught:
        load_inference_bundle(trained(), "decoder")
    assert str(caught.value).startswith("Model 'decoder' not found in ")
    assert "['autoencoder', 'diffraction_to_obj']" in str(caught.value)
    assert legacy.cfg == before


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^Model directory does not exist: .*nowhere") as caught:
        load_inference_bundle(tmp_path / "nowhere")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(FileNotFoundError, match=r"no model archive in .*wts\.h5\.zip"):
        load_inference_bundle(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        load_inference_bundle(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError):
        load_inference_bundle(tmp_path / "wts.h5")


def _keras_archive(folder):
    """What the public implementation writes, without the pickled code; it names no backend."""
    with zipfile.ZipFile(folder / "wts.h5.zip", "w") as file:
        file.writestr("manifest.dill", dill.dumps({"models": ["diffraction_to_obj"], "version": "1.0"}))
        file.writestr("diffraction_to_obj/model.keras", b"no weights of ours")
    return folder


def _foreign_archive(folder):
    """An archive of this format whose weights are not canonical."""
    payload = ModelPayload({"dense/kernel": np.ones((3, 2), np.float32)}, "model.keras", b"keras")
    write_archive(
        folder / "wts.h5.zip",
        models={"diffraction_to_obj": payload},
        params={},
        arrays={},
        backend="tensorflow",
        provenance={},
    )
    return folder


@pytest.mark.parametrize("make", [_keras_archive, _foreign_archive])
@pytest.mark.parametrize("opened", [load_inference_bundle, load_model])
def test_an_archive_of_tensorflow_that_cannot_be_opened_names_both_backends(tmp_path, make, opened):
    with pytest.raises(ModelArchiveError) as caught:
        opened(make(tmp_path))
    text = str(caught.value)
    assert "'tensorflow'" in text and "active backend 'pytorch'" in text and "\n" not in text
    if make is _keras_archive:
        assert "public implementation, which can open it: it is no archive of ours" in text
        assert "damaged" not in text and "changed" not in text
    with zipfile.ZipFile(tmp_path / "wts.h5.zip") as file:
        file.extractall(tmp_path / "unpacked")
    with pytest.raises(ModelArchiveError, match=r"'tensorflow'.*'pytorch'"):
        opened(tmp_path / "unpacked")


def test_an_archive_of_tensorflow_with_canonical_weights_opens(tmp_path, trained):
    from pinn_archive.reader import read_archive

    ours = read_archive(trained("cnn", 1))
    params = {name: value for name, value in ours.params.items() if name != "execution"}
    models = {name: ModelPayload(model.weights) for name, model in ours.models.items()}
    write_archive(
        tmp_path / "wts.h5.zip",
        models=models,
        params=params,
        arrays=ours.arrays,
        backend="tensorflow",
        provenance={},
    )
    model, params = load_inference_bundle(tmp_path)
    expected = load_model(trained("cnn", 1)).module.state_dict()
    assert all(bool((value == expected[name]).all()) for name, value in model.module.state_dict().items())
    assert params["N"] == 64 and isinstance(load_model(tmp_path).config, TrainingConfig)


@pytest.mark.parametrize("name", ["diffraction_to_obj", "autoencoder"])
def test_what_was_opened_is_saved_to_the_bit(tmp_path, trained, name):
    archive = trained("cnn", 2)
    model, _ = load_inference_bundle(archive, name)
    written = save_inference_bundle(model, tmp_path / "new" / "folder")
    assert written == tmp_path / "new" / "folder" / "wts.h5.zip"
    assert written.read_bytes() == archive.read_bytes()


def test_weights_are_saved_as_they_are_now(tmp_path, trained):
    model, _ = load_inference_bundle(trained("cnn", 2))
    with torch.no_grad():
        model.module.log_intensity_scale += 0.5
    again = load_model(save_inference_bundle({"model_instance": model}, tmp_path))
    assert again.intensity_scale == pytest.approx(model.trained.intensity_scale)


def test_results_without_a_model_are_not_saved(tmp_path):
    for given in ({}, {"model_instance": None}, torch.nn.Linear(2, 2), None):
        with pytest.raises(RunError, match="there is no trained model of the backend 'pytorch'"):
            save_inference_bundle(given, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_execution_settings_say_on_which_device_the_model_lies(trained):
    model, _ = load_inference_bundle(trained("cnn", 2), execution_config=quiet(accelerator="cpu"))
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    absent = "cuda" if torch.backends.mps.is_available() else "mps"  # no machine has both
    before = dict(legacy.cfg)
    with pytest.raises(RunError, match=f"accelerator='{absent}' was requested"):
        load_inference_bundle(trained("cnn", 2), execution_config=quiet(accelerator=absent))
    assert legacy.cfg == before
