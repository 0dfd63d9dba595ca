"""The terms of `pinn_config.objective`.

Between predicted and measured patterns: means over all pixels that were measured, the same numbers as in
every other backend. `measured` is 1 there and 0 elsewhere, in the shape of the counts; None: everywhere.
Of objects: means over pixels by how brightly they are lit, one for each group, and then over the groups, so
that groups together equal groups one by one. A global phase changes only what compares phases with labels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pinn_data.optics.forward_model import RATE_FLOOR
from torch import Tensor

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


def poisson_nll(rate: Tensor, counts: Tensor, measured: Tensor | None = None) -> Tensor:
    """Mean of ``rate - counts * log(max(rate, RATE_FLOOR))``: the Poisson negative log-likelihood without
    ``log(counts!)``.

    The number of `pinn_data.optics.forward_model.poisson_nll`, of the same shapes: photons in a pixel. It is
    worked out as half the deviance plus a constant of the data, which keeps float32 exact where counts are
    large.
    """
    return poisson_deviance(rate, counts, measured) + saturated_nll(counts, measured)


def saturated_nll(counts: Tensor, measured: Tensor | None = None) -> Tensor:
    """`poisson_nll` of rates that equal the counts: what no prediction can go below."""
    return _over_pixels(counts - torch.special.xlogy(counts, counts), measured)


def poisson_deviance(rate: Tensor, counts: Tensor, measured: Tensor | None = None) -> Tensor:
    """Mean of ``rate - counts - counts * log(rate / counts)``, half the deviance: 0 for a perfect fit, about
    1/2 where noise is all that is left of large counts."""
    ratio = rate.clamp_min(RATE_FLOOR) / counts.clamp_min(torch.finfo(counts.dtype).tiny)
    return _over_pixels(rate - counts - torch.special.xlogy(counts, ratio), measured)


def amplitude_mae(rate: Tensor, counts: Tensor, measured: Tensor | None = None) -> Tensor:
    """Mean absolute difference of the amplitudes, in sqrt(photons)."""
    return _over_pixels((torch.sqrt(rate.clamp_min(RATE_FLOOR)) - torch.sqrt(counts)).abs(), measured)


def _over_pixels(values: Tensor, measured: Tensor | None) -> Tensor:
    """Their mean over the measured pixels."""
    if measured is None:
        return values.mean()
    return (values * measured).sum() / measured.sum().clamp_min(1)


def amplitude_error(objects: Tensor, labels: Tensor, light: Tensor) -> Tensor:
    """Mean of ``abs(abs(objects) - abs(labels))``.

    objects, labels : (group, pattern, N, N) complex; light : (group, pattern, N, N), the weight of a pixel
    """
    return _mean((objects.abs() - labels.abs()).abs(), light)


def phase_error(objects: Tensor, labels: Tensor, light: Tensor) -> Tensor:
    """Mean absolute difference of the phases, 0 to pi, the shorter way round; shapes as `amplitude_error`.

    A dark pixel of the objects has the phase 0; one of the labels has none, and no error.
    """
    turned_back = torch.sgn(labels).conj()
    dark = _squared(objects) < _DARK
    return _mean(_angle(torch.where(dark, turned_back, objects * turned_back)).abs(), light)


def without_mean_phase(labels: Tensor, light: Tensor) -> Tensor:
    """Unit factors (group, 1, 1, 1) that turn each group's labels to a mean phase of 0; shapes as
    `amplitude_error`.

    The mean is that of the circle, weighted with light and amplitude: ``sum light * labels`` becomes real.
    """
    total = (labels * light).sum((1, 2, 3), keepdim=True)
    return total.conj() / total.abs().clamp_min(torch.finfo(torch.float32).tiny)


def total_variation(canvas: Tensor, light: Tensor) -> Tensor:
    """Mean of ``abs(a - b)**2`` over neighbouring pixels a and b.

    canvas : (group, M, M) complex
    light : (group, M, M), the weight of a pixel; a pair has that of its darker one
    """
    return _of_neighbours(canvas, light, lambda a, b: _squared(a - b))


def amplitude_variation(canvas: Tensor, light: Tensor) -> Tensor:
    """Mean of ``abs(abs(a) - abs(b))`` over neighbouring pixels; shapes as `total_variation`."""
    return _of_neighbours(canvas.abs(), light, lambda a, b: (a - b).abs())


def phase_variation(canvas: Tensor, light: Tensor) -> Tensor:
    """Mean absolute difference of the phases of neighbouring pixels, the shorter way round; shapes as
    `total_variation`."""
    return _of_neighbours(canvas, light, lambda a, b: _angle(a * b.conj()).abs())


def amplitude_deviation(canvas: Tensor, light: Tensor) -> Tensor:
    """Mean of ``abs(abs(canvas) - mean)``, with the mean of each group; shapes as `total_variation`."""
    amplitude = canvas.abs()
    mean = (amplitude * light).sum((1, 2)) / _total(light)
    return _mean((amplitude - mean[:, None, None]).abs(), light)


def phase_deviation(canvas: Tensor, light: Tensor) -> Tensor:
    """Mean absolute difference from the mean phase of each group, that of ``sum light * canvas``; shapes as
    `total_variation`."""
    mean = torch.sgn((canvas * light).sum((1, 2), keepdim=True))
    return _mean(_angle(canvas * mean.conj()).abs(), light)


def _squared(z: Tensor) -> Tensor:
    return z.real.square() + z.imag.square()


def _angle(z: Tensor) -> Tensor:
    """-pi to pi; 0, with a derivative of 0, where z is dark."""
    z = torch.where(_squared(z) < _DARK**2, torch.ones_like(z), z)
    return torch.atan2(z.imag, z.real)


def _total(light: Tensor) -> Tensor:
    return light.flatten(1).sum(1).clamp_min(torch.finfo(light.dtype).tiny)


def _mean(values: Tensor, light: Tensor) -> Tensor:
    return ((values * light).flatten(1).sum(1) / _total(light)).mean()


def _of_neighbours(canvas: Tensor, light: Tensor, difference: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    pairs = [(canvas[:, :-1], canvas[:, 1:]), (canvas[..., :-1], canvas[..., 1:])]
    lights = [torch.minimum(light[:, :-1], light[:, 1:]), torch.minimum(light[..., :-1], light[..., 1:])]
    values = torch.cat([difference(a, b).flatten(1) for a, b in pairs], 1)
    return _mean(values, torch.cat([w.flatten(1) for w in lights], 1))
