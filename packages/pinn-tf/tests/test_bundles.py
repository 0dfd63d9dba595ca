"""A bundle opens in every form in which a client may hand it over, puts the dictionary right, and makes an
image by the client's own calls."""

from __future__ import annotations

import pickle
import platform
import zipfile
from pathlib import Path

import attrs
import dill
import numpy as np
import ptycho.loader
import ptycho.params
import ptycho.probe
import ptycho.tf_helper
import pytest
from pinn_archive.contents import ModelPayload
from pinn_archive.reader import read_archive
from pinn_archive.writer import write_archive
from pinn_config import legacy, update_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.grouping.raw_data import RawData
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import TrainedModel, load_model, save_model
from pinn_tf.components import load_inference_bundle, save_inference_bundle
from pinn_tf.errors import ModelArchiveError, RunError
from pinn_tf.model.module import PtychoPINN
from pinn_tf.models import GroupModel
from tf_networks import shaken
from tf_trainings import quiet, same, state_of


@pytest.fixture(autouse=True)
def restored_dictionary():
    before = dict(legacy.cfg)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """bundle(gridsize) -> the archive of a network as a training of the small scan might leave it."""
    made = {}

    def make(gridsize=1):
        if gridsize not in made:
            scan = small_scan()
            config = TrainingConfig(
                ModelConfig(n_filters_scale=1, gridsize=gridsize), batch_size=7, output_dir=Path("elsewhere")
            )
            scale = PatternStack(scan, None, config.nphotons).intensity_scale
            module = PtychoPINN(config.model, scan.probe[None], scale)
            shaken(module.network)
            module.log_intensity_scale.assign_add(0.1)  # as if it had learned
            folder = tmp_path_factory.mktemp(f"gridsize{gridsize}")
            made[gridsize] = save_model(folder, TrainedModel(module, config, PyTorchExecutionConfig(), {}))
        return made[gridsize]

    return make


def _unpacked(archive, folder):
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def test_every_form_of_a_bundle_opens(tmp_path, bundle):
    archive = bundle(2)
    forms = (
        archive,
        str(archive),
        archive.parent,
        archive.with_name("wts.h5"),
        _unpacked(archive, tmp_path / "unpacked"),
    )
    assert (tmp_path / "unpacked" / "manifest.dill").is_file()
    for form in forms:
        model, _ = load_inference_bundle(form)
        module = model.module
        found = {name: variable.numpy() for name, variable in module.network.arrays.items()}
        found |= {"probe": module.probe_parts.numpy()}
        assert same(found | {"log_intensity_scale": module.log_intensity_scale.numpy()}, state_of(archive)), (
            form
        )


def test_the_dictionary_is_as_it_was_for_the_training(bundle):
    archive = bundle(2)
    other = InferenceConfig(ModelConfig(N=128, object_big=False), output_dir="here", test_data_file="a.npz")
    update_legacy_dict(legacy.cfg, other)
    legacy.cfg["probe"] = "of a client"
    _, params = load_inference_bundle(archive.parent)
    assert params == legacy.cfg and params is not legacy.cfg
    assert (legacy.get("N"), legacy.get("gridsize"), legacy.get("object.big")) == (64, 2, True)
    assert legacy.get("batch_size") == 7 and legacy.get("intensity_scale.trainable") is True
    assert legacy.get("intensity_scale") == load_model(archive).intensity_scale
    # Where the training was done says nothing about this process.
    assert (legacy.get("output_prefix"), legacy.get("test_data_file_path")) == ("here", "a.npz")
    assert legacy.get("probe") == "of a client"


def test_a_model_by_name(bundle):
    for name in ("autoencoder", "diffraction_to_obj"):
        model, _ = load_inference_bundle(bundle(), name)
        assert isinstance(model, GroupModel) and model.diffraction is (name == "autoencoder")
    before = dict(legacy.cfg)
    with pytest.raises(KeyError) as caught:
        load_inference_bundle(bundle(), "decoder")
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


def _public_torch_archive(folder, archive):
    """What the public PyTorch implementation writes, without the pickled code."""
    with zipfile.ZipFile(folder / "wts.h5.zip", "w") as file:
        manifest = {"models": ["diffraction_to_obj"], "version": "2.0-pytorch"}
        file.writestr("manifest.dill", dill.dumps(manifest))
        file.writestr("diffraction_to_obj/model.pth", b"no weights of ours")


def _public_archive(folder, archive):
    """What the public TensorFlow implementation writes, without the pickled code; it names no backend."""
    with zipfile.ZipFile(folder / "wts.h5.zip", "w") as file:
        file.writestr("manifest.dill", dill.dumps({"models": ["diffraction_to_obj"], "version": "1.0"}))


def _torch_only_archive(folder, archive):
    """A network with a layer that this backend does not have."""
    ours = read_archive(archive)
    model = ours.params["config"]["model"] | {"cbam_encoder": True}
    write_archive(
        folder / "wts.h5.zip",
        models={name: ModelPayload(model.weights) for name, model in ours.models.items()},
        params=ours.params | {"config": ours.params["config"] | {"model": model}},
        arrays=ours.arrays,
        backend="pytorch",
        provenance={},
    )


@pytest.mark.parametrize(
    ("make", "backend"),
    [(_public_archive, "tensorflow"), (_public_torch_archive, "pytorch"), (_torch_only_archive, "pytorch")],
)
def test_an_archive_that_cannot_be_opened_names_both_backends(tmp_path, bundle, make, backend):
    make(tmp_path, bundle())
    before = dict(legacy.cfg)
    for form in (tmp_path, _unpacked(tmp_path / "wts.h5.zip", tmp_path / "unpacked")):
        with pytest.raises(ModelArchiveError) as caught:
            load_inference_bundle(form)
        text = str(caught.value)
        assert f"by the backend {backend!r}" in text and "active backend 'tensorflow'" in text
        assert "\n" not in text
        if make is not _torch_only_archive:
            assert "public implementation, which can open it: it is no archive of ours" in text
            assert "damaged" not in text and "changed" not in text
    assert legacy.cfg == before


def test_an_archive_of_pytorch_with_canonical_weights_opens(tmp_path, bundle):
    ours = read_archive(bundle())
    write_archive(
        tmp_path / "wts.h5.zip",
        models={name: ModelPayload(model.weights) for name, model in ours.models.items()},
        params=ours.params,
        arrays=ours.arrays,
        backend="pytorch",
        provenance={},
    )
    model, params = load_inference_bundle(tmp_path)
    assert params["N"] == model.N == 64
    assert same(state_of(tmp_path), state_of(bundle()))


def _image(folder, raw, gridsize):
    """ptychodus 1.7.0's calls for a reconstruction."""
    config = InferenceConfig(ModelConfig(N=raw.diff3d.shape[-1], gridsize=gridsize), Path(), Path())
    config = pickle.loads(pickle.dumps(config))  # noqa: S301
    update_legacy_dict(ptycho.params.cfg, config)
    model, _ = load_inference_bundle(folder)
    ptycho.probe.set_probe_guess(None, raw.probeGuess)
    grouped = raw.generate_grouped_data(
        config.model.N, K=7, nsamples=len(raw.diff3d), gridsize=config.model.gridsize
    )
    container = ptycho.loader.load(lambda: grouped, raw.probeGuess, which=None, create_split=False)
    prediction = model.predict([container.X * ptycho.params.get("intensity_scale"), container.local_offsets])
    assert prediction.shape == (*container.X.shape[:3], 1) and prediction.dtype == np.complex64
    return ptycho.tf_helper.reassemble_position(prediction, container.global_offsets, M=20)


def _raw(scan, patterns):
    modes = scan.probe[None] * np.array([1, 0.3j])[:, None, None]
    y, x = scan.positions.T
    return RawData.from_coords_without_pc(
        x, y, patterns, modes, np.zeros(len(x), int), np.ones((131, 131), complex)
    )


@pytest.mark.parametrize("gridsize", [1, 2])
def test_the_calls_of_a_client_make_an_image_of_counts_as_of_amplitudes(bundle, gridsize):
    """ptychodus hands over counts as its detector has them."""
    scan = small_scan(photons=1e4)
    counts = np.asarray(scan.diffraction).astype(np.uint16)
    image = _image(bundle(gridsize).parent, _raw(scan, counts), gridsize)
    two = np.squeeze(image)
    assert isinstance(two, np.ndarray) and two.ndim == 2 and two.dtype == np.complex64
    assert np.isfinite(two).all() and np.abs(two).max() > 0
    amplitudes = np.sqrt(counts.astype(np.float64))
    again = _image(bundle(gridsize).parent, _raw(scan, amplitudes), gridsize)
    np.testing.assert_allclose(again, image, atol=1e-4 * np.abs(image).max())


def test_a_bundle_for_other_settings_is_one_sentence_that_names_both(bundle):
    scan = small_scan()
    raw = _raw(scan, np.asarray(scan.diffraction).astype(np.uint16))
    for trained, now in ((2, 1), (1, 2)):
        with pytest.raises(
            ValueError, match=f"of N=64 and gridsize={trained}: .* N=64 and gridsize={now},"
        ) as caught:
            _image(bundle(trained).parent, raw, now)
        assert "\n" not in str(caught.value)
    wide = small_scan(N=128)
    raw = _raw(attrs.evolve(wide), np.asarray(wide.diffraction).astype(np.uint16))
    with pytest.raises(ValueError, match=r"128 x 128, .* N=64"):
        _image(bundle().parent, raw, 1)
    model, params = load_inference_bundle(bundle())
    with pytest.raises(ValueError, match=r"of N=64 and gridsize=1: .* N=128 and gridsize=1,"):
        model.predict([np.ones((2, 128, 128, 1)) * params["intensity_scale"], np.zeros((2, 1, 2, 1))])


@pytest.mark.parametrize("name", ["diffraction_to_obj", "autoencoder"])
def test_what_was_opened_is_saved_as_it_was(tmp_path, bundle, name):
    archive = bundle()
    model, _ = load_inference_bundle(archive, name)
    written = save_inference_bundle(model, tmp_path / "new" / "folder")
    assert written == tmp_path / "new" / "folder" / "wts.h5.zip"
    first, again = read_archive(archive), read_archive(written)
    assert same(state_of(archive), state_of(written)) and first.params == again.params
    assert first.provenance == again.provenance and first.models.keys() == again.models.keys()


def test_results_without_a_model_are_not_saved(tmp_path):
    for given in ({}, {"model_instance": None}, object(), None):
        with pytest.raises(RunError, match="there is no trained model of the backend 'tensorflow'"):
            save_inference_bundle(given, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_execution_settings_say_on_which_device_the_model_computes(bundle):
    scan = small_scan()
    images, positions = np.sqrt(scan.counts()[:2, ..., None]).astype("f4"), np.zeros((2, 1, 2, 1), "f4")
    model, _ = load_inference_bundle(bundle(), execution_config=quiet(accelerator="cpu"))
    assert {v.value.device[-5:] for v in model.variables} == {"CPU:0"}
    assert model([images, positions]).device.endswith("CPU:0")
    free, _ = load_inference_bundle(bundle())
    np.testing.assert_allclose(
        model.predict([images, positions], verbose=0), free([images, positions]), atol=1e-4
    )
    before = dict(legacy.cfg)
    absent = "cuda" if platform.system() == "Darwin" else "mps"
    with pytest.raises(RunError, match=f"accelerator='{absent}' was requested"):
        load_inference_bundle(bundle(), execution_config=quiet(accelerator=absent))
    assert legacy.cfg == before
