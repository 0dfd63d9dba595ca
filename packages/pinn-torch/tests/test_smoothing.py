"""The smoothing of exit waves: the NumPy oracle's, and its exact adjoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.optics import smoothing as oracle
from pinn_torch.archive.model_archive import load_model
from pinn_torch.optics.smoothing import smoothed, smoothed_back
from torch_scans import network_image, noise_free, small_scan, small_training

SEEDS, SIGMAS = st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.8, 2.5])
SHAPES = st.sampled_from([(2, 3, 5, 8), (6, 4), (1, 2, 2)])


def _waves(seed, shape):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=shape) + 1j * rng.normal(size=shape))


@given(SEEDS, SHAPES, SIGMAS)
def test_it_is_the_numpy_oracles(seed, shape, sigma):
    waves = _waves(seed, shape)
    before = waves.clone()
    np.testing.assert_allclose(smoothed(waves, sigma).numpy(), oracle.smoothed(waves, sigma), atol=1e-13)
    assert torch.equal(waves, before)


@given(SEEDS, SHAPES, SIGMAS)
def test_the_way_back_is_the_adjoint(seed, shape, sigma):
    a, b = _waves(seed, shape), _waves(seed + 1, shape)
    there = torch.vdot(smoothed(a, sigma).flatten(), b.flatten())
    back = torch.vdot(a.flatten(), smoothed_back(b, sigma).flatten())
    torch.testing.assert_close(there, back, rtol=1e-12, atol=1e-12)


@given(SEEDS, SHAPES, SIGMAS)
def test_autograd_goes_the_same_way_back(seed, shape, sigma):
    a, b = _waves(seed, shape).requires_grad_(), _waves(seed + 1, shape)
    (gradient,) = torch.autograd.grad((smoothed(a, sigma) * b.conj()).real.sum(), a)
    torch.testing.assert_close(gradient, smoothed_back(b, sigma), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("architecture", ["cnn", "unet", "unrolled"])
def test_a_smoothing_is_kept_with_the_model_and_changes_what_it_learns(tmp_path, architecture):
    scan = small_scan(modes=2)
    kept = [
        load_model(
            small_training(
                tmp_path / str(sigma),
                scan,
                architecture=architecture,
                model={"gaussian_smoothing_sigma": sigma},
            ).archive
        )
        for sigma in (0.0, 0.7)
    ]
    assert [k.config.model.gaussian_smoothing_sigma for k in kept] == [0.0, 0.7]
    first, second = (k.module.network.state_dict() for k in kept)
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_reconstruction_predicts_with_the_smoothing_of_its_model(tmp_path):
    """Patterns of smoothed waves are explained by a model that smooths, and less well by one that does
    not."""
    sigma = 0.6
    scan = noise_free(small_scan(), smoothing_sigma=sigma)
    results = {}
    for kept in (0.0, sigma):
        archive = small_training(
            tmp_path / str(kept),
            scan,
            architecture="unrolled",
            model={"gaussian_smoothing_sigma": kept},
            learning_rate=1e-6,
        ).archive
        results[kept] = network_image(archive, scan)
    result = results[sigma]
    assert result.smoothing_sigma == sigma
    assert result.residual < 0.06 < results[0.0].residual
    predicted = np.stack([result.predict_amplitude(i) for i in range(len(scan))])
    difference = np.sqrt(np.sum((predicted - scan.amplitude()) ** 2) / np.sum(scan.amplitude() ** 2.0))
    assert result.residual == pytest.approx(difference, rel=1e-3)
