"""A scan as a network wants it, made batch by batch: the measured stack is never copied."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from pinn_config.configs import TrainingConfig
from pinn_config.objective import Objective

from pinn_data.errors import DataRangeError
from pinn_data.grouping.labels import ObjectLabels
from pinn_data.optics.forward_model import far_field
from pinn_data.optics.probe import probe_modes
from pinn_data.scan.diffraction import intensity_scale
from pinn_data.scan.positions import split_subpixel
from pinn_data.scan.scan import Scan

__all__ = ["PatternStack", "diffraction_energy", "labels_for", "report_overruled"]

_LOG = logging.getLogger(__name__)


class PatternStack:
    """Patterns by rows of frame numbers, one gather a batch.

    scale : network amplitude = scale * measured amplitude, so that the mean energy of a pattern is (N/2)**2
    labels : where a training needs them, what its batches have besides
    nphotons : photons of a mean pattern, from a configuration; default, and always where the patterns are
        counts, what is measured
    intensity_scale : factor from network amplitudes to sqrt(photons)
    measured : (N, N) or (frame, N, N) bool, or None where every pixel was measured
    stray : (N, N) float32, the background in the square of the network's amplitudes, or None
    centres, fractions : (frame, 2) int64 and float32, as (y, x): ``position = centre + fraction``

    Raises DataRangeError where all patterns are empty.
    """

    def __init__(self, scan: Scan, labels: ObjectLabels | None = None, nphotons: float | None = None) -> None:
        self.labels = labels
        self.diffraction = scan.diffraction
        self.unit = scan.unit
        self.N = scan.N
        energy = diffraction_energy(scan)
        if energy <= 0:
            raise DataRangeError(
                "all diffraction patterns are empty (no counts), so there is nothing to learn "
                "from: check the file"
            )
        self.nphotons = energy if nphotons is None or scan.holds_counts else nphotons
        self.scale = (self.N / 2) / float(np.sqrt(energy))
        self.intensity_scale = intensity_scale(self.nphotons, self.N)
        self.measured = None if scan.bad_pixels is None else ~scan.bad_pixels
        self.stray = None
        if scan.background is not None:
            whole = np.broadcast_to(scan.background, (self.N, self.N))
            self.stray = (whole * self.scale**2).astype(np.float32)
        centres, fractions = split_subpixel(scan.positions)
        self.centres = centres
        self.fractions = fractions.astype(np.float32)

    def __len__(self) -> int:
        return len(self.diffraction)

    def batch(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        """The patterns of these groups (group, pattern) of frame numbers.

        ``amplitude`` (group, pattern, N, N) float32 with mean energy (N/2)**2 over the scan, and the arrays
        of `geometry`.
        """
        amplitude = self.patterns(rows)
        if self.unit != "amplitude":
            np.sqrt(amplitude, out=amplitude)
        amplitude *= np.float32(self.scale)
        return {"amplitude": amplitude, **self.geometry(rows)}

    def patterns(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(group, pattern, N, N) float32 in the unit of the measurement; a copy, for the caller to change."""
        stack = self.diffraction[rows.reshape(-1)]
        return np.ascontiguousarray(stack, dtype=np.float32).reshape(*rows.shape, self.N, self.N)

    def geometry(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        """``centres`` (group, pattern, 2) int64, ``fractions`` (group, pattern, 2) float32; with labels
        ``labels`` (group, pattern, N, N) complex64; with bad pixels ``measured`` (group, pattern, N, N)
        float32, 1 where measured, else 0; with a background ``stray`` (1, 1, N, N) float32."""
        arrays: dict[str, NDArray] = {"centres": self.centres[rows], "fractions": self.fractions[rows]}
        if self.measured is not None:
            flags = self.measured if self.measured.ndim == 2 else self.measured[rows]
            whole = np.broadcast_to(flags, (*rows.shape, self.N, self.N))
            arrays["measured"] = whole.astype(np.float32)
        if self.stray is not None:
            arrays["stray"] = self.stray[None, None]
        if self.labels is not None:
            arrays["labels"] = self.labels.patches(rows)
        return arrays


def diffraction_energy(scan: Scan) -> float:
    """Photons that diffraction brings to the whole detector in a mean pattern: what was counted without the
    background, over the share of the probe's own far field that falls on measured pixels."""
    counted = scan.nphotons
    if scan.bad_pixels is None and scan.background is None:
        return counted
    bad = np.zeros((scan.N, scan.N)) if scan.bad_pixels is None else scan.bad_pixels
    measured = 1.0 - (bad if bad.ndim == 2 else bad.mean(axis=0))
    if scan.background is not None:
        counted -= float((scan.background * measured).sum())
    light = np.square(np.abs(far_field(probe_modes(scan.probe)))).sum(axis=0)
    share = float((light * measured).sum() / light.sum())
    return counted / max(share, 1e-3)


def labels_for(scan: Scan, config: TrainingConfig) -> ObjectLabels | None:
    """The labels that a training with this configuration learns from; None where it needs none.

    Raises LabelError and PositionError as `ObjectLabels` does.
    """
    objective = Objective.of(config)
    if not objective.needs_labels:
        return None
    why = (
        "model_type='supervised'"
        if objective.supervised
        else f"realspace_mae_weight={objective.realspace_mae_weight:g}"
    )
    return ObjectLabels(scan, why, config.model.gaussian_smoothing_sigma)


def report_overruled(scan: Scan, config: TrainingConfig) -> None:
    """Says where a training goes by its scan and not by its configuration: which number of photons the
    likelihood takes where they differ, and that there are positions where it says that there are none."""
    configured = config.nphotons
    if not config.positions_provided:
        _LOG.warning(
            "positions_provided=False has no effect: a scan always has positions, and its groups are made "
            "from them"
        )
    if not scan.holds_counts:
        _LOG.info(
            "the patterns are not counts, so a mean pattern is taken for nphotons=%g photons",
            configured,
        )
    # The default stands for no opinion.
    elif configured != TrainingConfig.nphotons and not 0.5 <= configured / scan.nphotons <= 2:
        _LOG.warning(
            "nphotons=%g was given, but the patterns hold %.4g photons on average: the measured number is "
            "used; fix nphotons, or check the unit of the patterns",
            configured,
            scan.nphotons,
        )
