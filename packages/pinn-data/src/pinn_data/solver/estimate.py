"""What the solver knows of a scan, and how it is carried from one resolution to another."""

from __future__ import annotations

from typing import TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from pinn_data.solver.operations import Array, ArrayOperations

__all__ = ["Estimate", "cut_spectrum", "lay_canvas", "light_on_canvas", "put_spectrum", "resample_object"]

Pixel = TypeVar("Pixel", bound=np.generic)


@attrs.frozen(eq=False)
class Estimate:
    """The model of a whole scan at one level.

    object : (row, column) complex, an array of the engine
    spectrum : (mode, size, size) complex, an array of the engine
        Unitary Fourier transform of the probe, zero frequency at [0, 0]; the probe itself is centred on pixel
        size/2.
    positions : (n, 2) float64, object pixels of the scan, as (y, x)
    scale : pixels of this level for each object pixel of the scan
    origin : (y, x) of the canvas' pixel [0, 0], pixels of this level
    background : number, or (size, size) array of the engine, counts in each pixel
    intensity : (n,) float64, or None
        How much brighter than the mean each frame is.
    measured : (size, size) array of the engine: 1 where the detector measured, else 0; None: everywhere
    """

    object: Array
    spectrum: Array
    positions: NDArray[np.float64]
    scale: float
    origin: tuple[int, int]
    background: Array | float = 0.0
    intensity: NDArray[np.float64] | None = None
    measured: Array | None = None

    @property
    def size(self) -> int:
        """Pixels along one side of a pattern at this level."""
        return int(self.spectrum.shape[-1])

    @property
    def modes(self) -> int:
        """Incoherent modes of the probe."""
        return int(self.spectrum.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Of the canvas."""
        return int(self.object.shape[0]), int(self.object.shape[1])

    def corners(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """First pixels (b, 2) of the patches of some frames on the canvas, and the fractions left over."""
        local = self.positions[numbers] * self.scale - np.asarray(self.origin)
        whole = np.floor(local)
        return whole.astype(np.int64) - self.size // 2, local - whole


def lay_canvas(
    positions: NDArray[np.float64], size: int, scale: float, margin: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """(origin, shape) of the canvas that holds every patch, with `margin` pixels around it."""
    local = positions * scale
    low = np.floor(local.min(axis=0)).astype(int) - size // 2 - margin
    high = np.floor(local.max(axis=0)).astype(int) - size // 2 + size + margin
    return (int(low[0]), int(low[1])), (int(high[0] - low[0]), int(high[1] - low[1]))


def light_on_canvas(
    ops: ArrayOperations, estimate: Estimate, numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Photons (row, column) that some frames bring to each pixel of a flat object: the coverage."""
    size = estimate.size
    probe = fft.ifft2(ops.numpy(estimate.spectrum), norm="ortho")
    light = np.square(np.abs(probe)).sum(axis=0, dtype=np.float64)
    corners, _ = estimate.corners(numbers)
    room = (estimate.shape[0] - size + 1, estimate.shape[1] - size + 1)
    flat = np.ravel_multi_index((corners[:, 0], corners[:, 1]), room)
    weights = None if estimate.intensity is None else estimate.intensity[numbers]
    visits = np.bincount(flat, weights, minlength=room[0] * room[1]).reshape(room)
    # Not scipy.signal, whose import takes longer than all others before the first epoch together.
    shape = [a + b - 1 for a, b in zip(visits.shape, light.shape, strict=True)]
    padded = [fft.next_fast_len(length, real=True) for length in shape]
    product = fft.rfft2(visits, padded) * fft.rfft2(light, padded)
    return np.maximum(fft.irfft2(product, padded)[: shape[0], : shape[1]], 0.0)


def resample_object(
    image: NDArray[np.complexfloating],
    source: tuple[float, tuple[int, int]],
    target: tuple[float, tuple[int, int]],
    shape: tuple[int, int],
) -> NDArray[np.complex128]:
    """An object on another canvas, by cubic splines.

    source, target : (scale, origin) of each canvas
    shape : of the target
    """
    (s0, o0), (s1, o1) = source, target
    at = [(np.arange(shape[k]) + o1[k]) / s1 * s0 - o0[k] for k in (0, 1)]
    where = np.meshgrid(*at, indexing="ij")
    real, imaginary = (
        ndimage.map_coordinates(part, where, order=3, mode="nearest") for part in (image.real, image.imag)
    )
    return real + 1j * imaginary


def cut_spectrum(spectrum: NDArray[Pixel], size: int) -> NDArray[Pixel]:
    """The central size x size frequencies of a spectrum (mode, N, N) with its zero frequency at [0, 0].

    The probe of the result is centred on pixel size/2, as the whole one on N/2: both are half a window.
    """
    first = (spectrum.shape[-1] - size) // 2
    window = slice(first, first + size)
    return fft.ifftshift(fft.fftshift(spectrum, axes=(-2, -1))[..., window, window], axes=(-2, -1))


def put_spectrum(
    whole: NDArray[np.complexfloating], part: NDArray[np.complexfloating]
) -> NDArray[np.complexfloating]:
    """The spectrum (mode, N, N) with its central frequencies replaced: ``cut_spectrum(result, size) ==
    part``."""
    size = part.shape[-1]
    first = (whole.shape[-1] - size) // 2
    window = slice(first, first + size)
    result = fft.fftshift(whole, axes=(-2, -1))
    result[..., window, window] = fft.fftshift(part, axes=(-2, -1))
    return fft.ifftshift(result, axes=(-2, -1))
