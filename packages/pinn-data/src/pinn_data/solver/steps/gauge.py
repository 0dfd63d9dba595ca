"""A slope of the phase that object and probe may exchange, taken off again.

``probe * exp(-i q r)`` and ``object * exp(i q r)`` predict the same patterns, so a probe that is free lets
the slope q drift. It moves the far field of the probe, whose place the probe of the file tells, whatever its
defocus.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["relative_slope", "slope_factor"]

_STEPS, _DIFFERENCE = 10, 1e-3  # of Gauss-Newton; radians a pixel


def relative_slope(
    reference: NDArray[np.complexfloating], probe: NDArray[np.complexfloating]
) -> NDArray[np.float64]:
    """(y, x) radians a pixel: the q for which the far field of ``probe * exp(-i q r)`` has the modulus of
    that of the reference, by least squares.

    reference, probe : (N, N); their brightness does not matter
    """
    N = probe.shape[-1]
    wanted = np.abs(fft.fft2(reference, norm="ortho"))
    probe = probe * (np.linalg.norm(reference) / np.linalg.norm(probe))

    def modulus(q: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(fft.fft2(probe * slope_factor(-q, (N, N), (-N // 2, -N // 2)), norm="ortho"))

    # Whole pixels first, by correlation.
    correlation = fft.ifft2(np.conj(fft.fft2(wanted)) * fft.fft2(modulus(np.zeros(2)))).real
    peak = np.unravel_index(np.argmax(correlation), (N, N))
    slope = np.array([fft.fftfreq(N)[k] for k in peak]) * 2 * np.pi
    for _ in range(_STEPS):
        off = (wanted - modulus(slope)).ravel()
        steps = _DIFFERENCE * np.eye(2)
        jacobian = np.stack(
            [(modulus(slope + d) - modulus(slope - d)).ravel() / (2 * _DIFFERENCE) for d in steps], 1
        )
        slope = slope + np.linalg.lstsq(jacobian, off, rcond=None)[0]
    return slope


def slope_factor(
    slope: NDArray[np.float64], shape: tuple[int, int], first: tuple[float, float]
) -> NDArray[np.complex128]:
    """``exp(i q r)`` (row, column) on pixels counted from `first` on, as (y, x)."""
    y, x = (np.exp(1j * slope[k] * (np.arange(shape[k]) + first[k])) for k in (0, 1))
    return y[:, None] * x[None, :]
