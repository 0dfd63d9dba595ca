"""Optics of a group of patterns: probe times patch, far field, and the gradient of the amplitude misfit.

Conventions (the NumPy oracle is `pinn_data.optics.forward_model`): ``F = fftshift(fft2(smooth(probe * patch),
norm='ortho'))``, modes of the probe add in intensity, the zero frequency lies at N/2. The fraction of a scan
position is a shift of the probe, so that patches lie on the pixels of the canvas.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pinn_torch.optics.patches import extract, patch_indices, place
from pinn_torch.optics.smoothing import smoothed, smoothed_back

__all__ = ["GroupOptics", "fourier_shift"]

# Far-field amplitudes below this fraction of the mean pattern's root-mean-square carry no phase worth
# dividing by.
_AMPLITUDE_FLOOR = 1e-3


def fourier_shift(probe: Tensor, shift: Tensor) -> Tensor:
    """The probe moved by each shift, its content toward larger indices for a positive one.

    probe : (mode, N, N) complex, or (..., mode, N, N), one for each shift
    shift : (..., 2) float, pixels, as (y, x)

    Returns (..., mode, N, N) complex.
    """
    n = probe.shape[-1]
    k = torch.fft.fftfreq(n, device=probe.device, dtype=shift.dtype)
    phase = -2 * math.pi * shift[..., None] * k
    ramp = torch.polar(torch.ones_like(phase), phase)
    ramp = ramp[..., 0, :, None] * ramp[..., 1, None, :]
    return torch.fft.ifft2(torch.fft.fft2(probe) * ramp[..., None, :, :])


class GroupOptics:
    """What the physics knows of a batch of groups.

    amplitude : (group, pattern, N, N) float, measured amplitude, zero frequency at N/2
    probes : (group, pattern, mode, N, N) complex, in the amplitude's unit, shifted by the fraction of each
        position
    corners : (group, pattern, 2) int64, patch pixel (0, 0) on the group's canvas
    canvas : pixels along one side of the canvas
    background : transmission of an object that nothing is known of
    smoothing_sigma : width of the smoothing of the exit waves, pixels; 0: none
    measured : (group, pattern, N, N) float, 1 where a pixel was measured, else 0; None: everywhere. Nothing
        is mended where it is 0
    stray : (1, 1, N, N) float, what pixels count besides the diffraction, in the amplitude's unit squared

    `coverage` (group, M, M) is the probes' intensity on the canvas, relative to the brightest pixel of a
    probe; `middle` (group, 1, 2) int64 is the mean of each group's corners, rounded down.
    """

    def __init__(
        self,
        amplitude: Tensor,
        probes: Tensor,
        corners: Tensor,
        canvas: int,
        background: float,
        smoothing_sigma: float = 0.0,
        *,
        measured: Tensor | None = None,
        stray: Tensor | None = None,
    ) -> None:
        self.size = amplitude.shape[-1]
        self.canvas = canvas
        self.background = background
        self.smoothing_sigma = smoothing_sigma
        self.probes = probes
        self.middle = corners.sum(1, keepdim=True) // corners.shape[1]
        self.indices = patch_indices(corners, self.size, canvas)
        self.measured, self.stray = measured, stray
        self._measured = torch.fft.ifftshift(amplitude, dim=(-2, -1))
        self._flags = None if measured is None else torch.fft.ifftshift(measured, dim=(-2, -1))
        # The floor keeps the gradient of the square root finite where the field vanishes.
        self._least: Tensor | float = _AMPLITUDE_FLOOR**2
        if stray is not None:
            self._least = torch.fft.ifftshift(stray, dim=(-2, -1)) + _AMPLITUDE_FLOOR**2
        intensity = (probes.real**2 + probes.imag**2).sum(-3)
        self._peak = intensity.amax((-3, -2, -1), keepdim=True)
        self.relative_intensity = intensity / self._peak
        self._adjoint = probes.conj() / self._peak[..., None]
        self.coverage = place(self.relative_intensity, self.indices, canvas)

    def far_field(self, canvas: Tensor) -> Tensor:
        """Unshifted far field (group, pattern, mode, N, N) of each pattern: zero frequency at index 0."""
        return torch.fft.fft2(self._exit_waves(canvas), norm="ortho")

    def _exit_waves(self, canvas: Tensor) -> Tensor:
        waves = self.probes * extract(canvas, self.indices, self.size)[:, :, None]
        return smoothed(waves, self.smoothing_sigma)

    def intensity(self, canvas: Tensor) -> Tensor:
        """Predicted intensity (group, pattern, N, N) without stray light, zero frequency at N/2, in the
        square of the amplitude's unit."""
        field = self.far_field(canvas)
        return torch.fft.fftshift((field.real**2 + field.imag**2).sum(-3), dim=(-2, -1))

    def _with_measured_amplitude(self, field: Tensor) -> Tensor:
        predicted = torch.sqrt((field.real**2 + field.imag**2).sum(-3) + self._least)
        return torch.fft.ifft2(field * self._kept(self._measured / predicted)[:, :, None], norm="ortho")

    def _kept(self, ratio: Tensor) -> Tensor:
        """What a field is multiplied with: the ratio where it was measured, 1 where it was not."""
        return ratio if self._flags is None else ratio * self._flags + (1 - self._flags)

    def _back(self, waves: Tensor) -> Tensor:
        return (self._adjoint * smoothed_back(waves, self.smoothing_sigma)).sum(-3)

    def _first_waves(self) -> Tensor:
        """What the probe alone says of each pattern (group, pattern, N, N), times the probe's intensity.

        It is one `gradient_step` from an empty object, and without smoothing simply the probe's conjugate
        times the wave with the measured amplitude.
        """
        light = smoothed(self.probes, self.smoothing_sigma)
        waves = self._with_measured_amplitude(torch.fft.fft2(light, norm="ortho"))
        if self.smoothing_sigma == 0:
            return self._back(waves)
        return self._back(waves - self.background * light) + self.background * self.relative_intensity

    def patch_estimate(self, floor: float) -> Tensor:
        """Each pattern's object (group, pattern, N, N): its amplitude with the phase of the probe's far
        field, divided by the probe."""
        return (self._first_waves() + floor * self.background) / (self.relative_intensity + floor)

    def canvas_estimate(self, floor: float) -> Tensor:
        """The same for all patterns of a group together, on its canvas (group, M, M)."""
        total = place(self._first_waves(), self.indices, self.canvas)
        return (total + floor * self.background) / (self.coverage + floor)

    def gradient_step(self, canvas: Tensor, floor: float) -> Tensor:
        """The step (group, M, M) that mends the canvas toward the measured amplitudes, divided by the
        coverage with a floor.

        It is the preconditioned negative gradient of ``sum (abs(F) - amplitude)**2`` (rPIE and ePIE take it
        one pattern at a time: Maiden et al., Optica 4, 736 (2017)).
        """
        if not self.probes.requires_grad:
            return _GradientStep.apply(canvas, self, floor)
        exit_waves = self._exit_waves(canvas)
        mended = self._with_measured_amplitude(torch.fft.fft2(exit_waves, norm="ortho"))
        return place(self._back(mended - exit_waves), self.indices, self.canvas) / (self.coverage + floor)

    def merge(self, patches: Tensor, floor: float) -> Tensor:
        """The canvas (group, M, M): mean of the patches weighted with the probes' intensity; the background
        where no probe shone."""
        total = place(patches * self.relative_intensity, self.indices, self.canvas)
        return (total + floor * self.background) / (self.coverage + floor)

    def patches(self, canvas: Tensor) -> Tensor:
        """The canvas under each pattern: (group, pattern, N, N)."""
        return extract(canvas, self.indices, self.size)


def _sum_of_modes(waves: Tensor) -> Tensor:
    return waves.squeeze(2) if waves.shape[2] == 1 else waves.sum(2)


class _GradientStep(torch.autograd.Function):
    """`GroupOptics.gradient_step` with the derivative by the canvas alone, written out.

    A network takes six to nine of these steps. Autograd would keep eight arrays of each for the way back, and
    go there in as many passes over memory; this keeps the far field and the inverse of its amplitude.
    """

    @staticmethod
    def forward(ctx: Any, canvas: Tensor, optics: GroupOptics, floor: float) -> Tensor:
        waves = optics._exit_waves(canvas)
        field = torch.fft.fft2(waves, norm="ortho")
        intensity = _sum_of_modes(field.real.square().addcmul_(field.imag, field.imag))
        inverse = torch.rsqrt(intensity + optics._least)
        # A product with the reciprocal: the quotient of a complex and a real array takes six times as long.
        ctx.optics, ctx.weight = optics, torch.reciprocal(optics.coverage + floor)
        ctx.save_for_backward(field, inverse)
        ratio = optics._kept(optics._measured * inverse)
        change = torch.fft.ifft2(field * ratio[:, :, None], norm="ortho").sub_(waves)
        change = smoothed_back(change, optics.smoothing_sigma)
        total = place(_sum_of_modes(change.mul_(optics._adjoint)), optics.indices, optics.canvas)
        return total * ctx.weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # The derivative of F / abs(F) along D, (D - F Re(conj(F) D) / abs(F)**2) / abs(F), is its own adjoint
        # (Re summed over the modes), so the way back is the way forth with the linear parts exchanged.
        optics, (field, inverse) = ctx.optics, ctx.saved_tensors
        patches = extract(gradient * ctx.weight, optics.indices, optics.size)
        waves = smoothed(optics._adjoint.conj() * patches[:, :, None], optics.smoothing_sigma)
        far = torch.fft.fft2(waves, norm="ortho")
        ratio = optics._measured * inverse
        along = _sum_of_modes((far.real * field.real).addcmul_(far.imag, field.imag))
        along = along.mul_(ratio).mul_(inverse.square())
        if optics._flags is not None:
            along = along.mul_(optics._flags)
        far = far.mul_(optics._kept(ratio)[:, :, None]).sub_(field * along[:, :, None])
        change = torch.fft.ifft2(far, norm="ortho").sub_(waves)
        change = smoothed_back(change, optics.smoothing_sigma).mul_(optics.probes.conj())
        return place(_sum_of_modes(change), optics.indices, optics.canvas), None, None
