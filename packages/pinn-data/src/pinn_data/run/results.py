"""What a training and a reconstruction leave to their caller, whichever backend ran them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.scan.positions import Canvas, split_subpixel

if TYPE_CHECKING:
    from pinn_data.scan.refined import Refined

__all__ = ["SCALES", "Reconstruction", "TrainingResult", "scales"]

SCALES = ("nphotons", "normalisation", "intensity_scale")
"""The keys of :func:`scales`."""


def scales(*, nphotons: float, normalisation: float, intensity_scale: float) -> dict[str, float]:
    """How a scan, the input of the network and its output are scaled to each other.

    nphotons : photons of a mean pattern: what is measured, or, where the patterns are no counts, what the
        configuration of the training says
    normalisation : the network is given ``normalisation * amplitude``, with a mean energy of (N/2)**2 a
        pattern: ``normalisation = (N/2) / sqrt(mean energy)``
    intensity_scale : learned; ``intensity_scale * network amplitude`` predicts sqrt(photons). It starts as
        ``sqrt(nphotons) / (N/2)``
    """
    return {
        "nphotons": float(nphotons),
        "normalisation": float(normalisation),
        "intensity_scale": float(intensity_scale),
    }


@attrs.frozen(eq=False)
class TrainingResult:
    """A finished training.

    archive : the ``wts.h5.zip``
    history : rows of step, epoch, seconds, train_loss (Poisson negative log-likelihood a pixel),
        train_deviance, val_loss
    seconds : of the training alone
    parameters : trained numbers of the network
    resumed_after : epochs that an earlier, interrupted run of the same training had finished; None if there
        was none
    scales : of the scan and the network, see :func:`scales`
    provenance : the record of :mod:`pinn_data.run.run_record`
    cancelled : a watcher stopped it (:mod:`pinn_data.progress.reports`): the archive holds what was learned
        so far
    """

    archive: Path
    history: list[dict[str, Any]]
    seconds: float
    parameters: int
    resumed_after: int | None = None
    scales: Mapping[str, float] = attrs.field(factory=dict)
    provenance: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    cancelled: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen(eq=False)
class Reconstruction:
    """An object, and what it was made from.

    object : (row, column) complex64. ``abs(fftshift(fft2(smooth(probe * patch), norm='ortho')))`` predicts
        sqrt(counts); 0 where uncovered
    coverage : (row, column) float32, what each pixel counts: the probe intensity that it got, in units of the
        probe's maximum; with ``patch_weighting='uniform'`` the number of patches
    canvas : object pixels that the array covers
    positions : (position, 2) float64, object pixels, as (y, x)
    residual : R = sqrt(sum (predicted - measured)**2 / sum measured**2) of the amplitudes, over all frames;
        what was cut off or not covered predicts nothing
    probe : (N, N) or (mode, N, N) complex64 that the prediction uses
    seconds : 'network', 'stitching', 'total' (from the arrays to the image, the residual not counted), and
        'solver' where it followed
    smoothing_sigma : width of the smoothing of exit waves that the model was trained with; 0: none
    scales : of the scan and the network, see :func:`scales`
    provenance : the record of :mod:`pinn_data.run.run_record`
    refined : what the solver found besides the image, positions and probe; None: the image is the network's
        own
    """

    object: NDArray[np.complex64]
    coverage: NDArray[np.float32]
    canvas: Canvas
    positions: NDArray[np.float64]
    residual: float
    probe: NDArray[np.complex64]
    seconds: dict[str, float]
    gridsize: int
    smoothing_sigma: float = 0.0
    scales: Mapping[str, float] = attrs.field(factory=dict)
    provenance: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    refined: Refined | None = attrs.field(default=None, repr=False)

    def predict_amplitude(self, frame: int) -> NDArray[np.float64]:
        """(N, N) predicted sqrt(counts) of one frame, zero frequency at N/2."""
        from pinn_data.optics.forward_model import (
            diffraction_amplitude,  # brings SciPy, which a result does not need
        )

        N = self.probe.shape[-1]
        whole, fraction = split_subpixel(self.canvas.local(self.positions[frame : frame + 1]))
        # One more row and column, for the patch of a fractional position; zeros where the image was cut.
        patch = np.zeros((N + 1, N + 1), np.complex64)
        corner = whole[0] - N // 2
        first, last = np.maximum(corner, 0), np.minimum(corner + N + 1, self.object.shape)
        if (first < last).all():
            (top, left), (bottom, right) = first - corner, last - corner
            patch[top:bottom, left:right] = self.object[first[0] : last[0], first[1] : last[1]]
        predicted = diffraction_amplitude(
            patch, self.probe, N // 2 + fraction, smoothing_sigma=self.smoothing_sigma
        )[0]
        if self.refined is None:
            return predicted
        bright = 1.0 if self.refined.frame_intensity is None else self.refined.frame_intensity[frame]
        return np.sqrt(predicted**2 * bright + self.refined.background)
