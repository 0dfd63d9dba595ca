"""The loss functions with NumPy's operations: the oracle's numbers, and what leaves each of them as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.learning.loss_functions import LossFunctions
from pinn_data.optics.forward_model import poisson_nll
from scipy.special import xlogy

# Counts of 0 are divided by the smallest number, and the quotient then counts nothing.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

SEEDS = st.integers(0, 2**32 - 1)


class _Numpy:
    real, imag, mean, ones_like = map(staticmethod, (np.real, np.imag, np.mean, np.ones_like))
    where = staticmethod(np.where)
    conj, weighted, abs, sqrt, xlogy = np.conj, np.multiply, np.abs, np.sqrt, xlogy
    arctan2, at_least, smaller = np.arctan2, np.maximum, np.minimum

    def unit(self, z):
        return np.divide(z, np.abs(z), out=np.zeros_like(z), where=z != 0)

    def sum(self, values, axes=None, *, keep=False):
        return np.sum(values, axis=axes, keepdims=keep)

    def flat(self, values):
        return values.reshape(len(values), -1)

    def join(self, parts):
        return np.concatenate(parts, 1)

    def tiny(self, x):
        return np.finfo(x.dtype).tiny


LOSSES = LossFunctions(_Numpy())
OF_CANVASES = [f"{kind}_{what}" for kind in ("amplitude", "phase") for what in ("variation", "deviation")] + [
    "total_variation"
]


def _draw(seed, groups=3):
    rng = np.random.default_rng(seed)
    canvas = rng.normal(size=(groups, 9, 9)) + 1j * rng.normal(size=(groups, 9, 9))
    return canvas, rng.uniform(0.1, 1, size=canvas.shape)


@given(SEEDS, st.sampled_from([0.1, 1.0, 1e4]))
def test_the_likelihood_is_the_oracles_and_least_where_rates_are_counts(seed, scale):
    rng = np.random.default_rng(seed)
    rate, mean = rng.exponential(scale, size=(2, 2, 3, 8, 8))
    counts = rng.poisson(mean).astype(float)
    assert LOSSES.poisson_nll(rate, counts) == pytest.approx(poisson_nll(rate, counts), rel=1e-9, abs=1e-9)
    assert LOSSES.poisson_deviance(rate, counts) > 0
    assert LOSSES.poisson_deviance(counts, counts) == pytest.approx(0, abs=1e-6)


@given(SEEDS)
def test_what_was_not_measured_has_no_say(seed):
    rng = np.random.default_rng(seed)
    rate, counts = rng.exponential(3, size=(2, 4, 6, 6))
    measured = (rng.random(rate.shape) > 0.3).astype(float)
    other = np.where(measured > 0, rate, 1e6)
    for name in ("poisson_nll", "poisson_deviance", "amplitude_mae", "saturated_nll"):
        arguments = (counts,) if name == "saturated_nll" else (rate, counts)
        changed = (counts,) if name == "saturated_nll" else (other, counts)
        function = getattr(LOSSES, name)
        assert function(*arguments, measured) == pytest.approx(function(*changed, measured), rel=1e-12)


@given(SEEDS, st.sampled_from(OF_CANVASES), st.floats(0, 6.3))
def test_a_global_phase_and_the_order_of_groups_change_nothing(seed, name, phase):
    canvas, light = _draw(seed)
    term = getattr(LOSSES, name)
    assert term(canvas * np.exp(1j * phase), light) == pytest.approx(term(canvas, light), rel=1e-9)
    one_by_one = [term(canvas[i : i + 1], light[i : i + 1]) for i in range(len(canvas))]
    assert term(canvas[::-1], light[::-1]) == pytest.approx(np.mean(one_by_one), rel=1e-9)


@given(SEEDS)
def test_labels_turned_by_their_mean_phase_have_none(seed):
    canvas, light = _draw(seed)
    labels, weights = canvas[:, None], light[:, None]
    turned = labels * LOSSES.without_mean_phase(labels, weights)
    assert np.abs(np.angle((turned * weights).sum((1, 2, 3)))).max() < 1e-9
    assert LOSSES.phase_error(labels, labels, weights) == pytest.approx(0, abs=1e-9)
    assert LOSSES.phase_error(labels * np.exp(0.5j), labels, weights) == pytest.approx(0.5)
    assert LOSSES.amplitude_error(2 * labels, labels, weights) == pytest.approx(
        LOSSES.amplitude_error(labels, 0 * labels, weights)
    )
