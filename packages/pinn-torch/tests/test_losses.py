"""The losses are the numbers of the NumPy oracle."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.forward_model import RATE_FLOOR
from pinn_data.forward_model import poisson_nll as oracle
from pinn_torch.losses import amplitude_mae, poisson_deviance, poisson_nll

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from([1e-3, 0.1, 1.0, 30.0, 1e4])


def _draw(seed, scale):
    rng = np.random.default_rng(seed)
    rate = rng.exponential(scale, size=(2, 3, 8, 8))
    return rate, rng.poisson(rng.exponential(scale, size=rate.shape)).astype(np.float64)


@given(SEEDS, SCALES)
def test_poisson_nll_equals_the_numpy_oracle(seed, scale):
    rate, counts = _draw(seed, scale)
    ours = poisson_nll(torch.from_numpy(rate), torch.from_numpy(counts)).item()
    np.testing.assert_allclose(ours, oracle(rate, counts), rtol=1e-10, atol=1e-10)
    single = poisson_nll(torch.from_numpy(rate).float(), torch.from_numpy(counts).float()).item()
    np.testing.assert_allclose(single, oracle(rate, counts), rtol=2e-5, atol=1e-4)


@given(SEEDS, SCALES)
def test_deviance_is_zero_on_equal_and_positive_otherwise(seed, scale):
    _, counts = _draw(seed, scale)
    k = torch.from_numpy(counts).float()
    assert poisson_deviance(k, k).item() == 0
    assert poisson_deviance(1.5 * k + 0.1, k).item() > 0


@given(SEEDS, SCALES)
def test_nll_and_deviance_have_the_same_gradient(seed, scale):
    rate, counts = (torch.from_numpy(a) for a in _draw(seed, scale))
    rate.requires_grad_()
    (a,) = torch.autograd.grad(poisson_nll(rate, counts), rate)
    (b,) = torch.autograd.grad(poisson_deviance(rate, counts), rate)
    torch.testing.assert_close(a, b)
    above = rate.detach() > RATE_FLOOR
    expected = (1 - counts / rate.detach()) / rate.numel()
    torch.testing.assert_close(a[above], expected[above], rtol=1e-9, atol=1e-12)


def test_gradients_are_finite_where_nothing_is_predicted_or_counted():
    rate = torch.tensor([0.0, 0.0, 1e-30, 3e4, 1e9], requires_grad=True)
    counts = torch.tensor([0.0, 7.0, 0.0, 0.0, 3.0])
    (poisson_nll(rate, counts) + amplitude_mae(rate, counts)).backward()
    assert torch.isfinite(rate.grad).all()


def test_amplitude_mae_is_the_mean_difference_of_square_roots():
    rate, counts = torch.tensor([[4.0, 9.0]]), torch.tensor([[1.0, 25.0]])
    assert amplitude_mae(rate, counts).item() == 1.5
