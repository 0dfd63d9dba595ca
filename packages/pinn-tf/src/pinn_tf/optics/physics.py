"""Optics of a group of patterns: probe times patch, far field, and the gradient of the amplitude misfit.

Conventions (the NumPy oracle is `pinn_data.optics.forward_model`): ``F = fftshift(fft2(smooth(probe * patch),
norm='ortho'))``, modes of the probe add in intensity, the zero frequency lies at N/2. The fraction of a scan
position is a shift of the probe, so that patches lie on the pixels of the canvas.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pinn_tf.optics.complex_numbers import as_complex
from pinn_tf.optics.derivatives import with_derivative
from pinn_tf.optics.patches import Side, extract, patch_indices, place
from pinn_tf.optics.smoothing import smoothed, smoothed_back

__all__ = ["GroupOptics", "fourier_shift"]

# Far-field amplitudes below this fraction of the mean pattern's root-mean-square carry no phase worth
# dividing by.
_AMPLITUDE_FLOOR = 1e-3


def fourier_shift(probe: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """The probe moved by each shift, its content toward larger indices for a positive one.

    probe : (mode, N, N) complex, or (..., mode, N, N), one for each shift
    shift : (..., 2) float, pixels, as (y, x)

    Returns (..., mode, N, N) complex.
    """
    turns = tf.constant(-2 * math.pi * np.fft.fftfreq(probe.shape[-1]), shift.dtype)
    phase = shift[..., None] * turns
    ramp = tf.complex(tf.cos(phase), tf.sin(phase))
    ramp = ramp[..., 0, :, None] * ramp[..., 1, None, :]
    return tf.signal.ifft2d(tf.signal.fft2d(probe) * ramp[..., None, :, :])


class GroupOptics:
    """What the physics knows of a batch of groups.

    amplitude : (group, pattern, N, N) float, measured amplitude, zero frequency at N/2
    probes : (group, pattern, mode, N, N) complex, in the amplitude's unit, shifted by the fraction of each
        position
    corners : (group, pattern, 2) int, patch pixel (0, 0) on the group's canvas
    canvas : pixels along one side of the canvas
    background : transmission of an object that nothing is known of
    smoothing_sigma : width of the smoothing of the exit waves, pixels; 0: none
    sides : (group,) int, optional: pixels along one side of the canvas that each group asks for, where
        `canvas` is the largest of them; what a network makes of a group then does not depend on its company
    measured_pixels : (group, pattern, N, N) float, 1 where a pixel was measured, else 0; None: everywhere.
        Nothing is mended where it is 0
    stray : (1, 1, N, N) float, what pixels count besides the diffraction, in the amplitude's unit squared
    probes_learn : whether a derivative by the probes will be asked for: without it `gradient_step` has one by
        the canvas alone, which takes less time and memory

    `relative_intensity` (group, pattern, N, N) is the probes' intensity, relative to the brightest pixel in
    the group, and `coverage` (group, M, M) its sum on the canvas; `measured` (group, pattern, N, N) is the
    amplitude with the zero frequency at index 0, as `flags` and `stray` are; `middle` (group, 1, 2) is the
    mean of each group's corners, rounded down; `inside` (group, M, M, 1) is 1 on each group's own canvas and
    0 beyond, or None without `sides`.
    """

    def __init__(
        self,
        amplitude: tf.Tensor,
        probes: tf.Tensor,
        corners: tf.Tensor,
        canvas: Side,
        background: float,
        smoothing_sigma: float = 0.0,
        *,
        sides: tf.Tensor | None = None,
        probes_learn: bool = False,
        measured_pixels: tf.Tensor | None = None,
        stray: tf.Tensor | None = None,
    ) -> None:
        self.size: int = amplitude.shape[-1]
        self.canvas = canvas
        self.background = background
        self.smoothing_sigma = smoothing_sigma
        self.probes = probes
        self.probes_learn = probes_learn
        self.middle = tf.reduce_sum(corners, 1, keepdims=True) // corners.shape[1]
        self.indices = patch_indices(corners, self.size, canvas)
        self.inside = None if sides is None else _squares(tf.cast(sides, tf.int32), canvas)
        self.measured = tf.signal.ifftshift(amplitude, axes=(-2, -1))
        self.flags = _unshifted(measured_pixels)
        self.stray = _unshifted(stray)
        # The floor keeps the gradient of the square root finite where the field vanishes.
        self._least = _AMPLITUDE_FLOOR**2 + (0.0 if self.stray is None else self.stray)
        intensity = _intensity(probes)
        self._peak = tf.reduce_max(intensity, (-3, -2, -1), keepdims=True)
        self.relative_intensity = intensity / self._peak
        self._adjoint = tf.math.conj(probes) * as_complex(1 / self._peak)[..., None]
        self.coverage = place(self.relative_intensity, self.indices, canvas)

    def far_field(self, canvas: tf.Tensor) -> tf.Tensor:
        """Unshifted far field (group, pattern, mode, N, N) of each pattern: zero frequency at index 0."""
        return self._spectrum(self._exit_waves(canvas))

    def _exit_waves(self, canvas: tf.Tensor) -> tf.Tensor:
        waves = self.probes * self.patches(canvas)[:, :, None]
        return smoothed(waves, self.smoothing_sigma)

    def _spectrum(self, waves: tf.Tensor) -> tf.Tensor:
        return tf.signal.fft2d(waves) * tf.constant(1 / self.size, waves.dtype)

    def _waves(self, spectrum: tf.Tensor) -> tf.Tensor:
        return tf.signal.ifft2d(spectrum) * tf.constant(self.size, spectrum.dtype)

    def unshifted_intensity(self, canvas: tf.Tensor) -> tf.Tensor:
        """Predicted intensity (group, pattern, N, N), zero frequency at index 0, which belongs to the square
        of `measured`."""
        return _intensity(self.far_field(canvas))

    def intensity(self, canvas: tf.Tensor) -> tf.Tensor:
        """Predicted intensity (group, pattern, N, N), zero frequency at N/2, in the square of the amplitude's
        unit."""
        return tf.signal.fftshift(self.unshifted_intensity(canvas), axes=(-2, -1))

    def _with_measured_amplitude(self, field: tf.Tensor) -> tf.Tensor:
        inverse = tf.math.rsqrt(_intensity(field) + self._least)
        return self._waves(field * as_complex(self._kept(self.measured * inverse))[:, :, None])

    def _kept(self, ratio: tf.Tensor) -> tf.Tensor:
        """What a field is multiplied with: the ratio where it was measured, 1 where it was not."""
        return ratio if self.flags is None else ratio * self.flags + (1 - self.flags)

    def _back(self, waves: tf.Tensor) -> tf.Tensor:
        return _sum_of_modes(self._adjoint * smoothed_back(waves, self.smoothing_sigma))

    def _first_waves(self) -> tf.Tensor:
        """What the probe alone says of each pattern (group, pattern, N, N), times the probe's intensity.

        It is one `gradient_step` from an empty object, and without smoothing simply the probe's conjugate
        times the wave with the measured amplitude.
        """
        light = smoothed(self.probes, self.smoothing_sigma)
        waves = self._with_measured_amplitude(self._spectrum(light))
        if self.smoothing_sigma == 0:
            return self._back(waves)
        lit = as_complex(self.background * self.relative_intensity)
        return self._back(waves - tf.constant(self.background, light.dtype) * light) + lit

    def patch_estimate(self, floor: float) -> tf.Tensor:
        """Each pattern's object (group, pattern, N, N): its amplitude with the phase of the probe's far
        field, divided by the probe."""
        return self._over(self._first_waves(), self.relative_intensity, floor)

    def canvas_estimate(self, floor: float) -> tf.Tensor:
        """The same for all patterns of a group together, on its canvas (group, M, M)."""
        return self._over(place(self._first_waves(), self.indices, self.canvas), self.coverage, floor)

    def _over(self, total: tf.Tensor, light: tf.Tensor, floor: float) -> tf.Tensor:
        """The mean of what adds up to `total`, and of the background with the weight `floor`."""
        return (total + tf.constant(floor * self.background, total.dtype)) * as_complex(1 / (light + floor))

    def gradient_step(self, canvas: tf.Tensor, floor: float) -> tf.Tensor:
        """The step (group, M, M) that mends the canvas toward the measured amplitudes, divided by the
        coverage with a floor.

        It is the preconditioned negative gradient of ``sum (abs(F) - amplitude)**2`` (rPIE and ePIE take it
        one pattern at a time: Maiden et al., Optica 4, 736 (2017)).
        """
        weight = as_complex(1 / (self.coverage + floor))
        if not self.probes_learn:
            return with_derivative(lambda o: self._step_and_derivative(o, weight), canvas)
        exit_waves = self._exit_waves(canvas)
        mended = self._with_measured_amplitude(self._spectrum(exit_waves))
        return place(self._back(mended - exit_waves), self.indices, self.canvas) * weight

    def _step_and_derivative(
        self, canvas: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        """`gradient_step` with the derivative by the canvas alone, written out.

        A network takes six to nine of these steps. Automatic differentiation would keep eight arrays of each
        for the way back, and go there in as many passes over memory; this keeps the far field and the inverse
        of its amplitude.
        """
        waves = self._exit_waves(canvas)
        field = self._spectrum(waves)
        inverse = tf.math.rsqrt(_intensity(field) + self._least)
        ratio = self._kept(self.measured * inverse)
        mended = self._waves(field * as_complex(ratio)[:, :, None])
        step = place(self._back(mended - waves), self.indices, self.canvas) * weight

        def derivative(gradient: tf.Tensor) -> tf.Tensor:
            # The derivative of F / abs(F) along D, (D - F Re(conj(F) D) / abs(F)**2) / abs(F), is its own
            # adjoint (Re summed over the modes), so the way back is the way forth with the linear parts
            # exchanged.
            patches = self.patches(gradient * weight)[:, :, None]
            light = smoothed(tf.math.conj(self._adjoint) * patches, self.smoothing_sigma)
            far = self._spectrum(light)
            along = _sum_of_modes(tf.math.real(tf.math.conj(field) * far)) * tf.square(inverse)
            if self.flags is not None:
                along *= self.flags
            turned = (far - field * as_complex(along)[:, :, None]) * as_complex(ratio)[:, :, None]
            change = smoothed_back(self._waves(turned) - light, self.smoothing_sigma)
            change = _sum_of_modes(tf.math.conj(self.probes) * change)
            return place(change, self.indices, self.canvas)

        return step, derivative

    def merge(self, patches: tf.Tensor, floor: float) -> tf.Tensor:
        """The canvas (group, M, M): mean of the patches weighted with the probes' intensity; the background
        where no probe shone."""
        total = place(patches * as_complex(self.relative_intensity), self.indices, self.canvas)
        return self._over(total, self.coverage, floor)

    def patches(self, canvas: tf.Tensor) -> tf.Tensor:
        """The canvas under each pattern: (group, pattern, N, N)."""
        return extract(canvas, self.indices)


def _unshifted(pixels: tf.Tensor | None) -> tf.Tensor | None:
    return None if pixels is None else tf.signal.ifftshift(pixels, axes=(-2, -1))


def _squares(sides: tf.Tensor, canvas: Side) -> tf.Tensor:
    """(group, M, M, 1) float32: 1 in the first rows and columns of each canvas, as many as its side."""
    lit = tf.cast(tf.range(canvas) < sides[:, None], tf.float32)
    return lit[:, :, None, None] * lit[:, None, :, None]


def _intensity(waves: tf.Tensor) -> tf.Tensor:
    """(..., N, N) float of waves (..., mode, N, N)."""
    # The modulus of a complex number, which takes care to overflow late, takes six times as long.
    return _sum_of_modes(tf.square(tf.math.real(waves)) + tf.square(tf.math.imag(waves)))


def _sum_of_modes(waves: tf.Tensor) -> tf.Tensor:
    return tf.squeeze(waves, -3) if waves.shape[-3] == 1 else tf.reduce_sum(waves, -3)
