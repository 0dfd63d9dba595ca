"""The terms of `pinn_config.objective` in NumPy, float64, one pixel or pair at a time."""

from __future__ import annotations

import numpy as np
from pinn_data.optics.forward_model import RATE_FLOOR, poisson_nll

__all__ = ["TERMS"]


def _wrapped(a):
    return np.abs((a + np.pi) % (2 * np.pi) - np.pi)


def _neighbours(difference):
    """Mean over the groups of the weighted mean over all pairs."""

    def mean(canvas, light):
        means = []
        for o, w in zip(np.asarray(canvas), np.asarray(light), strict=True):
            rows, columns = o.shape
            pairs = [((r, c), (r + 1, c)) for r in range(rows - 1) for c in range(columns)]
            pairs += [((r, c), (r, c + 1)) for r in range(rows) for c in range(columns - 1)]
            first, second = (tuple(np.transpose([pair[i] for pair in pairs])) for i in (0, 1))
            weights = np.minimum(w[first], w[second])
            means.append((weights * difference(o[first], o[second])).sum() / weights.sum())
        return np.mean(means)

    return mean


def _amplitude_deviation(canvas, light):
    o, w = np.asarray(canvas), light / light.sum((1, 2), keepdims=True)
    mean = (w * np.abs(o)).sum((1, 2), keepdims=True)
    return (w * np.abs(np.abs(o) - mean)).sum((1, 2)).mean()


def _phase_deviation(canvas, light):
    o, w = np.asarray(canvas), light / light.sum((1, 2), keepdims=True)
    middle = np.angle((w * o).sum((1, 2), keepdims=True))
    return (w * _wrapped(np.angle(o) - middle)).sum((1, 2)).mean()


def _amplitude_error(objects, labels, light):
    w = light / light.sum((1, 2, 3), keepdims=True)
    return (w * np.abs(np.abs(objects) - np.abs(labels))).sum((1, 2, 3)).mean()


def _phase_error(objects, labels, light):
    w = light / light.sum((1, 2, 3), keepdims=True)
    return (w * _wrapped(np.angle(objects) - np.angle(labels))).sum((1, 2, 3)).mean()


def _amplitude_mae(rate, counts):
    return np.abs(np.sqrt(np.maximum(rate, RATE_FLOOR)) - np.sqrt(counts)).mean()


TERMS = {
    "poisson_nll": poisson_nll,
    "amplitude_mae": _amplitude_mae,
    "amplitude_error": _amplitude_error,
    "phase_error": _phase_error,
    "total_variation": _neighbours(lambda a, b: np.abs(a - b) ** 2),
    "amplitude_variation": _neighbours(lambda a, b: np.abs(np.abs(a) - np.abs(b))),
    "phase_variation": _neighbours(lambda a, b: _wrapped(np.angle(a) - np.angle(b))),
    "amplitude_deviation": _amplitude_deviation,
    "phase_deviation": _phase_deviation,
}
"""By the names of the functions of `pinn_data.learning.loss_functions`, with their arguments."""
