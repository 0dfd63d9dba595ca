"""The losses are the numbers of the NumPy oracle, written here a second time where it has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.optics.forward_model import RATE_FLOOR
from pinn_data.optics.forward_model import poisson_nll as oracle
from pinn_torch.model.losses import LOSSES

amplitude_deviation = LOSSES.amplitude_deviation
amplitude_error = LOSSES.amplitude_error
amplitude_mae = LOSSES.amplitude_mae
amplitude_variation = LOSSES.amplitude_variation
phase_deviation = LOSSES.phase_deviation
phase_error = LOSSES.phase_error
phase_variation = LOSSES.phase_variation
poisson_deviance = LOSSES.poisson_deviance
poisson_nll = LOSSES.poisson_nll
total_variation = LOSSES.total_variation
without_mean_phase = LOSSES.without_mean_phase

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


# Of objects


def _objects(seed, shape, dtype=torch.complex128):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return torch.from_numpy(values).to(dtype), torch.from_numpy(rng.uniform(0, 1, shape) ** 4)


def _wrapped(a):
    return np.abs((a + np.pi) % (2 * np.pi) - np.pi)


def _neighbours(canvas, light, difference):
    """Mean over the groups of the weighted mean over all pairs, one pair at a time."""
    means = []
    for o, w in zip(canvas.numpy(), light.numpy(), strict=True):
        rows, columns = o.shape
        pairs = [((r, c), (r + 1, c)) for r in range(rows - 1) for c in range(columns)]
        pairs += [((r, c), (r, c + 1)) for r in range(rows) for c in range(columns - 1)]
        weights = np.array([min(w[a], w[b]) for a, b in pairs])
        values = np.array([difference(o[a], o[b]) for a, b in pairs])
        means.append((weights * values).sum() / weights.sum())
    return np.mean(means)


@pytest.mark.parametrize(
    ("ours", "difference"),
    [
        (total_variation, lambda a, b: abs(a - b) ** 2),
        (amplitude_variation, lambda a, b: abs(abs(a) - abs(b))),
        (phase_variation, lambda a, b: _wrapped(np.angle(a) - np.angle(b))),
    ],
)
@given(seed=SEEDS)
def test_variations_are_means_over_pairs_of_neighbours(ours, difference, seed):
    canvas, light = _objects(seed, (2, 5, 6))
    np.testing.assert_allclose(ours(canvas, light), _neighbours(canvas, light, difference), rtol=1e-9)


@given(SEEDS)
def test_deviations_are_those_from_the_mean_of_each_group(seed):
    canvas, light = _objects(seed, (3, 5, 4))
    o, w = canvas.numpy(), light.numpy()
    w = w / w.sum((1, 2), keepdims=True)
    mean = (w * np.abs(o)).sum((1, 2), keepdims=True)
    amplitude = (w * np.abs(np.abs(o) - mean)).sum((1, 2)).mean()
    np.testing.assert_allclose(amplitude_deviation(canvas, light), amplitude, rtol=1e-9)
    middle = np.angle((w * o).sum((1, 2), keepdims=True))
    phase = (w * _wrapped(np.angle(o) - middle)).sum((1, 2)).mean()
    np.testing.assert_allclose(phase_deviation(canvas, light), phase, rtol=1e-9)


@given(SEEDS)
def test_errors_are_means_over_lit_pixels(seed):
    objects, light = _objects(seed, (2, 3, 4, 4))
    labels, _ = _objects(seed + 1, (2, 3, 4, 4))
    w = light.numpy() / light.numpy().sum((1, 2, 3), keepdims=True)
    o, t = objects.numpy(), labels.numpy()
    amplitude = (w * np.abs(np.abs(o) - np.abs(t))).sum((1, 2, 3)).mean()
    phase = (w * _wrapped(np.angle(o) - np.angle(t))).sum((1, 2, 3)).mean()
    np.testing.assert_allclose(amplitude_error(objects, labels, light), amplitude, rtol=1e-9)
    np.testing.assert_allclose(phase_error(objects, labels, light), phase, rtol=1e-9)
    assert amplitude_error(labels, labels, light) == 0
    assert phase_error(labels, labels, light) == pytest.approx(0, abs=1e-12)


@given(SEEDS, st.floats(-9, 9))
def test_what_is_dark_does_not_count_and_a_global_phase_counts_only_against_labels(seed, angle):
    objects, light = _objects(seed, (1, 2, 4, 4))
    labels, _ = _objects(seed + 1, (1, 2, 4, 4))
    light[..., 1:] = 0
    other = objects.clone()
    other[..., 1:] *= 3j
    for error in (amplitude_error, phase_error):
        torch.testing.assert_close(error(other, labels, light), error(objects, labels, light))
    turned, canvas, of_pixel = objects * np.exp(1j * angle), objects[0], light[0] + 0.1
    for term in (total_variation, amplitude_variation, phase_variation, amplitude_deviation, phase_deviation):
        torch.testing.assert_close(term(turned[0], of_pixel), term(canvas, of_pixel))
    both = phase_error(turned, labels * np.exp(1j * angle), light)
    torch.testing.assert_close(both, phase_error(objects, labels, light))


@given(SEEDS, st.floats(-9, 9))
def test_without_their_mean_phase_labels_that_differ_by_a_phase_are_the_same(seed, angle):
    labels, light = _objects(seed, (3, 2, 4, 4))
    turned = labels * torch.tensor([1, np.exp(1j * angle), 1j])[:, None, None, None]
    first, second = (x * without_mean_phase(x, light) for x in (labels, turned))
    torch.testing.assert_close(second, first)
    torch.testing.assert_close(first.abs(), labels.abs())
    total = (first * light).sum((1, 2, 3))
    assert (total.real > 0).all() and torch.allclose(total.imag, torch.zeros(3, dtype=torch.float64))


@given(SEEDS)
def test_groups_together_are_the_mean_of_groups_one_by_one(seed):
    canvas, light = _objects(seed, (3, 5, 5))
    for term in (total_variation, amplitude_variation, phase_variation, amplitude_deviation, phase_deviation):
        alone = torch.stack([term(canvas[[g]], light[[g]]) for g in range(3)]).mean()
        torch.testing.assert_close(term(canvas, light), alone)
    objects, labels = canvas[:, None], canvas.flip(0)[:, None]
    for error in (amplitude_error, phase_error):
        alone = torch.stack([error(objects[[g]], labels[[g]], light[[g], None]) for g in range(3)]).mean()
        torch.testing.assert_close(error(objects, labels, light[:, None]), alone)


def test_what_is_dark_has_the_phase_0_and_no_phase_to_learn():
    """The derivative of a phase by its object is 1 / abs(object): at the edge of darkness it must end."""
    objects = torch.tensor([0, 1e-6j, 1e-3j, 1j], dtype=torch.complex64).reshape(4, 1, 1, 1).requires_grad_()
    labels = torch.full((1, 1, 1), np.exp(2j), dtype=torch.complex64)
    light = torch.ones(1, 1, 1)
    errors = torch.stack([phase_error(o[None], labels[None], light[None]) for o in objects])
    torch.testing.assert_close(errors, torch.tensor([2.0, 2.0, 2 - np.pi / 2, 2 - np.pi / 2]))
    (gradient,) = torch.autograd.grad(errors.sum(), objects)
    torch.testing.assert_close(gradient.abs().flatten(), torch.tensor([0.0, 0.0, 1e3, 1.0]))


def test_gradients_are_finite_where_an_object_or_a_label_is_dark():
    values = [0, 0, 1e-30, 1 + 1j, 1e-20j, -1]
    canvas = torch.tensor(values, dtype=torch.complex64).reshape(1, 2, 3).requires_grad_()
    labels = torch.tensor([1j, 0, 1, 0, 2, 1e-30], dtype=torch.complex64).reshape(1, 1, 2, 3)
    for light in (torch.ones(1, 2, 3), torch.zeros(1, 2, 3)):
        parts = [amplitude_error(canvas[:, None], labels, light[:, None])]
        parts += [phase_error(canvas[:, None], labels, light[:, None]), total_variation(canvas, light)]
        parts += [amplitude_variation(canvas, light), phase_variation(canvas, light)]
        parts += [amplitude_deviation(canvas, light), phase_deviation(canvas, light)]
        (gradient,) = torch.autograd.grad(sum(parts), canvas)
        assert torch.isfinite(torch.view_as_real(gradient)).all()
        assert all(torch.isfinite(p) for p in parts)


@given(SEEDS, SCALES)
def test_pixels_that_were_not_measured_do_not_enter(seed, scale):
    """A mean over the measured pixels: that of those pixels alone, whatever lies under the others."""
    rate, counts = _draw(seed, scale)
    measured = np.random.default_rng(seed).random(rate.shape) > 0.3
    flags = torch.from_numpy(measured.astype(np.float64))
    others = torch.from_numpy(np.where(measured, counts, 12345.0))
    alone = torch.from_numpy(rate[measured]), torch.from_numpy(counts[measured])
    for term in (poisson_nll, poisson_deviance, amplitude_mae):
        ours = term(torch.from_numpy(rate), others, flags)
        torch.testing.assert_close(ours, term(*alone), rtol=1e-9, atol=1e-9)
