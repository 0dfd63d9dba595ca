"""How good a reconstruction is: against the truth, or where none is known against its own other half."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pinn_data.metrics.alignment import Alignment, align, phase_ramp
from pinn_data.metrics.ring_correlation import RingCorrelation, frc, frc_crossing, half_bit_threshold
from pinn_data.optics.forward_model import residual

__all__ = [
    "Alignment",
    "HalfScanCorrelation",
    "RingCorrelation",
    "align",
    "evaluate",
    "frc",
    "frc_crossing",
    "frc_cutoffs",
    "half_bit_threshold",
    "half_scan_frc",
    "residual",
]


def evaluate(
    recon: ArrayLike,
    truth: ArrayLike,
    *,
    roi: tuple[int, int, int, int] | ArrayLike | None = None,
    guess: tuple[float, float] | None = None,
    remove_ramp: bool = False,
    orientations: bool = False,
) -> dict[str, Any]:
    """Scores of a complex reconstruction against a complex truth; the parameters are those of :func:`align`.

    Before amplitudes are compared, their scale is fitted on amplitudes alone (a phase error must not shrink
    it).  Phases are compared as ``angle(truth)`` against ``angle(truth) + error`` with the error wrapped
    and its circular mean taken off, so that a wrap in the truth is none in the comparison.

    Returns
    -------
    dict
        =============================================  ==================================================
        ``ssim_amp``, ``ssim_phase``                   structural similarity (7 x 7 uniform window)
        ``psnr_amp``, ``psnr_phase``                   dB
        ``mae_amp``, ``mae_phase``                     mean absolute error; radians for the phase
        ``nrmse``                                      ``norm(recon - truth) / norm(truth)``, complex
        ``frc50_*``, ``frc17_*``, ``frc_halfbit_*``    crossing of 0.5, 1/7, half-bit as a fraction of Nyquist
        ``frcauc_*``                                   mean over the rings; * is amp, phase, complex
        ``offset``, ``orientation``, ``ramp``          see :class:`Alignment`
        ``scale``, ``phase0``                          the fitted complex constant
        =============================================  ==================================================

        The data range of SSIM and PSNR is the peak-to-peak of the truth in the region of interest.
    """
    fit = align(recon, truth, roi=roi, guess=guess, remove_ramp=remove_ramp, orientations=orientations)
    amplitude, amplitude_true = np.abs(fit.recon), np.abs(fit.truth)
    amplitude = amplitude * (np.vdot(amplitude, amplitude_true) / np.vdot(amplitude, amplitude))
    error, phase_true = _phase_error(fit), np.angle(fit.truth)
    scores: dict[str, Any] = {}
    for name, image, true in (("amp", amplitude, amplitude_true), ("phase", phase_true + error, phase_true)):
        span = float(np.ptp(true))
        scores[f"ssim_{name}"] = float(structural_similarity(true, image, data_range=span))
        scores[f"psnr_{name}"] = float(peak_signal_noise_ratio(true, image, data_range=span))
        scores[f"mae_{name}"] = float(np.mean(np.abs(image - true)))
        scores |= frc_cutoffs(frc(image, true), name)
    scores["nrmse"] = float(np.linalg.norm(fit.recon - fit.truth) / np.linalg.norm(fit.truth))
    scores |= frc_cutoffs(frc(fit.recon, fit.truth), "complex")
    scores |= {
        "offset": fit.offset,
        "orientation": fit.orientation,
        "ramp": fit.ramp,
        "scale": fit.scale,
        "phase0": fit.phase,
    }
    return scores


def frc_cutoffs(curve: RingCorrelation, name: str) -> dict[str, float]:
    """Where a ring correlation crosses 0.5, 1/7 and half-bit, and its mean, named as in :func:`evaluate`."""
    return {
        f"frc50_{name}": frc_crossing(curve, 0.5),
        f"frc17_{name}": frc_crossing(curve, 1 / 7),
        f"frc_halfbit_{name}": frc_crossing(curve, "half-bit"),
        f"frcauc_{name}": float(np.mean(curve.correlation[1:])),
    }


@attrs.frozen(eq=False)
class HalfScanCorrelation:
    """How far two reconstructions from disjoint frames of one scan agree.

    phase, amplitude : RingCorrelation
    cutoffs : ``frc50_phase``, ``frc17_phase``, ``frc_halfbit_phase``, ``frcauc_phase``; the same for ``amp``
    roi : (row0, row1, column0, column1) that was compared
    alignment : of the first half with the second
    """

    phase: RingCorrelation
    amplitude: RingCorrelation
    cutoffs: dict[str, float]
    roi: tuple[int, int, int, int]
    alignment: Alignment


def half_scan_frc(
    even: ArrayLike,
    odd: ArrayLike,
    *,
    roi: tuple[int, int, int, int] | ArrayLike | None = None,
    size: int = 256,
) -> HalfScanCorrelation:
    """Ring correlation of two reconstructions, each from half of the frames: for where no truth is known.

    Both lie on the same canvas (their small relative shift is fitted).  The phase ramp between them is
    removed, and so is the ramp common to both, whose wraps would count as structure that agrees.

    Parameters
    ----------
    even, odd : (row, column) complex, of one shape
    roi : (row0, row1, column0, column1), default the central square of ``size`` pixels (or what there is)
        A well-covered part: pixels that neither half saw agree for no reason.
    """
    second = np.asarray(odd, np.complex128)
    if roi is None:
        side = min(size, *second.shape)
        r0, c0 = ((s - side) // 2 for s in second.shape)
        roi = (r0, r0 + side, c0, c0 + side)
    top, bottom, left, right = (int(v) for v in np.asarray(roi))
    box = (top, bottom, left, right)
    fit = align(even, second, roi=box, guess=(0.0, 0.0), remove_ramp=True)
    slope = phase_ramp(fit.truth)
    y, x = (np.arange(s) for s in fit.truth.shape)
    flat = fit.truth * np.exp(-1j * (slope[0] * y[:, None] + slope[1] * x))
    phase = np.angle(flat * np.exp(-1j * np.angle(flat.sum())))
    curves = {
        "phase": frc(phase + _phase_error(fit), phase),
        "amp": frc(np.abs(fit.recon), np.abs(fit.truth)),
    }
    cutoffs: dict[str, float] = {}
    for name, curve in curves.items():
        cutoffs |= frc_cutoffs(curve, name)
    return HalfScanCorrelation(curves["phase"], curves["amp"], cutoffs, box, fit)


def _phase_error(fit: Alignment) -> NDArray[np.float64]:
    """Phase of the reconstruction minus that of the truth, wrapped to (-pi, pi], less its circular mean."""
    error = np.angle(fit.recon * fit.truth.conj())
    return np.angle(np.exp(1j * error) * np.conj(np.mean(np.exp(1j * error))))
