"""How many photons the likelihood takes: the measured ones of counts, else those of the configuration."""

from __future__ import annotations

import logging

import attrs
import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_torch.archive.model_archive import load_model
from pinn_torch.training.datamodule import PatternStack, ScanDataModule
from torch_scans import network_image, noise_free, quiet, small_scan, small_training


def _scan(kind):
    scan = small_scan()
    if kind == "counts":
        return scan
    if kind == "sqrt of counts":  # what our own NPZ files hold
        return attrs.evolve(scan, diffraction=scan.amplitude(), unit="amplitude")
    if kind == "amplitude":
        return attrs.evolve(scan, diffraction=0.013 * scan.amplitude(), unit="amplitude")
    return noise_free(scan)


def _photons_learned(scan, **settings):
    """Photons of a mean pattern as the likelihood of a training on this scan sees it."""
    config = TrainingConfig(ModelConfig(N=64), **settings)
    data = ScanDataModule(scan, config, quiet())
    batch = data.stack.batch(np.arange(len(scan))[:, None])
    energy = (batch["amplitude"].double() ** 2).sum((-2, -1)).mean().item()
    return energy * data.stack.intensity_scale**2


@pytest.mark.parametrize("kind", ["counts", "sqrt of counts"])
@pytest.mark.parametrize("nphotons", [1e9, 1e5, 3e3])
def test_counts_are_measured_in_every_unit(kind, nphotons):
    assert _photons_learned(_scan(kind), nphotons=nphotons) == pytest.approx(small_scan().nphotons, rel=1e-5)


@pytest.mark.parametrize("kind", ["amplitude", "intensity"])
@pytest.mark.parametrize("nphotons", [1e9, 3e3])
def test_what_is_no_count_has_the_photons_of_the_configuration(kind, nphotons):
    scan = _scan(kind)
    assert _photons_learned(scan, nphotons=nphotons) == pytest.approx(nphotons, rel=1e-5)
    assert PatternStack(scan).intensity_scale == pytest.approx(np.sqrt(scan.nphotons) / 32)


@pytest.mark.parametrize(
    ("nphotons", "warns"), [(1e9, False), (1e5, False), (1.9e5, False), (2.2e5, True), (4e4, True)]
)
def test_a_number_that_disagrees_with_the_counts_is_reported(caplog, nphotons, warns):
    """But not the default, which nobody chose."""
    with caplog.at_level(logging.INFO):
        _photons_learned(_scan("counts"), nphotons=nphotons)
    said = [r.getMessage() for r in caplog.records if "nphotons" in r.getMessage()]
    assert bool(said) == warns
    if warns:
        assert f"nphotons={nphotons:g} was given, but the patterns hold" in said[0]
        assert {r.levelname for r in caplog.records if "nphotons" in r.getMessage()} == {"WARNING"}


def test_the_number_that_is_taken_is_said_where_there_are_no_counts(caplog):
    with caplog.at_level(logging.INFO):
        _photons_learned(_scan("amplitude"), nphotons=2e6)
    said = [r for r in caplog.records if "nphotons=2e+06 photons" in r.getMessage()]
    assert [r.levelname for r in said] == ["INFO"]


def test_it_changes_what_is_learned_of_amplitudes_and_never_of_counts(tmp_path):
    weights = {}
    for kind in ("amplitude", "counts"):
        for nphotons in (1e4, 1e9):
            result = small_training(tmp_path / f"{kind}{nphotons}", _scan(kind), nphotons=nphotons)
            opened = load_model(result.archive)
            weights[kind, nphotons] = opened.module.network.state_dict()
            taken = nphotons if kind == "amplitude" else small_scan().nphotons
            assert opened.provenance["training_photons_per_frame"] == pytest.approx(taken)
    same = [
        all(torch.equal(weights[kind, 1e4][name], w) for name, w in weights[kind, 1e9].items())
        for kind in ("amplitude", "counts")
    ]
    assert same == [False, True]


def test_the_object_is_in_the_unit_of_the_patterns_whatever_number_was_taken(tmp_path):
    """Scaled amplitudes give the image of the counts, scaled; photons only weigh the likelihood."""
    settings = {"architecture": "unrolled", "learning_rate": 1e-6}
    images = {
        nphotons: network_image(
            small_training(
                tmp_path / str(nphotons), _scan("amplitude"), nphotons=nphotons, **settings
            ).archive,
            _scan("amplitude"),
        )
        for nphotons in (1e5, 1e9)
    }
    counted = network_image(small_training(tmp_path / "c", small_scan(), **settings).archive, small_scan())
    scale = np.abs(counted.object).max()
    for image in images.values():
        np.testing.assert_allclose(image.object / 0.013, counted.object, atol=2e-3 * scale)
        assert image.residual == pytest.approx(counted.residual, rel=1e-2)
