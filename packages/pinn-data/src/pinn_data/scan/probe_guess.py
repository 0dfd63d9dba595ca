"""A probe to begin with, for scans that come without one: made from the patterns when it is asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.errors import DataRangeError
from pinn_data.scan.diffraction import Stack, Unit

__all__ = ["probe_from_patterns", "probe_of_stack"]

_FRAMES = 200


def probe_from_patterns(mean_intensity: NDArray[Any], defocus_px2: float = 0.0) -> NDArray[np.complex64]:
    """The probe (N, N) whose far field has the mean measured amplitude, in sqrt(counts).

    ``probe = ifft2(sqrt(mean_intensity) * exp(-i pi defocus_px2 |k|^2 / N^2), norm="ortho")``, centred on
    pixel (N/2, N/2); k counts detector pixels from the zero frequency. Its energy is that of a mean pattern.

    mean_intensity : (N, N), mean of the patterns in counts, zero frequency at ``[N/2, N/2]``
    defocus_px2 : ``wavelength * defocus / object_pixel**2``; 0 for a sample in the focus, where the probe is
        as small as the aperture allows

    Raises DataRangeError where the patterns are empty.
    """
    intensity = np.asarray(mean_intensity, np.float64)
    if not intensity.sum() > 0 or not math.isfinite(defocus_px2):
        raise DataRangeError(
            "the patterns are empty (no counts), so no probe can be made from them: give one with --probe"
        )
    N = intensity.shape[-1]
    y, x = np.mgrid[:N, :N] - N // 2
    wave = np.sqrt(intensity) * np.exp(-1j * np.pi * defocus_px2 * (y**2 + x**2) / N**2)
    return fft.fftshift(fft.ifft2(fft.ifftshift(wave), norm="ortho")).astype(np.complex64)


def probe_of_stack(stack: Stack, unit: Unit) -> NDArray[np.complex64]:
    """`probe_from_patterns` of the mean of some hundred patterns, spread over all of a stack (n, N, N).

    What was not measured is 0 in them.
    """
    chosen = np.unique(np.linspace(0, len(stack) - 1, _FRAMES).astype(int))
    total = np.zeros(stack.shape[1:])
    for number in chosen:
        pattern = np.asarray(stack[slice(number, number + 1)], np.float64)[0]
        total += pattern**2 if unit == "amplitude" else pattern
    return probe_from_patterns(total / len(chosen))
