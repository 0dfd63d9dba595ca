"""The loss is the weighted sum of its parts, and every weight of it changes what is learned."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig
from pinn_config.objective import Objective
from pinn_data.errors import LabelError
from pinn_data.grouping.labels import ObjectLabels
from pinn_data.optics.probe import probe_modes
from pinn_torch.archive.model_archive import load_model
from pinn_torch.errors import RunError
from pinn_torch.model.losses import LOSSES as losses
from pinn_torch.model.module import BACKGROUND, PtychoPINN_Lightning
from pinn_torch.training.datamodule import PatternStack
from torch_scans import small_scan, small_training

# Frames 0, 1, 3, 4 are seen, 6 is predicted; 64 + 14 pixels hold them all.
_ROWS, _CANVAS = np.array([[0, 1, 3, 4, 6], [3, 4, 6, 7, 1]]), 80


def _module(objective, *, probe_scale=4.0):
    torch.manual_seed(0)
    scan = small_scan()
    model = ModelConfig(N=64, gridsize=2, architecture="unet", n_filters_scale=1, probe_scale=probe_scale)
    probe = torch.from_numpy(probe_modes(scan.probe))
    module = PtychoPINN_Lightning(model, probe, PatternStack(scan).intensity_scale, objective=objective)
    with torch.no_grad():
        for parameter in module.network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return module


def _batch():
    scan = small_scan()
    return PatternStack(scan, ObjectLabels(scan, "it")).batch(_ROWS)


def _parts(module, batch, turned):
    """Every term by itself, from the canvas: of the four seen patterns, of the unseen one, of the canvas."""
    canvas, seen = module(batch, _CANVAS)
    corners, _ = module.corners(batch)
    labels = batch["labels"] * BACKGROUND * module.model.probe_scale / 4
    if turned:
        mean = (batch["labels"][:, :4] * seen.relative_intensity).sum((1, 2, 3))
        labels = labels * torch.exp(-1j * torch.angle(mean))[:, None, None, None]
    parts = {}
    for patterns in (slice(0, 4), slice(4, 5)):
        optics = module.optics(batch, patterns, corners, _CANVAS)
        rate = optics.intensity(canvas) * module.training_intensity_scale**2
        counts = batch["amplitude"][:, patterns] ** 2 * module.training_intensity_scale**2
        cut, truth, light = optics.patches(canvas), labels[:, patterns], optics.relative_intensity
        for name, value in {
            "nll": losses.poisson_nll(rate, counts),
            "mae": losses.amplitude_mae(rate, counts),
            "amplitude_error": losses.amplitude_error(cut, truth, light),
            "phase_error": losses.phase_error(cut, truth, light),
        }.items():
            parts[name] = parts.get(name, 0) + value.item()
    for name in ("total_variation", "amplitude_variation", "phase_variation"):
        parts[name] = getattr(losses, name)(canvas, seen.coverage).item()
    for name in ("amplitude_deviation", "phase_deviation"):
        parts[name] = getattr(losses, name)(canvas, seen.coverage).item()
    return parts


# Settings, and the weights of the parts that they must come to.
_CASES = [
    ({}, {"nll": 1}),
    ({"nll_weight": 0.25, "mae_weight": 3.0}, {"nll": 0.25, "mae": 3}),
    ({"nll_weight": 0.0, "mae_weight": 2.0}, {"mae": 2}),
    ({"realspace_weight": 5.0}, {"nll": 1, "total_variation": 5}),
    (
        {"realspace_weight": 5.0, "realspace_mae_weight": 0.3},
        {"nll": 1, "total_variation": 5, "amplitude_error": 1.5, "phase_error": 1.5},
    ),
    (
        {"realspace_weight": 5.0, "realspace_mae_weight": 0.3, "phase_subtraction": False},
        {"nll": 1, "total_variation": 5, "amplitude_error": 1.5, "phase_error": 1.5},
    ),
    (
        {"amp_loss": "Total_Variation", "amp_loss_coeff": 7.0, "phase_loss": "Mean_Deviation"},
        {"nll": 1, "amplitude_variation": 7, "phase_deviation": 1},
    ),
    (
        {"amp_loss": "Mean_Deviation", "phase_loss": "Total_Variation", "phase_loss_coeff": 0.5},
        {"nll": 1, "amplitude_deviation": 1, "phase_variation": 0.5},
    ),
    ({"supervised": True}, {"amplitude_error": 2, "phase_error": 4}),
    ({"supervised": True, "phase_subtraction": False}, {"amplitude_error": 2, "phase_error": 4}),
    ({"supervised": True, "nll_weight": 3.0, "mae_weight": 9.0}, {"amplitude_error": 2, "phase_error": 4}),
    (
        {
            "supervised": True,
            "realspace_weight": 2.0,
            "realspace_mae_weight": 0.5,
            "amp_loss": "Mean_Deviation",
        },
        {"amplitude_error": 3, "phase_error": 5, "total_variation": 2, "amplitude_deviation": 1},
    ),
]


@pytest.mark.parametrize("probe_scale", [4.0, 2.0])
@pytest.mark.parametrize(("settings", "weights"), _CASES)
def test_the_loss_is_the_weighted_sum_of_its_parts(settings, weights, probe_scale):
    module, batch = _module(Objective(**settings), probe_scale=probe_scale), _batch()
    with torch.no_grad():
        terms = module.loss(batch, _CANVAS)
        parts = _parts(module, batch, settings.get("phase_subtraction", True))
    expected = sum(weight * parts[name] for name, weight in weights.items())
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-4)
    assert terms["deviance"].item() > 0 and terms["predicted_deviance"].item() > 0


@pytest.mark.parametrize(("settings", "weights"), _CASES)
def test_the_gradient_is_that_of_the_loss_and_reaches_the_network(settings, weights):
    module = _module(Objective(**settings))
    module.loss(_batch(), _CANVAS)["loss"].backward()
    gradients = [p.grad for p in module.network.parameters() if p.requires_grad]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert any(g.any() for g in gradients)
    moves = "nll" in weights or "mae" in weights
    assert module.log_intensity_scale.requires_grad == moves
    assert (module.log_intensity_scale.grad is not None) == moves


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "poisson_train_loss"),
        ({"nll_weight": 0.0, "mae_weight": 1.0}, "mae_train_loss"),
        ({"supervised": True}, "mae_train_loss"),
        ({"amp_loss": "Total_Variation"}, "poisson_train_Amp_loss"),
        (
            {"supervised": True, "amp_loss": "Mean_Deviation", "phase_loss": "Mean_Deviation"},
            "mae_train_Amp_Phase_loss",
        ),
    ],
)
def test_the_loss_has_the_name_of_its_kind(settings, name):
    module = _module(Objective(**settings))
    assert (module.train_loss_name, module.val_loss_name) == (name, name.replace("train", "val"))
    assert module.loss_name == name
    # What val_loss stands for, with a validation and without one.
    assert module.monitored(validates=True) == module.val_loss_name
    assert module.monitored(validates=False) == module.train_loss_name


_CHANGES = [
    {"nll_weight": 0.5, "mae_weight": 0.1},
    {"nll_weight": 1.0, "mae_weight": 5.0},
    {"nll_weight": 1.0, "realspace_weight": 50.0},
    {"nll_weight": 1.0, "realspace_weight": 50.0, "realspace_mae_weight": 2.0},
    {
        "nll_weight": 1.0,
        "realspace_weight": 50.0,
        "realspace_mae_weight": 2.0,
        "phase_subtraction": False,
    },
    {"amp_loss": "Total_Variation", "amp_loss_coeff": 50.0},
    {"amp_loss": "Mean_Deviation", "amp_loss_coeff": 50.0},
    {"amp_loss": "Mean_Deviation", "amp_loss_coeff": 10.0},
    {"phase_loss": "Total_Variation", "phase_loss_coeff": 50.0},
    {"phase_loss": "Mean_Deviation", "phase_loss_coeff": 50.0},
    {"phase_loss": "Mean_Deviation", "phase_loss_coeff": 10.0},
    {"model": {"model_type": "supervised"}},
    {"model": {"model_type": "supervised"}, "phase_subtraction": False},
    {"model": {"model_type": "supervised"}, "predicted_neighbors": 0},
]


def test_every_weight_changes_what_is_learned(tmp_path):
    """No two of these settings give the same weights after two steps."""
    scan = small_scan()
    turned = attrs.evolve(scan, object=scan.object * np.exp(0.7j))
    states = []
    for i, settings in enumerate([{}, *_CHANGES]):
        archive = small_training(tmp_path / str(i), turned, **settings).archive
        state = load_model(archive).module.network.state_dict()
        states.append(torch.cat([value.flatten() for value in state.values()]))
    for i, first in enumerate(states):
        assert torch.isfinite(first).all()
        for second in states[:i]:
            assert not torch.equal(first, second)


# What does not fit


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"model": {"model_type": "supervised"}}, "model_type='supervised' learns from the object"),
        (
            {"realspace_weight": 1.0, "realspace_mae_weight": 0.5},
            "realspace_mae_weight=0.5 learns from the object",
        ),
    ],
)
def test_a_scan_without_an_object_is_refused_before_anything_is_written(tmp_path, settings, why):
    scan = small_scan()
    without = attrs.evolve(scan, object=None)
    for training, validation in ((without, None), (scan, without)):
        with pytest.raises(LabelError, match=why):
            small_training(tmp_path / "out", training, validation=validation, **settings)
    assert not (tmp_path / "out").exists()
    assert small_training(tmp_path / "tv", without, realspace_weight=1.0).archive.is_file()


@pytest.mark.parametrize(
    "settings",
    [{"model": {"model_type": "supervised"}}, {"nll_weight": 0.0, "realspace_weight": 1.0}],
)
def test_a_probe_is_not_learned_without_the_diffraction(tmp_path, settings):
    with pytest.raises(RunError, match=r"probe_trainable=True .* learned from the diffraction"):
        small_training(tmp_path / "out", small_scan(), probe_trainable=True, **settings)
    assert not (tmp_path / "out").exists()
