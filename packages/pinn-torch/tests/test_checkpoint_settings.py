"""Every checkpoint that a training leaves says what its module is made of, and opens as that module."""

from __future__ import annotations

import zipfile
from pathlib import Path

import lightning
import numpy as np
import ptycho_torch.model
import pytest
import torch
from client_calls import run_reconstruct
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.objective import Objective
from pinn_torch.api.configs import ConfigManager
from pinn_torch.api.model import PtychoModel
from pinn_torch.archive.model_archive import load_model
from pinn_torch.errors import ModelArchiveError, RunError
from pinn_torch.model import module as ours
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.settings.checkpoint_settings import settings_in
from ptycho_torch.workflows.components import train_cdi_model
from torch_scans import ARCHITECTURES, options_of, quiet, small_scan, small_training

_CLASSES = [ours.PtychoPINN_Lightning, ptycho_torch.model.PtychoPINN_Lightning]


class _Killed(BaseException):
    pass


@pytest.fixture(scope="module", params=ARCHITECTURES)
def left(request, tmp_path_factory):
    """(checkpoints of every kind that a training leaves, the archive of the same training)"""
    folder = tmp_path_factory.mktemp(request.param)
    options = {
        "architecture": request.param,
        "gridsize": 2,
        "model": options_of(request.param) | {"probe_scale": 2.5, "probe_mask": True},
        "nepochs": 2,
        "probe_trainable": True,
        "mae_weight": 0.25,
        "amp_loss": "Mean_Deviation",
        "execution": {"enable_checkpointing": True, "checkpoint_save_top_k": -1, "accum_steps": 2},
        "learning_rate": 0.01,
    }

    def killed(self):
        if self.current_epoch == 1:
            raise _Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightning.LightningModule, "on_train_epoch_start", killed)
        with pytest.raises(_Killed):
            small_training(folder / "killed", small_scan(), **options)
    archive = small_training(folder / "whole", small_scan(), **options).archive
    with zipfile.ZipFile(archive) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".ckpt")]
        file.extract(name, folder)
    found = [*folder.glob("*/checkpoints/*.ckpt"), folder / name]
    assert len(found) == 5 and "resume.ckpt" in {path.name for path in found}
    return found, archive


@pytest.mark.parametrize("kind", _CLASSES)
def test_the_file_alone_makes_the_module(left, kind, monkeypatch):
    checkpoints, archive = left
    loads = []
    original = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *a, **k: (loads.append(k["weights_only"]), original(*a, **k))[1]
    )
    expected = load_model(archive)
    images = []
    for path in checkpoints:
        module = kind.load_from_checkpoint(path)
        stored = original(path, weights_only=True)["state_dict"]
        assert isinstance(module, kind) and not module.training
        state = module.state_dict()
        assert state.keys() == stored.keys() == expected.module.state_dict().keys()
        assert all(torch.equal(state[name], stored[name]) for name in stored)
        assert module.config.model == module.model == expected.config.model
        assert (module.execution.accum_steps, module.objective) == (2, Objective.of(expected.config))
        assert module.probe_parts.requires_grad
        assert module.training_intensity_scale == expected.module.training_intensity_scale
        images.append(state["network." + _a_weight(state)])
    assert set(loads) == {True}
    last = expected.module.state_dict()
    assert any(torch.equal(image, last["network." + _a_weight(last)]) for image in images)


def _a_weight(state) -> str:
    return next(name for name in state if name.startswith("network.")).removeprefix("network.")


def test_a_client_opens_the_checkpoint_of_a_workflow(left):
    """Through its own calls: settings out of the file, then the module, then an image."""
    path = left[0][0]
    module = ptycho_torch.model.PtychoPINN_Lightning.load_from_checkpoint(path)
    found = ConfigManager(*PtychoModel._extract_configs_from_checkpoint(str(path)))
    assert found.model() == module.model and found.plain() == module.configs.plain()
    image = run_reconstruct(path, small_scan())
    assert image.dtype == np.complex64 and np.isfinite(image).all()


def test_the_checkpoint_of_the_workflow_function_opens(tmp_path):
    config = TrainingConfig(
        ModelConfig(N=64, architecture="cnn", gridsize=1, n_filters_scale=1),
        nepochs=1,
        batch_size=6,
        n_groups=12,
        output_dir=tmp_path,
    )
    train_cdi_model(small_scan(), None, config, quiet(enable_checkpointing=True))
    (path,) = (tmp_path / "checkpoints").glob("*.ckpt")
    module = ptycho_torch.model.PtychoPINN_Lightning.load_from_checkpoint(path, weights_only=True)
    assert module.config.n_groups == 12 and module.config.output_dir == tmp_path


@settings(deadline=None, max_examples=20)
@given(
    st.builds(
        Objective,
        supervised=st.booleans(),
        nll_weight=st.sampled_from([0.0, 0.5, 1.0]),
        mae_weight=st.sampled_from([0.0, 0.25]),
        realspace_weight=st.sampled_from([0.5, 2.0]),
        phase_loss=st.sampled_from([None, "Total_Variation"]),
        phase_subtraction=st.booleans(),
    ),
    st.booleans(),
    st.sampled_from([1.0, 4.5]),
)
def test_a_module_of_no_configured_training_says_what_it_is_made_of(objective, trainable, scale):
    made = PtychoPINN_Lightning(
        ModelConfig(N=64, architecture="unrolled", gridsize=1, n_filters_scale=1),
        torch.ones((1, 64, 64), dtype=torch.complex64),
        scale,
        execution=quiet(learning_rate=0.25),
        objective=objective,
        probe_trainable=trainable and objective.looks_at_diffraction,
    )
    config, execution, stored_scale = settings_in({"hyper_parameters": made.settings()}, Path("x.ckpt"))
    again = PtychoPINN_Lightning.of(config, execution, torch.ones((1, 64, 64)), stored_scale)
    assert (again.objective, again.execution) == (objective, made.execution)
    assert again.training_intensity_scale == scale
    assert {n: p.requires_grad for n, p in again.named_parameters()} == {
        n: p.requires_grad for n, p in made.named_parameters()
    }


def test_what_is_no_checkpoint_of_ours_is_refused_in_one_sentence(tmp_path, left):
    for kind in _CLASSES:
        with pytest.raises(RunError, match="weights_only=False was given"):
            kind.load_from_checkpoint(left[0][0], weights_only=False)
        with pytest.raises(FileNotFoundError, match="there is no checkpoint at"):
            kind.load_from_checkpoint(tmp_path / "absent.ckpt")
        stored = torch.load(left[0][0], weights_only=True)
        del stored["hyper_parameters"]
        torch.save(stored, tmp_path / "bare.ckpt")
        with pytest.raises(ModelArchiveError, match="without the settings of its network: choose one"):
            kind.load_from_checkpoint(tmp_path / "bare.ckpt")
