"""Fourier ring correlation: up to which spatial frequency two images agree.

Source: M. van Heel and M. Schatz, "Fourier shell correlation threshold criteria", J. Struct. Biol. 151
(2005) 250.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from pinn_data.errors import ShapeError

__all__ = ["RingCorrelation", "frc", "frc_crossing", "half_bit_threshold"]


class RingCorrelation(NamedTuple):
    """Correlation of two images, ring by ring.

    frequency : (ring,) fraction of the Nyquist frequency, 0 to 1
    correlation : (ring,) between -1 and 1
    pixels : (ring,) int, Fourier pixels in the ring
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    pixels: NDArray[np.int64]


def frc(a: ArrayLike, b: ArrayLike) -> RingCorrelation:
    """Fourier ring correlation: ``Re sum(A conj(B)) / sqrt(sum|A|**2 sum|B|**2)`` over each ring.

    The mean is taken off and a Hann window applied; rings are one Fourier pixel wide.  ``frc(a, a)`` is 1
    in every ring that holds anything; ``frc(a, b) == frc(b, a)``; scaling either image by a positive number
    changes nothing.

    Parameters
    ----------
    a, b : (row, column) real or complex, of one shape
        Cut to the square of the shorter side at the top left.

    Raises
    ------
    ShapeError
        The images differ in shape, have not two axes, or are smaller than 8 pixels.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape or first.ndim != 2 or min(first.shape) < 8:
        raise ShapeError(
            f"images of shapes {first.shape} and {second.shape} were given, but ring correlation "
            "needs two images of one "
            "shape, at least 8 pixels wide"
        )
    n = min(first.shape)
    window = np.outer(np.hanning(n), np.hanning(n))
    A, B = (fft.fft2((image[:n, :n] - image[:n, :n].mean()) * window) for image in (first, second))
    pixel = fft.fftfreq(n, 1 / n)
    ring = np.rint(np.hypot(pixel[:, None], pixel)).astype(np.int64).ravel()
    edge = n // 2 + 1

    def over_rings(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(ring, values.ravel())[:edge], np.float64)

    power = over_rings(np.abs(A) ** 2) * over_rings(np.abs(B) ** 2)
    correlation = over_rings((A * B.conj()).real) / np.maximum(np.sqrt(power), np.finfo(np.float64).tiny)
    return RingCorrelation(np.arange(edge) / (n // 2), correlation, np.bincount(ring)[:edge])


def half_bit_threshold(curve: RingCorrelation) -> NDArray[np.float64]:
    """The half-bit curve: the correlation at which a ring carries half a bit of information a pixel."""
    root = np.sqrt(curve.pixels)
    return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)


def frc_crossing(curve: RingCorrelation, threshold: float | Literal["half-bit"] = 0.5) -> float:
    """The frequency, in fractions of Nyquist, at which the correlation first falls below the threshold.

    Linear between rings, from the third ring on (the first two hold the window's own shape); 1.0 where it
    never falls.

    Parameters
    ----------
    curve : RingCorrelation
    threshold : 0.5, 1/7, another number, or 'half-bit'
        0.5 for a reconstruction against the truth; 1/7 or 'half-bit' for two halves of one measurement.
    """
    level = (
        half_bit_threshold(curve)
        if threshold == "half-bit"
        else np.full(len(curve.frequency), float(threshold))
    )
    above = curve.correlation - level
    below = np.flatnonzero(above[2:] < 0)
    if not len(below):
        return 1.0
    i = int(below[0]) + 2
    before, after = above[i - 1], above[i]
    if before <= 0:
        return float(curve.frequency[i])
    step = curve.frequency[i] - curve.frequency[i - 1]
    return float(curve.frequency[i - 1] + step * before / (before - after))
