"""A reconstruction against the truth, or against the other half of its own scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_data.metrics.scores import HalfScanCorrelation, RingCorrelation, align, evaluate, frc, half_scan_frc

from pinn_dispatch.errors import DispatchError
from pinn_dispatch.reconstruction import Image

__all__ = ["Box", "Comparison", "checked_box", "common_box", "compare", "compare_halves", "scan_box"]

Box = tuple[int, int, int, int]

_RIM = 6  # pixels inside the outermost positions, where the probe's rim alone has been
_SMALLEST = 16  # pixels along a side of a region that scores make sense for


@attrs.frozen(eq=False)
class Comparison:
    """A reconstruction laid over the truth, in the region that is scored.

    amplitude, amplitude_true, phase, phase_true : (row, column) float64; phases in radians, the global phase
    (and ramp) fitted
    frc_amplitude, frc_phase : ring correlations of these
    scores : of :func:`pinn_data.metrics.scores.evaluate`
    roi : (row0, row1, column0, column1) in the truth
    """

    amplitude: NDArray[np.float64]
    amplitude_true: NDArray[np.float64]
    phase: NDArray[np.float64]
    phase_true: NDArray[np.float64]
    frc_amplitude: RingCorrelation
    frc_phase: RingCorrelation
    scores: dict[str, Any]
    roi: Box


def scan_box(
    positions: NDArray[np.float64], origin: tuple[float, float], shape: tuple[int, ...], rim: int = _RIM
) -> Box:
    """The rectangle that the scan covers well, in pixels of an image that lies at `origin`: the outermost
    positions, less `rim`.

    Raises DispatchError where that leaves fewer than 16 pixels along a side.
    """
    low = np.ceil(positions.min(axis=0) - origin).astype(int) + rim
    high = np.floor(positions.max(axis=0) - origin).astype(int) - rim
    return checked_box((max(low[0], 0), min(high[0], shape[0]), max(low[1], 0), min(high[1], shape[1])))


def compare(found: Image, truth: Image, *, roi: Box | None = None, remove_ramp: bool = False) -> Comparison:
    """`found` against `truth`, which lie in the same coordinates.

    A shift (in the scores as ``offset``), one complex constant and, if asked for, a phase ramp are fitted;
    flips are not tried, they would hide a wrong orientation.

    roi : what is scored, in pixels of the truth; default what the positions of `found` cover
    """
    if roi is None:
        known = found.positions
        if known is None:
            known = np.array([found.origin, np.add(found.origin, found.image.shape)], dtype=np.float64)
        roi = scan_box(known, truth.origin, truth.image.shape)
    options: dict[str, Any] = {
        "roi": roi,
        "guess": tuple(np.subtract(found.origin, truth.origin)),
        "remove_ramp": remove_ramp,
    }
    fit = align(found.image, truth.image, **options)
    amplitude, amplitude_true = np.abs(fit.recon), np.abs(fit.truth)
    amplitude *= np.vdot(amplitude, amplitude_true) / np.vdot(amplitude, amplitude)
    error = fit.recon * fit.truth.conj()
    error *= np.exp(-1j * np.angle(np.mean(np.exp(1j * np.angle(error)))))
    phase_true = np.angle(fit.truth)
    phase = phase_true + np.angle(error)
    return Comparison(
        amplitude=amplitude,
        amplitude_true=amplitude_true,
        phase=phase,
        phase_true=phase_true,
        frc_amplitude=frc(amplitude, amplitude_true),
        frc_phase=frc(phase, phase_true),
        scores=evaluate(found.image, truth.image, **options),
        roi=roi,
    )


def compare_halves(
    first: Image, second: Image, *, size: int = 256, box: Box | None = None
) -> HalfScanCorrelation:
    """Ring correlation of two reconstructions from disjoint frames of one scan, where both cover it well.

    size : pixels along a side of the largest square that is compared
    box : (row0, row1, column0, column1), object pixels, in whose middle it lies; default what both cover

    Raises DispatchError where they overlap too little.
    """
    if box is None and (first.positions is None or second.positions is None):
        raise DispatchError(
            "two halves are compared in the area that both cover, but one file holds no positions: give "
            "two reconstructions"
        )
    # The first pixel that lies in both; files in metres round by less than a twentieth of a pixel.
    origin = np.ceil(np.maximum(first.origin, second.origin) - 0.05).astype(int)
    starts = [np.rint(origin - image.origin).astype(int) for image in (first, second)]
    size_px = np.min(
        [image.image.shape - start for image, start in zip((first, second), starts, strict=True)], axis=0
    )
    if (size_px < _SMALLEST).any():
        raise DispatchError(
            "the two reconstructions hardly overlap, so they cannot be compared: give two halves of one scan"
        )
    cut = [
        image.image[y : y + size_px[0], x : x + size_px[1]]
        for image, (y, x) in zip((first, second), starts, strict=True)
    ]
    if box is None:
        boxes = [
            scan_box(i.positions, (origin[0], origin[1]), cut[0].shape)
            for i in (first, second)
            if i.positions is not None
        ]
        field = common_box(boxes)
    else:
        field = checked_box(np.subtract(box, np.repeat(origin, 2)))
    side = min(size, field[1] - field[0], field[3] - field[2])
    r0, c0 = (math.floor((field[i] + field[i + 1] - side) / 2) for i in (0, 2))
    return half_scan_frc(cut[0], cut[1], roi=(r0, r0 + side, c0, c0 + side))


def common_box(boxes: Sequence[Box]) -> Box:
    """What lies in all of `boxes`; raises DispatchError where that is less than 16 pixels wide or high."""
    rows, columns = ([(b[i], b[i + 1]) for b in boxes] for i in (0, 2))
    return checked_box(
        [
            side
            for spans in (rows, columns)
            for side in (max(low for low, _ in spans), min(high for _, high in spans))
        ]
    )


def checked_box(box: ArrayLike) -> Box:
    """`box` in whole numbers; raises DispatchError where it is less than 16 pixels wide or high."""
    r0, r1, c0, c1 = (int(v) for v in np.asarray(box))
    if min(r1 - r0, c1 - c0) < _SMALLEST:
        raise DispatchError(
            f"only {max(r1 - r0, 0)} x {max(c1 - c0, 0)} pixels are well covered by the scan, but at least "
            f"{_SMALLEST} x "
            f"{_SMALLEST} are needed for a comparison: reconstruct a larger part"
        )
    return r0, r1, c0, c1
