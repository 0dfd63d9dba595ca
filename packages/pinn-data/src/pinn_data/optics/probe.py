"""Probes: the one sub-pixel shift, incoherent modes, and a measured-looking probe to simulate with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_config.architecture import BACKGROUND
from scipy import fft

from pinn_data.errors import ShapeError

__all__ = [
    "defocused_probe",
    "fourier_shift",
    "normalised_probe",
    "probe_disk",
    "probe_modes",
    "shifted_probes",
]


def fourier_shift(a: ArrayLike, shift: ArrayLike) -> NDArray[np.complex128]:
    """Images moved by a fraction of a pixel, periodic at the edges.

    A shift by ``+t`` moves content toward larger indices: ``fourier_shift(a, (1, 0)) == np.roll(a, 1,
    axis=0)``. The shift is unitary, and shifts add up.

    Parameters
    ----------
    a : (..., row, column) real or complex
    shift : (..., 2) float, pixels, as (y, x)
        The leading axes of ``a`` and ``shift`` broadcast against each other.

    Returns
    -------
    (..., row, column) complex128

    Raises
    ------
    ShapeError
        ``a`` has fewer than two axes, the last axis of ``shift`` is not 2, or the leading axes do not
        broadcast.
    """
    image, move = np.asarray(a), np.asarray(shift, np.float64)
    if image.ndim < 2 or move.ndim < 1 or move.shape[-1] != 2:
        raise ShapeError(
            f"images of shape {image.shape} and shifts of shape {move.shape} were given, but (..., "
            "row, column) and "
            "(..., 2) as (y, x) are needed"
        )
    try:
        np.broadcast_shapes(image.shape[:-2], move.shape[:-1])
    except ValueError as exc:
        raise ShapeError(
            f"the leading axes of images {image.shape} and shifts {move.shape} do not match: "
            "pass one shift for each image, or one for all"
        ) from exc
    spectrum = fft.fft2(image.astype(np.complex128, copy=False))
    rows, columns = image.shape[-2:]
    ramp_y = np.exp(-2j * np.pi * move[..., 0, None] * fft.fftfreq(rows))
    ramp_x = np.exp(-2j * np.pi * move[..., 1, None] * fft.fftfreq(columns))
    shifted = spectrum * ramp_y[..., :, None]
    shifted *= ramp_x[..., None, :]
    return fft.ifft2(shifted, overwrite_x=True)


def probe_modes(probe: ArrayLike) -> NDArray[np.complexfloating]:
    """The probe as (mode, row, column), also when it arrives as one (row, column) image.

    Raises
    ------
    ShapeError
        The probe has neither two nor three axes, is not square, or has no mode.
    """
    modes = np.asarray(probe)
    if modes.ndim == 2:
        modes = modes[None]
    if modes.ndim != 3 or modes.shape[0] == 0 or modes.shape[1] != modes.shape[2] or modes.shape[1] == 0:
        raise ShapeError(
            f"a probe of shape {np.shape(probe)} was given, but (N, N) or (modes, N, N) with at "
            "least one mode is needed"
        )
    return modes if np.iscomplexobj(modes) else modes.astype(np.complex128)


def shifted_probes(probe: ArrayLike, fractions: ArrayLike) -> NDArray[np.complex128]:
    """Every mode of the probe, moved to every sub-pixel fraction.

    Parameters
    ----------
    probe : (N, N) or (modes, N, N) complex
    fractions : (position, 2) float, pixels, as (y, x)

    Returns
    -------
    (position, mode, N, N) complex128
        ``result[i, m] == fourier_shift(probe_modes(probe)[m], fractions[i])``.
    """
    fractions = np.asarray(fractions, np.float64)
    if fractions.ndim != 2 or fractions.shape[1] != 2:
        raise ShapeError(
            f"fractions of shape {fractions.shape} were given, but (position, 2) as (y, x) is needed"
        )
    return fourier_shift(probe_modes(probe), fractions[:, None, :])


def defocused_probe(
    N: int,
    *,
    radius_px: float | None = None,
    aperture: float = 0.25,
    central_stop: float = 0.4,
    astigmatism: float = 0.2,
    tilt: float = 0.3,
    photons: float = 1.0,
) -> NDArray[np.complex128]:
    """A probe as a zone plate out of focus makes it: a soft ring with a curved, slightly astigmatic phase.

    It is built in the detector plane (a soft annular aperture, unevenly lit, with the phase of a defocus
    and of an astigmatism) and propagated to the sample by an inverse FFT, so its far field is the bright
    annulus that a zone-plate beamline records.  No symmetry is left: neither transposing nor mirroring
    gives the same probe.

    Parameters
    ----------
    N : even int
        Pixels along a side.
    radius_px : float, default ``0.16 * N``
        Radius of the geometric shadow of the aperture in the sample plane, object pixels; negative on the
        other side of the focus.
    aperture : float in (0, 0.5]
        Radius of the aperture in the detector plane as a fraction of N.
    central_stop : float in [0, 1)
        Radius of the central stop as a fraction of the aperture's.
    astigmatism : float
        Relative difference of the defocus along two perpendicular directions.
    tilt : float in [0, 1)
        Relative change of the illumination from the aperture's centre to its edge.
    photons : float
        ``sum(abs(probe)**2)`` of the result.

    Returns
    -------
    (N, N) complex128, in sqrt(photons), centred on pixel (N/2, N/2)

    Raises
    ------
    ValueError
        A parameter is outside the range given above.
    """
    if N < 8 or N % 2:
        raise ShapeError(f"a probe of {N} pixels was asked for, but N must be even and at least 8")
    if not 0 < aperture <= 0.5 or not 0 <= central_stop < 1 or not 0 <= tilt < 1 or not photons > 0:
        raise ValueError(
            f"aperture={aperture}, central_stop={central_stop}, tilt={tilt}, photons={photons} "
            "were given, but "
            "0 < aperture <= 0.5, 0 <= central_stop < 1, 0 <= tilt < 1 and photons > 0 are needed"
        )
    if radius_px is None:
        radius_px = 0.16 * N
    edge = aperture * N
    y, x = (np.mgrid[:N, :N] - N // 2) / edge
    radius = np.hypot(y, x)
    softness = 0.06  # of the aperture's radius: a hard edge would ring through the whole window

    def disk(limit: float) -> NDArray[np.float64]:
        return 0.5 * (1.0 - np.tanh((radius - limit) / softness))

    annulus = disk(1.0) - disk(central_stop) if central_stop > 0 else disk(1.0)
    light = annulus * (1.0 + tilt * (0.8 * y - 0.6 * x))
    # d(phase)/dq = 2 pi * displacement / N, so this phase sends the aperture's edge to radius_px in the
    # sample plane.
    defocus = np.pi * radius_px * edge / N
    angle = np.arctan2(y, x)
    phase = defocus * radius**2 * (1.0 + 0.5 * astigmatism * np.cos(2.0 * (angle - 0.5)))
    probe = fft.fftshift(fft.ifft2(fft.ifftshift(light * np.exp(1j * phase)), norm="ortho"))
    return probe * np.sqrt(photons / np.sum(np.abs(probe) ** 2))


def normalised_probe(probe: ArrayLike, size: int, probe_scale: float) -> NDArray[np.complex64]:
    """The probe (mode, N, N) in a network's units: with it an object of transmission
    `pinn_config.architecture.BACKGROUND` explains patterns of mean energy (N/2)**2.

    ``sum abs(probe)**2 == (N/2)**2 / BACKGROUND**2`` at the default ``probe_scale = 4``; the sum goes as
    ``probe_scale**-2``.

    Raises ShapeError for a probe that is not (mode, size, size).
    """
    modes = np.asarray(probe, np.complex128)
    if modes.ndim != 3 or modes.shape[1:] != (size, size):
        raise ShapeError(
            f"the probe has shape {modes.shape}, but (modes, {size}, {size}) is needed: "
            f"crop the patterns and the probe to N={size}, or set N"
        )
    norm = np.sqrt(np.sum(modes.real**2 + modes.imag**2))
    # One factor in float32: a probe that comes in two units has the same bits in this one, nearly always.
    factor = np.float32((size / 2) / BACKGROUND * (4.0 / probe_scale) / norm)
    return modes.astype(np.complex64) * factor


def probe_disk(size: int) -> NDArray[np.float32]:
    """(size, size): 1 within size/4 of the centre, else 0; the probe mask of the specification."""
    r = np.arange(size) - size // 2 + 0.5
    return (np.hypot(r[:, None], r[None, :]) < size // 4).astype(np.float32)
