"""The terms of `pinn_config.objective`.

Between predicted and measured patterns: means over all pixels that were measured, the same numbers as in
every other backend. `measured` is 1 there and 0 elsewhere, in the shape of the counts; None: everywhere.
Of objects: means over pixels by how brightly they are lit, one for each group, and then over the groups, so
that groups together equal groups one by one. A global phase changes only what compares phases with labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from pinn_data.optics.forward_model import RATE_FLOOR

__all__ = [
    "amplitude_deviation",
    "amplitude_error",
    "amplitude_mae",
    "amplitude_variation",
    "phase_deviation",
    "phase_error",
    "phase_variation",
    "poisson_deviance",
    "poisson_nll",
    "saturated_nll",
    "total_variation",
    "without_mean_phase",
]

# Squared modulus, in network units, below which an object has no phase: its derivative would be without
# bound. There the phase counts as 0.
_DARK = 1e-8


def poisson_nll(rate: tf.Tensor, counts: tf.Tensor, measured: tf.Tensor | None = None) -> tf.Tensor:
    """Mean of ``rate - counts * log(max(rate, RATE_FLOOR))``: the Poisson negative log-likelihood without
    ``log(counts!)``.

    The number of `pinn_data.optics.forward_model.poisson_nll`, of the same shapes: photons in a pixel. It is
    worked out as half the deviance plus a constant of the data, which keeps float32 exact where counts are
    large.
    """
    return poisson_deviance(rate, counts, measured) + saturated_nll(counts, measured)


def saturated_nll(counts: tf.Tensor, measured: tf.Tensor | None = None) -> tf.Tensor:
    """`poisson_nll` of rates that equal the counts: what no prediction can go below."""
    return _over_pixels(counts - tf.math.xlogy(counts, counts), measured)


def poisson_deviance(rate: tf.Tensor, counts: tf.Tensor, measured: tf.Tensor | None = None) -> tf.Tensor:
    """Mean of ``rate - counts - counts * log(rate / counts)``, half the deviance: 0 for a perfect fit, about
    1/2 where noise is all that is left of large counts."""
    ratio = tf.maximum(rate, RATE_FLOOR) / tf.maximum(counts, _tiny(counts))
    return _over_pixels(rate - counts - tf.math.xlogy(counts, ratio), measured)


def amplitude_mae(rate: tf.Tensor, counts: tf.Tensor, measured: tf.Tensor | None = None) -> tf.Tensor:
    """Mean absolute difference of the amplitudes, in sqrt(photons)."""
    return _over_pixels(tf.abs(tf.sqrt(tf.maximum(rate, RATE_FLOOR)) - tf.sqrt(counts)), measured)


def _over_pixels(values: tf.Tensor, measured: tf.Tensor | None) -> tf.Tensor:
    """Their mean over the measured pixels."""
    if measured is None:
        return tf.reduce_mean(values)
    return tf.reduce_sum(values * measured) / tf.maximum(tf.reduce_sum(measured), 1.0)


def amplitude_error(objects: tf.Tensor, labels: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Mean of ``abs(abs(objects) - abs(labels))``.

    objects, labels : (group, pattern, N, N) complex; light : (group, pattern, N, N), the weight of a pixel
    """
    return _mean(tf.abs(tf.abs(objects) - tf.abs(labels)), light)


def phase_error(objects: tf.Tensor, labels: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of the phases, 0 to pi, the shorter way round; shapes as `amplitude_error`.

    A dark pixel of the objects has the phase 0; one of the labels has none, and no error.
    """
    turned_back = tf.math.conj(tf.sign(labels))
    dark = _squared(objects) < _DARK
    return _mean(tf.abs(_angle(tf.where(dark, turned_back, objects * turned_back))), light)


def without_mean_phase(labels: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Unit factors (group, 1, 1, 1) that turn each group's labels to a mean phase of 0; shapes as
    `amplitude_error`.

    The mean is that of the circle, weighted with light and amplitude: ``sum light * labels`` becomes real.
    """
    total = tf.reduce_sum(labels * tf.cast(light, labels.dtype), (1, 2, 3), keepdims=True)
    return tf.math.conj(tf.sign(total))


def total_variation(canvas: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Mean of ``abs(a - b)**2`` over neighbouring pixels a and b.

    canvas : (group, M, M) complex
    light : (group, M, M), the weight of a pixel; a pair has that of its darker one
    """
    return _of_neighbours(canvas, light, lambda a, b: _squared(a - b))


def amplitude_variation(canvas: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Mean of ``abs(abs(a) - abs(b))`` over neighbouring pixels; shapes as `total_variation`."""
    return _of_neighbours(tf.abs(canvas), light, lambda a, b: tf.abs(a - b))


def phase_variation(canvas: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of the phases of neighbouring pixels, the shorter way round; shapes as
    `total_variation`."""
    return _of_neighbours(canvas, light, lambda a, b: tf.abs(_angle(a * tf.math.conj(b))))


def amplitude_deviation(canvas: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Mean of ``abs(abs(canvas) - mean)``, with the mean of each group; shapes as `total_variation`."""
    amplitude = tf.abs(canvas)
    mean = tf.reduce_sum(amplitude * light, (1, 2)) / _total(light)
    return _mean(tf.abs(amplitude - mean[:, None, None]), light)


def phase_deviation(canvas: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference from the mean phase of each group, that of ``sum light * canvas``; shapes as
    `total_variation`."""
    mean = tf.sign(tf.reduce_sum(canvas * tf.cast(light, canvas.dtype), (1, 2), keepdims=True))
    return _mean(tf.abs(_angle(canvas * tf.math.conj(mean))), light)


def _tiny(x: tf.Tensor) -> float:
    return float(np.finfo(x.dtype.as_numpy_dtype).tiny)


def _squared(z: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.math.real(z)) + tf.square(tf.math.imag(z))


def _angle(z: tf.Tensor) -> tf.Tensor:
    """-pi to pi; 0, with a derivative of 0, where z is dark."""
    z = tf.where(_squared(z) < _DARK**2, tf.ones_like(z), z)
    return tf.atan2(tf.math.imag(z), tf.math.real(z))


def _per_group(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(x, tuple(range(1, x.shape.rank)))


def _total(light: tf.Tensor) -> tf.Tensor:
    return tf.maximum(_per_group(light), _tiny(light))


def _mean(values: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(_per_group(values * light) / _total(light))


def _of_neighbours(
    canvas: tf.Tensor, light: tf.Tensor, difference: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    # Below one another, and side by side.
    pairs = [(canvas[:, :-1], canvas[:, 1:]), (canvas[..., :-1], canvas[..., 1:])]
    lights = [tf.minimum(light[:, :-1], light[:, 1:]), tf.minimum(light[..., :-1], light[..., 1:])]
    sums = [_per_group(difference(a, b) * weight) for (a, b), weight in zip(pairs, lights, strict=True)]
    total = tf.add_n([_per_group(weight) for weight in lights])
    return tf.reduce_mean(tf.add_n(sums) / tf.maximum(total, _tiny(light)))
