"""A trained model survives the way through its archive to the bit."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from pinn_archive.errors import ArchiveError, ArchiveNotFoundError
from pinn_archive.reader import read_archive
from pinn_archive.writer import write_archive
from pinn_config.architecture import network
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.objective import Objective
from pinn_data.files.npz import write_scan
from pinn_data.optics.probe import probe_modes
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import TrainedModel, load_model, save_model
from pinn_tf.errors import ModelArchiveError
from pinn_tf.model.module import PtychoPINN
from pinn_tf.model.network import write_weights
from tf_networks import ARCHITECTURES, shaken
from tf_trainings import network_image, quiet, same, state_of


def _trained(architecture="cnn", **settings):
    """A model of random numbers, as a training might leave it."""
    scan = small_scan(modes=2)
    model = ModelConfig(architecture=architecture, gridsize=2, n_filters_scale=1, probe_scale=3.0)
    config = TrainingConfig(model=model, train_data_file="a/b.npz", **settings)
    module = PtychoPINN(
        model,
        probe_modes(scan.probe),
        13.7,
        objective=Objective.of(config),
        probe_trainable=config.probe_trainable,
    )
    shaken(module.network)
    rng = np.random.default_rng(3)
    for variable in (module.probe_parts, module.log_intensity_scale):
        variable.assign_add(rng.normal(size=variable.shape).astype("f4"))
    return TrainedModel(module, config, quiet(learning_rate=0.25), {"seed": 3})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_saved_comes_back_to_the_bit(tmp_path, architecture):
    trained = _trained(architecture, probe_trainable=True, output_dir=tmp_path)
    path = save_model(tmp_path, trained, native=False)
    opened = load_model(path)
    for before, after in zip(trained.module.variables, opened.module.variables, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())
    assert opened.config == trained.config and opened.execution == trained.execution
    assert opened.provenance["seed"] == 3 and opened.probe_trained
    assert opened.gain == trained.gain == pytest.approx(trained.intensity_scale / 13.7)
    assert same(state_of(path), state_of(path.parent))


_REOPEN = """
import sys
import numpy as np
from pinn_data.files.npz import read_scan
from tf_trainings import network_image
np.save(sys.argv[3], network_image(sys.argv[1], read_scan(sys.argv[2])).object)
"""


@pytest.mark.processes
def test_a_fresh_process_gives_the_same_reconstruction_to_the_bit(tmp_path):
    archive, scan = save_model(tmp_path, _trained()), small_scan()
    write_scan(tmp_path / "scan.npz", scan, unit="counts")
    files = (archive, tmp_path / "scan.npz", tmp_path / "object.npy")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _REOPEN, *map(str, files)], check=True, env=environment)
    assert np.array_equal(np.load(files[2]), network_image(archive, scan).object)


def test_the_archive_holds_both_models_and_says_who_wrote_it(tmp_path):
    trained = _trained()
    archive = read_archive(save_model(tmp_path, trained))
    assert set(archive.models) == {"autoencoder", "diffraction_to_obj"}
    assert archive.backend == "tensorflow"
    shapes = network(trained.config.model).parameters()
    for model in archive.models.values():
        assert {name: w.shape for name, w in model.weights.items()} == shapes
        assert model.native_name == "model.keras"
    assert {"tensorflow", "keras", "numpy", "python", "pinn-tf"} <= set(archive.provenance)


def test_the_files_of_keras_inside_open_in_safe_mode_to_the_same_models(tmp_path):
    trained = _trained()
    rng = np.random.default_rng(0)
    inputs = [
        rng.uniform(0, 3, (2, 64, 64, 4)).astype("f4"),
        rng.uniform(-6, 6, (2, 1, 2, 4)).astype("f4"),
    ]
    for name, payload in read_archive(save_model(tmp_path, trained)).models.items():
        path = tmp_path / "model.keras"
        path.write_bytes(payload.native)
        model = keras.saving.load_model(path, safe_mode=True)
        assert model.name == name
        if name == "diffraction_to_obj":
            from pinn_tf.models import models_of

            expected = models_of(trained.module)[name](inputs)
            np.testing.assert_array_equal(model(inputs).numpy(), expected.numpy())


def _rewritten(path, archive, **changes):
    parts = {name: getattr(archive, name) for name in ("models", "params", "arrays", "backend", "provenance")}
    return write_archive(path, **(parts | changes))


def test_archives_that_hold_no_model_of_ours_are_refused(tmp_path):
    archive = read_archive(save_model(tmp_path, _trained(), native=False))
    models, params = archive.models, archive.params
    weights = models["diffraction_to_obj"].weights
    first = next(iter(weights))
    cut = type(models["autoencoder"])({name: w for name, w in weights.items() if name != first})
    stranger = params["config"] | {"colour": "blue"}
    for number, (changes, says) in enumerate(
        [
            ({"models": {"autoencoder": models["autoencoder"]}}, "but not 'diffraction_to_obj'"),
            ({"models": models | {"diffraction_to_obj": cut}}, "the weights do not fit"),
            ({"arrays": {}}, "lacks 'probe'"),
            ({"params": params | {"config": stranger}}, "is not one that this version knows"),
            ({"params": {}}, "is not one that this version knows"),
        ]
    ):
        with pytest.raises(ModelArchiveError, match=says) as caught:
            load_model(_rewritten(tmp_path / str(number), archive, **changes))
        assert "\n" not in str(caught.value) and "active backend" not in str(caught.value)


def test_a_layer_that_pytorch_alone_has_is_refused_with_both_names_and_its_own(tmp_path):
    archive = read_archive(save_model(tmp_path, _trained(), native=False))
    config = dict(archive.params["config"])
    config["model"] = config["model"] | {"cbam_encoder": True}
    other = _rewritten(
        tmp_path / "other", archive, params=archive.params | {"config": config}, backend="pytorch"
    )
    with pytest.raises(ModelArchiveError) as caught:
        load_model(other)
    text = str(caught.value)
    assert "by the backend 'pytorch'" in text and "active backend 'tensorflow'" in text
    assert "'encoder0/cbam/channel'" in text and "\n" not in text


def test_an_archive_from_before_a_field_existed_opens_with_its_default(tmp_path):
    trained = _trained()
    archive = read_archive(save_model(tmp_path, trained, native=False))
    stored = dict(archive.params["config"])
    stored["model"] = {name: v for name, v in stored["model"].items() if "cbam" not in name}
    params = {name: v for name, v in archive.params.items() if name != "execution"}
    opened = load_model(_rewritten(tmp_path, archive, params=params | {"config": stored}))
    assert opened.config == trained.config and opened.execution == dataclasses.replace(
        quiet(), logger_backend="mlflow", enable_checkpointing=True
    )


def test_an_archive_of_the_public_pytorch_backend_names_both(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "wts.h5.zip", "w") as file:
        file.writestr("diffraction_to_obj/model.pth", b"no weights of ours")
    with pytest.raises(ModelArchiveError, match=r"'pytorch' .* active backend 'tensorflow'"):
        load_model(tmp_path)


def test_no_archive_and_a_damaged_archive(tmp_path):
    with pytest.raises(ArchiveNotFoundError):
        load_model(tmp_path)
    path = save_model(tmp_path, _trained(), native=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError):
        load_model(tmp_path)


def test_weights_are_those_of_the_network(tmp_path):
    trained = _trained("unrolled")
    archive = read_archive(save_model(tmp_path, trained, native=False))
    expected = write_weights(trained.module.network)
    for model in archive.models.values():
        assert all(np.array_equal(model.weights[name], expected[name]) for name in expected)
