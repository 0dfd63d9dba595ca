"""A trained model survives the way through its archive to the bit."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from pinn_archive.errors import ArchiveError, ArchiveNotFoundError
from pinn_archive.reader import read_archive
from pinn_archive.writer import write_archive
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.files.npz import write_scan
from pinn_data.optics.probe import probe_modes
from pinn_torch.archive.model_archive import load_model, save_model
from pinn_torch.errors import ModelArchiveError
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.model.network import write_weights
from torch_scans import ARCHITECTURES, network_image, small_scan

_REOPEN = """
import sys
import numpy as np
from pinn_data.files.npz import read_scan
from torch_scans import network_image
scan = read_scan(sys.argv[1])
np.savez(sys.argv[2], *[network_image(archive, scan).object for archive in sys.argv[3:]])
"""


@pytest.mark.processes
def test_a_fresh_process_gives_the_same_reconstructions_to_the_bit(tmp_path, trained):
    scan = small_scan()
    write_scan(tmp_path / "scan.npz", scan, unit="counts")
    archives = [trained("unrolled", 1), trained("unet", 1), trained("cnn", 2)]
    files = [tmp_path / "scan.npz", tmp_path / "objects.npz", *archives]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [sys.executable, "-c", _REOPEN, *map(str, files)], check=True, env=environment, timeout=300
    )
    with np.load(tmp_path / "objects.npz") as fresh:
        for name, archive in zip(fresh.files, archives, strict=True):
            assert np.array_equal(fresh[name], network_image(archive, scan).object)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_saved_comes_back_to_the_bit(tmp_path, architecture):
    torch.manual_seed(0)
    scan = small_scan(modes=2)
    model = ModelConfig(architecture=architecture, gridsize=2, n_filters_scale=1, probe_scale=3.0)
    config = TrainingConfig(model=model, probe_trainable=True, output_dir=tmp_path, train_data_file="a/b.npz")
    module = PtychoPINN_Lightning(
        model, torch.from_numpy(probe_modes(scan.probe)), 13.7, probe_trainable=True
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    opened = load_model(save_model(tmp_path, module, config, None, {"seed": 3}))
    before, after = module.state_dict(), opened.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert opened.config == config
    assert opened.provenance["seed"] == 3
    assert opened.probe_trained and not opened.module.training
    assert opened.gain == pytest.approx(module.log_intensity_scale.exp().item() / 13.7)


def test_the_archive_holds_both_models_and_says_who_wrote_it(trained):
    archive = read_archive(trained())
    assert set(archive.models) == {"autoencoder", "diffraction_to_obj"}
    assert archive.backend == "pytorch"
    expected = write_weights(load_model(trained()).module.network)
    for model in archive.models.values():
        assert model.weights.keys() == expected.keys()
        assert all(np.array_equal(model.weights[name], expected[name]) for name in expected)
    assert {"torch", "lightning", "numpy", "python", "pinn-torch"} <= set(archive.provenance)


def test_the_checkpoint_inside_loads_with_weights_only(trained):
    payload = read_archive(trained()).models["diffraction_to_obj"]
    assert payload.native_name == "model.ckpt"
    checkpoint = torch.load(io.BytesIO(payload.native), weights_only=True)
    module = load_model(trained()).module
    module.load_state_dict(checkpoint["state_dict"])
    assert "optimizer_states" not in checkpoint
    for name, value in module.state_dict().items():
        assert torch.equal(checkpoint["state_dict"][name], value)


def test_file_and_folder_open_the_same_model(trained):
    first, second = (write_weights(load_model(p).module.network) for p in (trained(), trained().parent))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def _rewritten(path, archive, **changes):
    parts = {name: getattr(archive, name) for name in ("models", "params", "arrays", "backend", "provenance")}
    return write_archive(path, **(parts | changes))


def test_archives_that_hold_no_model_of_ours_are_refused(tmp_path, trained):
    archive = read_archive(trained())
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
        assert "\n" not in str(caught.value)


def test_an_archive_from_before_a_field_existed_opens_with_its_default(tmp_path, trained):
    archive = read_archive(trained())
    stored = dict(archive.params["config"])
    stored["model"] = {name: v for name, v in stored["model"].items() if "cbam" not in name}
    old = _rewritten(tmp_path, archive, params=archive.params | {"config": stored})
    opened = load_model(old)
    assert opened.config.model.cbam_encoder is False
    assert opened.config == load_model(trained()).config


def test_no_archive_and_a_damaged_archive(tmp_path, trained):
    with pytest.raises(ArchiveNotFoundError):
        load_model(tmp_path)
    whole = trained().read_bytes()
    (tmp_path / "wts.h5.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError):
        load_model(tmp_path)
