"""The terms of `pinn_config.objective`, in the array operations of any backend.

Between predicted and measured patterns: means over all pixels that were measured. `measured` is 1 there and 0
elsewhere, in the shape of the counts; None: everywhere. Of objects: means over pixels by how brightly they
are lit, one for each group, and then over the groups, so that groups together equal groups one by one. A
global phase changes only what compares phases with labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pinn_data.optics.forward_model import RATE_FLOOR

__all__ = ["LossFunctions", "LossOperations"]

# Squared modulus, in network units, below which an object has no phase: its derivative would be without
# bound. There the phase counts as 0.
_DARK = 1e-8

Tensor = Any


class LossOperations(Protocol):
    """Differentiable operations on tensors; `z` is complex, `x` and `y` are real."""

    def real(self, z: Tensor) -> Tensor: ...
    def imag(self, z: Tensor) -> Tensor: ...
    def conj(self, z: Tensor) -> Tensor: ...
    def unit(self, z: Tensor) -> Tensor:
        """``z / abs(z)``, and 0 where z is 0."""

    def weighted(self, z: Tensor, x: Tensor) -> Tensor:
        """``z * x``."""

    def abs(self, values: Tensor) -> Tensor: ...
    def sqrt(self, x: Tensor) -> Tensor: ...
    def xlogy(self, x: Tensor, y: Tensor) -> Tensor:
        """``x * log(y)``, and 0 where x is 0."""

    def arctan2(self, y: Tensor, x: Tensor) -> Tensor: ...
    def at_least(self, x: Tensor, number: float) -> Tensor: ...
    def smaller(self, x: Tensor, y: Tensor) -> Tensor: ...
    def where(self, condition: Tensor, one: Tensor, other: Tensor) -> Tensor: ...
    def ones_like(self, values: Tensor) -> Tensor: ...
    def sum(self, values: Tensor, axes: tuple[int, ...] | None = None, *, keep: bool = False) -> Tensor: ...
    def mean(self, x: Tensor) -> Tensor: ...
    def flat(self, values: Tensor) -> Tensor:
        """(group, everything else)."""

    def join(self, parts: list[Tensor]) -> Tensor:
        """Tensors (group, ...) one after the other along axis 1."""

    def tiny(self, x: Tensor) -> float:
        """The smallest positive number of its precision."""


class LossFunctions:
    """The loss functions of a backend with these operations."""

    def __init__(self, operations: LossOperations) -> None:
        self.ops = operations

    def poisson_nll(self, rate: Tensor, counts: Tensor, measured: Tensor | None = None) -> Tensor:
        """Mean of ``rate - counts * log(max(rate, RATE_FLOOR))``: the Poisson negative log-likelihood without
        ``log(counts!)``.

        The number of `pinn_data.optics.forward_model.poisson_nll`, of the same shapes: photons in a pixel. It
        is worked out as half the deviance plus a constant of the data, which keeps float32 exact where counts
        are large.
        """
        return self.poisson_deviance(rate, counts, measured) + self.saturated_nll(counts, measured)

    def saturated_nll(self, counts: Tensor, measured: Tensor | None = None) -> Tensor:
        """`poisson_nll` of rates that equal the counts: what no prediction can go below."""
        return self._over_pixels(counts - self.ops.xlogy(counts, counts), measured)

    def poisson_deviance(self, rate: Tensor, counts: Tensor, measured: Tensor | None = None) -> Tensor:
        """Mean of ``rate - counts - counts * log(rate / counts)``, half the deviance: 0 for a perfect fit,
        about 1/2 where noise is all that is left of large counts."""
        ops = self.ops
        ratio = ops.at_least(rate, RATE_FLOOR) / ops.at_least(counts, ops.tiny(counts))
        return self._over_pixels(rate - counts - ops.xlogy(counts, ratio), measured)

    def amplitude_mae(self, rate: Tensor, counts: Tensor, measured: Tensor | None = None) -> Tensor:
        """Mean absolute difference of the amplitudes, in sqrt(photons)."""
        difference = self.ops.sqrt(self.ops.at_least(rate, RATE_FLOOR)) - self.ops.sqrt(counts)
        return self._over_pixels(self.ops.abs(difference), measured)

    def _over_pixels(self, values: Tensor, measured: Tensor | None) -> Tensor:
        """Their mean over the measured pixels."""
        if measured is None:
            return self.ops.mean(values)
        return self.ops.sum(values * measured) / self.ops.at_least(self.ops.sum(measured), 1.0)

    def amplitude_error(self, objects: Tensor, labels: Tensor, light: Tensor) -> Tensor:
        """Mean of ``abs(abs(objects) - abs(labels))``.

        objects, labels : (group, pattern, N, N) complex; light : (group, pattern, N, N), the weight of a
            pixel
        """
        return self._mean(self.ops.abs(self.ops.abs(objects) - self.ops.abs(labels)), light)

    def phase_error(self, objects: Tensor, labels: Tensor, light: Tensor) -> Tensor:
        """Mean absolute difference of the phases, 0 to pi, the shorter way round; shapes as
        `amplitude_error`.

        A dark pixel of the objects has the phase 0; one of the labels has none, and no error.
        """
        turned_back = self.ops.conj(self.ops.unit(labels))
        dark = self._squared(objects) < _DARK
        turned = self.ops.where(dark, turned_back, objects * turned_back)
        return self._mean(self.ops.abs(self._angle(turned)), light)

    def without_mean_phase(self, labels: Tensor, light: Tensor) -> Tensor:
        """Unit factors (group, 1, 1, 1) that turn each group's labels to a mean phase of 0; shapes as
        `amplitude_error`.

        The mean is that of the circle, weighted with light and amplitude: ``sum light * labels`` becomes
        real.
        """
        total = self.ops.sum(self.ops.weighted(labels, light), (1, 2, 3), keep=True)
        return self.ops.conj(self.ops.unit(total))

    def total_variation(self, canvas: Tensor, light: Tensor) -> Tensor:
        """Mean of ``abs(a - b)**2`` over neighbouring pixels a and b.

        canvas : (group, M, M) complex
        light : (group, M, M), the weight of a pixel; a pair has that of its darker one
        """
        return self._of_neighbours(canvas, light, lambda a, b: self._squared(a - b))

    def amplitude_variation(self, canvas: Tensor, light: Tensor) -> Tensor:
        """Mean of ``abs(abs(a) - abs(b))`` over neighbouring pixels; shapes as `total_variation`."""
        return self._of_neighbours(self.ops.abs(canvas), light, lambda a, b: self.ops.abs(a - b))

    def phase_variation(self, canvas: Tensor, light: Tensor) -> Tensor:
        """Mean absolute difference of the phases of neighbouring pixels, the shorter way round; shapes as
        `total_variation`."""
        ops = self.ops
        return self._of_neighbours(canvas, light, lambda a, b: ops.abs(self._angle(a * ops.conj(b))))

    def amplitude_deviation(self, canvas: Tensor, light: Tensor) -> Tensor:
        """Mean of ``abs(abs(canvas) - mean)``, with the mean of each group; shapes as `total_variation`."""
        amplitude = self.ops.abs(canvas)
        mean = self.ops.sum(amplitude * light, (1, 2)) / self._total(light)
        return self._mean(self.ops.abs(amplitude - mean[:, None, None]), light)

    def phase_deviation(self, canvas: Tensor, light: Tensor) -> Tensor:
        """Mean absolute difference from the mean phase of each group, that of ``sum light * canvas``; shapes
        as `total_variation`."""
        mean = self.ops.unit(self.ops.sum(self.ops.weighted(canvas, light), (1, 2), keep=True))
        return self._mean(self.ops.abs(self._angle(canvas * self.ops.conj(mean))), light)

    def _squared(self, z: Tensor) -> Tensor:
        real, imag = self.ops.real(z), self.ops.imag(z)
        return real * real + imag * imag

    def _angle(self, z: Tensor) -> Tensor:
        """-pi to pi; 0, with a derivative of 0, where z is dark."""
        z = self.ops.where(self._squared(z) < _DARK**2, self.ops.ones_like(z), z)
        return self.ops.arctan2(self.ops.imag(z), self.ops.real(z))

    def _total(self, light: Tensor) -> Tensor:
        return self.ops.at_least(self.ops.sum(self.ops.flat(light), (1,)), self.ops.tiny(light))

    def _mean(self, values: Tensor, light: Tensor) -> Tensor:
        return self.ops.mean(self.ops.sum(self.ops.flat(values * light), (1,)) / self._total(light))

    def _of_neighbours(
        self, canvas: Tensor, light: Tensor, difference: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        flat, smaller = self.ops.flat, self.ops.smaller
        pairs = [(canvas[:, :-1], canvas[:, 1:]), (canvas[..., :-1], canvas[..., 1:])]
        lights = [smaller(light[:, :-1], light[:, 1:]), smaller(light[..., :-1], light[..., 1:])]
        values = self.ops.join([flat(difference(a, b)) for a, b in pairs])
        return self._mean(values, self.ops.join([flat(own) for own in lights]))
