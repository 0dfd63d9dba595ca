"""The far-field geometry: from the detector's pixels to those of the object, and when it does not hold.

``object pixel = wavelength * distance / (N * detector pixel)``: one FFT takes the exit wave to the detector.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pinn_data.errors import DataRangeError
from pinn_data.scan.diffraction import Stack, Unit, convert_block
from pinn_data.scan.inpainting import inpainted
from pinn_data.scan.measured_pixels import of_frames

__all__ = ["FarField", "near_field_signs", "photon_energy_eV", "wavelength_m"]

_HC_eV_m = 1.239841984332003e-06  # Planck's constant times the speed of light, CODATA 2018 (exact)
_SQUARE = 0.01  # relative difference of height and width up to which a pixel is square
_FEWEST_FRAMES = 16
# Power at the largest lags, of the noise and of that at small lags. A measured near field has 280 and 0.07, a
# measured far field 2 and 0.003, a simulated one with an oversized probe 25 and 0.006.
_FINE_IN_NOISE, _FINE_IN_COARSE = 10.0, 0.02


def wavelength_m(energy_eV: float) -> float:
    """Wavelength of a photon."""
    return _HC_eV_m / energy_eV


def photon_energy_eV(wavelength_m: float) -> float:
    """Energy of a photon."""
    return _HC_eV_m / wavelength_m


def _positive(instance: Any, attribute: Any, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise DataRangeError(
            f"{attribute.name} is {value:g}, but a finite number above 0 is needed: check its unit"
        )


def _pair(value: Any) -> tuple[float, float]:
    height, width = np.broadcast_to(np.asarray(value, np.float64), (2,)).tolist()
    if not min(height, width) > 0 or not math.isfinite(height + width):
        raise DataRangeError(
            f"the detector pixel is {height:g} x {width:g} m, but finite numbers above 0 are needed: give "
            "it in metres"
        )
    return height, width


@attrs.frozen
class FarField:
    """Where the detector is and what it sees.

    distance_m : from the object to the detector
    wavelength_m : of the light
    detector_pixel_m : (height, width), or one number for both
    """

    distance_m: float = attrs.field(converter=float, validator=_positive)
    wavelength_m: float = attrs.field(converter=float, validator=_positive)
    detector_pixel_m: tuple[float, float] = attrs.field(converter=_pair)

    @property
    def has_square_pixels(self) -> bool:
        """Whether height and width of a detector pixel agree within 1 %."""
        height, width = self.detector_pixel_m
        return abs(height / width - 1) <= _SQUARE

    def object_pixel_m(self, N: int) -> float:
        """Side of an object pixel of patterns of N x N pixels, metres.

        Raises DataRangeError where the detector's pixels are not square, as the network's object pixels are,
        or where the numbers are so odd that no pixel comes out.
        """
        height, width = self.detector_pixel_m
        if not self.has_square_pixels:
            raise DataRangeError(
                f"the detector pixels are {height:g} x {width:g} m (height, width), but square ones are "
                "needed: resample the patterns"
            )
        side = math.sqrt(height * width)
        pixel = self.wavelength_m * self.distance_m / (N * side) if side > 0 else math.inf
        if not (math.isfinite(pixel) and pixel > 0):
            raise DataRangeError(
                f"a distance of {self.distance_m:g} m, a wavelength of {self.wavelength_m:g} m and detector "
                f"pixels of {height:g} m give an object pixel of {pixel:g} m: check their units"
            )
        return pixel


def near_field_signs(
    patterns: Stack,
    unit: Unit,
    positions: NDArray[np.float64],
    bad_pixels: NDArray[np.bool_] | None = None,
) -> list[str]:
    """What speaks against the far-field model for these patterns, a phrase each; nothing, as a rule.

    patterns : (n, N, N) in `unit`; a few of them are looked at
    positions : (n, 2), object pixels of the far-field geometry
    bad_pixels : (N, N) or (n, N, N), filled from around: the edge of a gap is structure, too

    A pattern is the square of a Fourier transform, so its own transform is the autocorrelation of the exit
    wave, which must end before the lag N/2: else the light covers more than half of the field of view, and
    the detector is too coarse for the far field. A magnified near field, whose patterns are images of the
    sample, fails this. That neighbouring positions lie further apart than half the field of view is a second
    sign, but no sign alone: a far field without overlap has it, too.
    """
    n, N, _ = patterns.shape
    chosen = np.unique(np.linspace(0, n - 1, min(n, _FEWEST_FRAMES)).astype(int))
    frames = convert_block(patterns[chosen], unit, "intensity").astype(np.float64)
    if bad_pixels is not None:
        for place, frame in enumerate(chosen):
            frames[place] = inpainted(frames[place], of_frames(bad_pixels, frame))
    power = np.square(np.abs(np.fft.fft2(frames))).mean(axis=0)
    lag = np.abs(np.fft.fftfreq(N))
    lag = np.maximum(lag[:, None], lag[None, :])
    near = (lag >= 0.05) & (lag < 0.1)
    noise = frames.sum(axis=(1, 2)).mean()  # of counting: the same at every lag
    if not near.any() or not noise > 0:
        return []
    outer, inner = power[lag >= 0.45].mean() - noise, power[near].mean() - noise
    if outer <= _FINE_IN_NOISE * noise or outer <= _FINE_IN_COARSE * inner:
        return []
    signs = [
        f"the patterns have structure at the scale of single pixels, {outer / noise:.0f} times what "
        "counting noise explains, so the light covers more than half of the field of view, or hot pixels "
        "are not masked"
    ]
    if n > 1:
        spacing = float(np.median(KDTree(positions).query(positions, k=2)[0][:, 1]))
        if spacing > N / 2:
            signs.append(
                f"neighbouring positions lie {spacing:.0f} object pixels apart, but patterns of {N} pixels "
                f"resolve probes of at most {N // 2} object pixels, which would not overlap"
            )
    return signs
