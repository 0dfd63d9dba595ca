"""The NumPy reference optics, in complex128: the oracle that every backend is held against.

``psi = probe * patch``; the far field is ``F = fftshift(fft2(psi, norm='ortho'))`` with the direct beam at
index N/2, so ``sum(|F|**2) == sum(|psi|**2)``; incoherent probe modes add in intensity.

**Sub-pixel rule.**  The patch is cut at the floor of its corner and the fraction of the position goes on
the probe by a Fourier shift, never on the object: ``psi = fourier_shift(probe, frac) * object[corner :
corner + N]``.  Moving probe and object together changes the far field by a phase ramp only, so amplitudes
are those of the exact position. ``subpixel='none'`` drops the fraction, for objects and probes that were
reconstructed without it.

**Smoothing.**  With ``smoothing_sigma`` above 0 the exit wave is smoothed before it propagates
(:mod:`pinn_data.optics.smoothing`); Parseval's sum then holds for the smoothed wave.

**Measurement.**  ``rate = m * (sum over modes of |F|**2 + background)``, counts; m is 0 where a pixel was not
measured (``bad_pixels``), and such a pixel enters no likelihood and no R, whatever the arrays hold there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from pinn_data.errors import ShapeError
from pinn_data.optics.patches import extract
from pinn_data.optics.probe import probe_modes, shifted_probes
from pinn_data.optics.smoothing import smoothed
from pinn_data.scan.measured_pixels import as_background, as_bad_pixels, check_fit, clear, of_frames
from pinn_data.scan.positions import split_subpixel

__all__ = [
    "RATE_FLOOR",
    "Subpixel",
    "diffraction_amplitude",
    "diffraction_intensity",
    "exit_wave",
    "far_field",
    "intensity_blocks",
    "poisson_nll",
    "residual",
]

Subpixel = Literal["probe", "none"]

RATE_FLOOR = 1e-2
"""Smallest rate, in counts, whose logarithm the Poisson likelihood takes: one stray photon where nothing was
expected must not outweigh a whole pattern in the gradient."""

_BLOCK_BYTES = 1 << 25  # exit waves held at once


def exit_wave(
    object: ArrayLike,
    probe: ArrayLike,
    positions: ArrayLike,
    *,
    subpixel: Subpixel = "probe",
    smoothing_sigma: float = 0.0,
) -> NDArray[np.complex128]:
    """The wave behind the sample, for each position and probe mode.

    Parameters
    ----------
    object : (row, column) complex
    probe : (N, N) or (modes, N, N) complex
    positions : (position, 2) float64, object pixels, as (y, x)
        Patch centre; origin at the centre of the object's top-left pixel.
    subpixel : 'probe' or 'none'
        Where the fraction of a position goes: on the probe, or nowhere.
    smoothing_sigma : float, pixels
        Width of the smoothing of the wave; 0: none.

    Returns
    -------
    (position, mode, N, N) complex128
        All positions at once: use :func:`diffraction_intensity` for many.

    Raises
    ------
    PositionError
        A patch reaches outside the object.
    ShapeError
        An array has the wrong shape.
    """
    modes = probe_modes(probe).astype(np.complex128, copy=False)
    centre, fraction = split_subpixel(positions)
    patches = extract(np.asarray(object, np.complex128), centre, modes.shape[-1])[:, None]
    if subpixel not in ("probe", "none"):
        raise ValueError(f"subpixel={subpixel!r} was given, but 'probe' or 'none' is needed")
    if subpixel == "none":
        wave = modes * patches
    else:
        wave = shifted_probes(modes, fraction)
        wave *= patches
    return smoothed(wave, smoothing_sigma) if smoothing_sigma else wave


def far_field(wave: ArrayLike) -> NDArray[np.complex128]:
    """The wave on the detector: ``fftshift(fft2(wave, norm='ortho'))`` over the last two axes, DC at N/2."""
    return fft.fftshift(fft.fft2(np.asarray(wave, np.complex128), norm="ortho"), axes=(-2, -1))


def intensity_blocks(
    object: ArrayLike,
    probe: ArrayLike,
    positions: ArrayLike,
    *,
    subpixel: Subpixel = "probe",
    smoothing_sigma: float = 0.0,
    background: ArrayLike | None = None,
    bad_pixels: ArrayLike | None = None,
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Noise-free patterns in blocks, so that memory stays bounded: ``(slice, (block, N, N) float64)``.

    Parameters are those of :func:`diffraction_intensity`.
    """
    besides, bad = as_background(background), as_bad_pixels(bad_pixels)
    points = np.asarray(positions, np.float64)
    modes = probe_modes(probe)
    image = np.asarray(object, np.complex128)
    check_fit(bad, besides, (len(points), *modes.shape[-2:]))
    step = max(1, _BLOCK_BYTES // (16 * modes.size))
    for start in range(0, len(points), step):
        block = slice(start, min(start + step, len(points)))
        wave = exit_wave(image, modes, points[block], subpixel=subpixel, smoothing_sigma=smoothing_sigma)
        field = far_field(wave)
        rate = np.sum(field.real**2 + field.imag**2, axis=1)
        if besides is not None:
            rate += besides
        if bad is not None:
            clear(rate, of_frames(bad, block))
        yield block, rate


def diffraction_intensity(
    object: ArrayLike,
    probe: ArrayLike,
    positions: ArrayLike,
    *,
    subpixel: Subpixel = "probe",
    smoothing_sigma: float = 0.0,
    background: ArrayLike | None = None,
    bad_pixels: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Expected counts of every pattern: ``m * (sum over modes of |F|**2 + background)``.

    Parameters
    ----------
    object, probe, positions, subpixel, smoothing_sigma
        As for :func:`exit_wave`.
    background : () or (N, N) real, default 0
        Counts besides the diffraction, in the square of the probe's unit.
    bad_pixels : (N, N) or (position, N, N) bool, default none
        True where a pixel is not measured: m is 0 there, else 1.

    Returns
    -------
    (position, N, N) float64, in the square of the probe's unit

    Raises
    ------
    PositionError
        A patch reaches outside the object.
    ShapeError, DataRangeError
        An array has the wrong shape, or a background below 0.
    """
    N = probe_modes(probe).shape[-1]
    patterns = np.empty((len(np.asarray(positions)), N, N))
    blocks = intensity_blocks(
        object,
        probe,
        positions,
        subpixel=subpixel,
        smoothing_sigma=smoothing_sigma,
        background=background,
        bad_pixels=bad_pixels,
    )
    for block, intensity in blocks:
        patterns[block] = intensity
    return patterns


def diffraction_amplitude(
    object: ArrayLike,
    probe: ArrayLike,
    positions: ArrayLike,
    *,
    subpixel: Subpixel = "probe",
    smoothing_sigma: float = 0.0,
    background: ArrayLike | None = None,
    bad_pixels: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Expected amplitude of every pattern: ``sqrt(diffraction_intensity(...))``, (position, N, N) float64."""
    patterns = diffraction_intensity(
        object,
        probe,
        positions,
        subpixel=subpixel,
        smoothing_sigma=smoothing_sigma,
        background=background,
        bad_pixels=bad_pixels,
    )
    return np.sqrt(patterns, out=patterns)


def poisson_nll(
    rate: ArrayLike,
    counts: ArrayLike,
    *,
    floor: float = RATE_FLOOR,
    background: ArrayLike | None = None,
    bad_pixels: ArrayLike | None = None,
) -> float:
    """Poisson negative log-likelihood, mean over the measured pixels: ``mean(rate - counts * log(max(rate,
    floor)))``.

    The term ``log(counts!)`` is left out: it does not depend on the rate.  At fixed counts the value is
    smallest where ``rate == counts``.

    Raises ShapeError (shapes that differ), ValueError (nothing was measured).

    Parameters
    ----------
    rate, counts : arrays of one shape, in counts (not amplitude)
    floor : float
        Keeps the logarithm finite where nothing is predicted.
    background : counts that the rate lacks and the measurement has; default 0
    bad_pixels : True where a pixel was not measured; of the shape of the arrays, or of their last axes
    """
    expected, measured = np.asarray(rate, np.float64), np.asarray(counts, np.float64)
    if expected.shape != measured.shape:
        raise ShapeError(
            f"rates of shape {expected.shape} and counts of shape {measured.shape} must have the same shape"
        )
    if background is not None:
        expected = expected + np.asarray(background, np.float64)
    if bad_pixels is not None:
        good = np.broadcast_to(~np.asarray(bad_pixels, bool), expected.shape)
        expected, measured = expected[good], measured[good]
        if expected.size == 0:
            raise ValueError("every pixel is bad, so there is no likelihood: check bad_pixels")
    return float(np.mean(expected - measured * np.log(np.maximum(expected, floor))))


def residual(
    amplitude_predicted: ArrayLike,
    amplitude_measured: ArrayLike,
    *,
    background: ArrayLike | None = None,
    bad_pixels: ArrayLike | None = None,
) -> float:
    """The diffraction residual ``R = sqrt(sum((|F| - A)**2) / sum(A**2))`` over the measured pixels: 0 is
    perfect, 1 predicts nothing.

    Raises ShapeError (shapes that differ), ValueError (all measured amplitudes are 0).

    Parameters
    ----------
    amplitude_predicted, amplitude_measured : (position, N, N), of one shape
        Frames are compared as they are: no scale is fitted.
    background : () or (N, N) counts that the prediction lacks and the measurement has; default 0
        ``sqrt(|F|**2 + background)`` is then compared.
    bad_pixels : (N, N) or (position, N, N) bool, True where a pixel was not measured; default none
    """
    predicted, measured = np.asarray(amplitude_predicted), np.asarray(amplitude_measured)
    if predicted.shape != measured.shape:
        raise ShapeError(
            f"predicted amplitudes of shape {predicted.shape} and measured ones of shape "
            f"{measured.shape} must have the "
            "same shape"
        )
    besides, bad = as_background(background), as_bad_pixels(bad_pixels)
    difference = energy = 0.0
    for frame in range(len(measured)):  # frame by frame: no second copy of the stack
        p, a = predicted[frame].astype(np.float64), measured[frame].astype(np.float64)
        if besides is not None:
            p = np.sqrt(p * p + besides)
        if bad is not None:
            good = ~of_frames(bad, frame)
            p, a = p[good], a[good]
        difference += float(np.sum((p - a) ** 2))
        energy += float(np.sum(a * a))
    if energy == 0.0:
        raise ValueError("the measured amplitudes are all zero, so R is not defined: leave out empty frames")
    return float(np.sqrt(difference / energy))
