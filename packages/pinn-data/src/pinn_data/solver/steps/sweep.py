"""One pass over some frames: how well they are predicted, and the derivatives of everything that is free.

``F = fft2(probe(. - fraction) * object(patch))``, ``I = intensity * sum over modes |F|^2 + background``. The
misfit is ``sum m (sqrt(I) - A)^2`` over the measured pixels; near its minimum it is half of the Poisson
deviance of counts. A step along the *descent* of a sweep times 1 / (light on a pixel) is a gradient step of
either likelihood, in the scale of the misfit.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.solver.estimate import Estimate
from pinn_data.solver.frames import Frames
from pinn_data.solver.operations import Array, ArrayOperations

__all__ = ["DEVIANCE_FLOOR", "Likelihood", "MoveSums", "PixelSums", "Sweep", "noise_variance", "sweep"]

Likelihood = Literal["amplitude", "poisson"]

DEVIANCE_FLOOR = 0.2
"""Counts that are added to both where Poisson's likelihood compares counted and expected ones."""
_FAINTEST = 1e-6
"""Counts below which an expected pixel is taken for this: its root is divided by."""


@attrs.frozen(eq=False)
class MoveSums:
    """Normal equations of Gauss-Newton for the move of each frame, pixels of the level.

    matrix : (n, 3), sums of ``a a``, ``a b``, ``b b`` with ``a, b = d sqrt(I) / d(y, x)``
    right : (n, 2), sums of ``a (A - sqrt(I))`` and ``b (A - sqrt(I))``
    """

    matrix: NDArray[np.float64]
    right: NDArray[np.float64]


@attrs.frozen(eq=False)
class PixelSums:
    """Sums over frames, (size, size) float64 each, with n counted and I expected, m = 1 where measured.

    residual : of ``m (n - I)**2``; its expectation is `expected` where only photons fluctuate
    expected : of ``m I``
    counted : of ``m n``
    slope : of ``m (n / I - 1)``, the derivative of the log-likelihood for the background
    curvature : of ``m / I``, what that derivative fluctuates by (Fisher's information)
    frames : of ``m``
    """

    residual: NDArray[np.float64]
    expected: NDArray[np.float64]
    counted: NDArray[np.float64]
    slope: NDArray[np.float64]
    curvature: NDArray[np.float64]
    frames: NDArray[np.float64]


@attrs.frozen(eq=False)
class Sweep:
    """The sums of one pass; None where they were not asked for.

    misfit : (n,) ``sum m (A - sqrt(I))**2`` of each frame, 0 for frames that were not in the pass
    measured_counts, expected_counts : (n,) sums of ``m A**2`` and ``m I``
    deviance : (n,) half the Poisson deviance, whose descent 'poisson' is; 0 unless noise was asked for
    noise : (n,) what `misfit` would be if only photons fluctuated about the estimate; 0 unless asked for
    object : (row, column), the descent of the object
    probe : (mode, size, size), the descent of the probe's spectrum
    moves : of all frames, see :class:`MoveSums`
    pixels : sums over frames for each detector pixel, see :class:`PixelSums`
    """

    misfit: NDArray[np.float64]
    measured_counts: NDArray[np.float64]
    expected_counts: NDArray[np.float64]
    deviance: NDArray[np.float64]
    noise: NDArray[np.float64]
    object: Array | None = None
    probe: Array | None = None
    moves: MoveSums | None = None
    pixels: PixelSums | None = None


def sweep(
    ops: ArrayOperations,
    estimate: Estimate,
    frames: Frames,
    chosen: NDArray[np.int64],
    *,
    likelihood: Likelihood = "amplitude",
    floor: float = DEVIANCE_FLOOR,
    object: bool = False,
    probe: bool = False,
    moves: bool = False,
    pixels: bool = False,
    noise: bool = False,
) -> Sweep:
    """One pass over the `chosen` frames; of several processes each takes its share, and has the sums of all.

    likelihood : whose descent is wanted
    floor : counts f of the Poisson weights ``((A**2 + f) / (I + f) - 1) / 2``: where nothing is expected, one
        stray photon must not outweigh the pattern
    object, probe, moves, pixels : the sums that are wanted
    """
    n, size = len(estimate.positions), estimate.size
    columns = [0, 1, 2, *([3, 4] if noise else []), *(range(5, 10) if moves else [])]
    per_frame = np.zeros((n, 10 if moves else 5))
    on_canvas = ops.empty_sum(estimate.shape) if object else None
    on_probe = estimate.spectrum * 0.0 if probe else None
    per_pixel = [ops.asarray(np.zeros((size, size)))] * 6 if pixels else None
    told: list[tuple[NDArray[np.int64], list[Array]]] = []
    frequency = fft.fftfreq(size)
    for numbers, amplitude, measured in frames.blocks(chosen):
        corners, fraction = estimate.corners(numbers)
        ramp = _ramps(ops, fraction, frequency)
        light = estimate.spectrum[None] * ramp
        if estimate.intensity is not None:
            bright = ops.asarray(np.sqrt(estimate.intensity[numbers])[:, None, None, None])
            light = ops.scale(light, bright)
        shone = ops.ifft2(light)
        patch = ops.extract(estimate.object, corners, size)[:, None]
        field = ops.fft2(shone * patch)
        expected = ops.maximum(ops.sum(ops.abs2(field), (1,)) + estimate.background, _FAINTEST)
        root = ops.sqrt(expected)
        difference = amplitude - root
        counts = amplitude * amplitude
        if likelihood == "amplitude":
            weight = difference / root
        else:
            weight = 0.5 * ((counts + floor) / (expected + floor) - 1.0)
        mask = _both(estimate.measured, measured)
        if mask is not None:
            difference, weight = difference * mask, weight * mask
            counts, expected = counts * mask, expected * mask
        squares = difference * difference
        sums = [squares, counts, expected]
        if noise:
            surplus = counts + floor
            deviance = 0.5 * (expected - counts + surplus * ops.log(surplus / (expected + floor)))
            sums.append(deviance if mask is None else deviance * mask)
            spread = noise_variance(root)
            sums.append(spread if mask is None else spread * mask)
        if moves:
            a, b = (_slope(ops, field, light, patch, frequency, axis) / root for axis in (0, 1))
            if mask is not None:
                a, b = a * mask, b * mask
            sums += [a * a, a * b, b * b, a * difference, b * difference]
        told.append((numbers, [ops.sum(values, (1, 2)) for values in sums]))
        if per_pixel is not None:
            inverse = 1.0 / ops.maximum(expected, _FAINTEST)
            flags = squares * 0.0 + 1.0
            if mask is not None:
                inverse, flags = inverse * mask, flags * mask
            off = counts - expected
            for k, part in enumerate((off * off, expected, counts, off * inverse, inverse, flags)):
                per_pixel[k] = per_pixel[k] + ops.sum(part, (0,))
        if object or probe:
            back = ops.ifft2(ops.scale(field, weight[:, None]))
            if object:
                on_canvas = ops.place(on_canvas, ops.sum(ops.conj(shone) * back, (1,)), corners)
            if probe:
                turned = ops.conj(ramp) * ops.fft2(ops.conj(patch) * back)
                if estimate.intensity is not None:
                    turned = ops.scale(turned, bright)
                on_probe = on_probe + ops.sum(turned, (0,))
    for numbers, sums in told:  # last, so that a GPU is waited for once
        for column, values in zip(columns, sums, strict=True):
            per_frame[numbers, column] = ops.numpy(values)
    return _reduced(ops, per_frame, on_canvas, on_probe, per_pixel)


def noise_variance(root: Array) -> Array:
    """Expectation of ``(sqrt(n) - root)**2`` for counts n of Poisson's distribution with mean ``root**2``.

    0 in the dark, 0.28 at most, 1/4 for many counts. A rational function of the root, within 0.16 % of the
    sum over the distribution.
    """
    above = 2.0 + root * (-1.32940126 + root * (0.93591512 + root * (-0.53973763 + root * 0.21189434)))
    below = 1.0 + root * (
        0.31711348
        + root
        * (1.0802376 + root * (-1.03374482 + root * (2.73312886 + root * (-2.12416514 + root * 0.84757736))))
    )
    return root * root * above / below


def _ramps(ops: ArrayOperations, fraction: NDArray[np.float64], frequency: NDArray[np.float64]) -> Array:
    """(b, 1, size, size): what moves a spectrum by the fraction of each frame's position, with the factor
    that makes two transforms unitary."""
    share = 1.0 / len(frequency)
    y, x = (ops.asarray(share * np.exp(-2j * np.pi * fraction[:, k, None] * frequency)) for k in (0, 1))
    return y[:, None, :, None] * x[:, None, None, :]


def _slope(
    ops: ArrayOperations, field: Array, light: Array, patch: Array, frequency: NDArray[np.float64], axis: int
) -> Array:
    """(b, size, size): half the derivative of the expected counts along an axis of the position."""
    line = ops.asarray(-2j * np.pi * frequency)
    ramp = line[:, None] if axis == 0 else line[None, :]
    moved = ops.fft2(ops.ifft2(light * ramp) * patch)
    return ops.sum(ops.real_product(field, moved), (1,))


def _both(one: Array | None, other: Array | None) -> Array | None:
    if one is None or other is None:
        return other if one is None else one[None]
    return one[None] * other


def _reduced(
    ops: ArrayOperations,
    per_frame: NDArray[np.float64],
    on_canvas: Any,
    on_probe: Any,
    per_pixel: list[Any] | None,
) -> Sweep:
    table = np.asarray(ops.reduce(per_frame))
    moves = MoveSums(table[:, 5:8], table[:, 8:10]) if table.shape[1] == 10 else None
    maps = None
    if per_pixel is not None:
        maps = PixelSums(*(np.asarray(ops.numpy(ops.reduce(part)), np.float64) for part in per_pixel))
    return Sweep(
        misfit=table[:, 0],
        measured_counts=table[:, 1],
        expected_counts=table[:, 2],
        deviance=table[:, 3],
        noise=table[:, 4],
        object=None if on_canvas is None else ops.reduce(ops.asarray(on_canvas)),
        probe=None if on_probe is None else ops.reduce(on_probe),
        moves=moves,
        pixels=maps,
    )
