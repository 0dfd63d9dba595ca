"""Probe and intensity scale are state of a model: they move if declared, are saved, and are its own."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig
from pinn_data.optics.forward_model import residual
from pinn_data.optics.probe import normalised_probe, probe_modes
from pinn_torch.archive.model_archive import load_model
from pinn_torch.model.module import PtychoPINN_Lightning
from torch_scans import network_image, noise_free, small_scan, small_training

DECLARED = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.parametrize("probe_mask", [False, True])
@pytest.mark.parametrize(("probe", "scale"), DECLARED)
def test_what_moved_is_saved_and_used_and_what_did_not_is_that_of_the_scan(
    tmp_path, probe, scale, probe_mask
):
    scan = small_scan(modes=2)
    archive = small_training(
        tmp_path,
        scan,
        architecture="unrolled",
        gridsize=2,
        nepochs=3,
        probe_trainable=probe,
        intensity_scale_trainable=scale,
        model={"probe_mask": probe_mask},
    ).archive
    first, second = load_model(archive), load_model(archive)
    trained = torch.view_as_complex(first.module.probe_parts.detach())
    assert torch.equal(trained, torch.view_as_complex(second.module.probe_parts.detach()))
    start = torch.from_numpy(normalised_probe(probe_modes(scan.probe), 64, 4.0))
    moved = (trained - start).abs().amax((1, 2)) > 0
    assert moved.tolist() == [probe, probe]  # every mode
    assert (first.gain != pytest.approx(1.0, abs=1e-7)) == scale
    image = network_image(archive, scan)
    expected = first.module.probe.detach().numpy() if probe else scan.probe
    if probe_mask and not probe:
        expected = expected * (first.module.probe.detach().abs().numpy() > 0)
    np.testing.assert_allclose(image.probe, expected, rtol=1e-6)
    predicted = np.stack([image.predict_amplitude(i) for i in range(len(scan))])
    assert image.residual == pytest.approx(residual(predicted, scan.amplitude()), rel=1e-3)


def test_a_wrong_probe_is_mended_when_it_is_trained(tmp_path):
    """A guess that is too bright on one side explains the patterns less well than what is made of it."""
    scan = noise_free(small_scan(rows=5, columns=4))
    side = 1 + 0.6 * np.tanh((np.arange(64) - 32) / 6)
    guess = attrs.evolve(scan, probe=scan.probe * side)
    settings = {"learning_rate": 0.01, "nepochs": 10, "nphotons": 1e5, "n_groups": 20}
    misfits = []
    for trainable in (False, True):
        rows = small_training(
            tmp_path / str(trainable),
            guess,
            architecture="unrolled",
            probe_trainable=trainable,
            **settings,
        ).history[-4:]
        misfits.append(sum(row["train_deviance"] + row["train_predicted_deviance"] for row in rows))
    assert misfits[1] < 0.7 * misfits[0]


def test_models_in_one_process_share_nothing(tmp_path):
    scan = small_scan()
    other = attrs.evolve(scan, probe=scan.probe.conj(), diffraction=4 * scan.diffraction)
    settings = {"architecture": "unrolled", "probe_trainable": True}
    first = small_training(tmp_path / "a", scan, **settings).archive
    alone = {name: value.clone() for name, value in load_model(first).module.state_dict().items()}
    here = network_image(first, scan).object
    opened = load_model(first)
    second = small_training(tmp_path / "b", other, **settings).archive
    small_training(tmp_path / "c", scan, **settings)
    network_image(second, other)
    assert all(torch.equal(value, alone[name]) for name, value in opened.module.state_dict().items())
    np.testing.assert_array_equal(network_image(first, scan).object, here)
    again, third = (load_model(tmp_path / name).module.state_dict() for name in ("a", "c"))
    assert all(torch.equal(again[name], alone[name]) for name in alone)
    assert all(torch.equal(third[name], alone[name]) for name in alone)  # whatever was trained in between
    different = load_model(second).module.state_dict()
    assert not torch.equal(different["probe_parts"], alone["probe_parts"])
    assert not torch.equal(different["log_intensity_scale"], alone["log_intensity_scale"])


def test_two_modules_hold_their_own_probe():
    probe = torch.from_numpy(probe_modes(small_scan().probe))
    model = ModelConfig(N=64, architecture="unrolled", n_filters_scale=1)
    first, second = (PtychoPINN_Lightning(model, probe, 5.0) for _ in range(2))
    with torch.no_grad():
        first.probe_parts.mul_(2)
        first.log_intensity_scale.add_(1)
    assert torch.equal(2 * second.probe_parts, first.probe_parts)
    assert second.log_intensity_scale.exp().item() == pytest.approx(5.0)
    assert torch.equal(probe, torch.from_numpy(probe_modes(small_scan().probe)))


@pytest.mark.parametrize(("probe", "scale"), DECLARED)
def test_gradients_reach_only_what_is_declared(probe, scale):
    from pinn_torch.training.datamodule import PatternStack

    scan = small_scan(modes=2)
    model = ModelConfig(N=64, architecture="cnn", n_filters_scale=1)
    module = PtychoPINN_Lightning(
        model,
        torch.from_numpy(probe_modes(scan.probe)),
        PatternStack(scan).intensity_scale,
        probe_trainable=probe,
        intensity_scale_trainable=scale,
    )
    module.loss(PatternStack(scan).batch(np.array([[0], [5]])), 64)["loss"].backward()
    assert (module.probe_parts.grad is not None) == probe
    assert (module.log_intensity_scale.grad is not None) == scale
    if probe:
        assert all(mode.any() for mode in module.probe_parts.grad)
