"""What looks wrong with a scan, before any work is done: each finding says what to do.

A sample of the frames is enough. A check that would fire on a good scan is worse than none, so each asks for
much: what is borderline is found by the solver, and told by its verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial import KDTree

from pinn_data.optics.probe import probe_modes
from pinn_data.scan.detector_window import is_corner_centred
from pinn_data.scan.diffraction import Unit, convert_block, holds_counts, is_whole, unit_of_fractions
from pinn_data.scan.scan import Scan

__all__ = ["Finding", "Sample", "check_sample", "check_scan", "sampled_frames"]

_FRAMES, _LEAST_FRAMES, _PIXELS = 256, 16, 2**22
_NO_STEP_PX = 0.3
_METRES_PX = 1e-2
_OFF_CENTRE = 0.05  # of N
_BETTER_THERE = 1.1
_SPIKE = 10.0
_ENOUGH_FRAMES = 8
_MANY = 20
_BRIGHT = 64
_SHOWN = 5


@attrs.frozen
class Finding:
    """What looks wrong.

    level : 'bad', no image is to be expected; or 'warning'
    name : a word or two
    sentence : what was found, and what to do
    """

    level: Literal["bad", "warning"]
    name: str
    sentence: str


@attrs.frozen(eq=False)
class Sample:
    """Some frames of a scan.

    frames : (k, N, N) as stored, 0 where not measured
    unit : 'counts', 'intensity' or 'amplitude'
    good : (N, N) bool, measured in all frames
    """

    frames: NDArray[Any]
    unit: Unit
    good: NDArray[np.bool_]


def sampled_frames(count: int, N: int) -> NDArray[np.int64]:
    """Numbers of the frames to look at, spread evenly over `count`; few MB of them."""
    number = min(count, _FRAMES, max(_LEAST_FRAMES, _PIXELS // N**2))
    return np.unique(np.linspace(0, count - 1, number).astype(np.int64))


def check_scan(scan: Scan) -> list[Finding]:
    """What looks wrong with a scan; an empty list for a good one."""
    bad = scan.bad_pixels
    if bad is None:
        good = np.ones((scan.N, scan.N), bool)
    else:
        good = ~(bad if bad.ndim == 2 else np.any(bad, axis=0))
    frames = np.asarray(scan.diffraction[sampled_frames(len(scan), scan.N)])
    return check_sample(scan.positions, scan.probe, Sample(frames, scan.unit, good))


def check_sample(positions: NDArray[np.float64], probe: NDArray[Any], sample: Sample) -> list[Finding]:
    """What looks wrong with a scan of these positions (n, 2), object pixels, and this probe ([modes,] N, N),
    of whose frames some are looked at.
    """
    intensity = np.asarray(convert_block(sample.frames, sample.unit, "intensity"), np.float64)
    mean = np.where(sample.good, intensity.mean(axis=0), 0.0)
    far_field = np.sum(np.abs(fft.fft2(probe_modes(probe).astype(np.complex128))) ** 2, axis=0)
    light = fft.fftshift(far_field) * sample.good
    light *= mean.sum() / max(light.sum(), 1e-300)
    return [
        *_positions(positions, sample.good.shape[0]),
        *_centre(mean, light),
        *_pixels(intensity, mean, light, sample.good),
        *_units(sample, intensity, probe),
    ]


def _positions(positions: NDArray[np.float64], N: int) -> Iterator[Finding]:
    if len(positions) < 2:
        return
    places = np.unique(positions, axis=0)
    span = float(np.ptp(positions, axis=0).max())
    if len(places) == 1:
        yield Finding(
            "bad",
            "positions",
            f"all {len(positions)} positions are equal, so all patterns see the same part of the object: "
            "check xcoords and ycoords",
        )
        return
    step = float(np.median(KDTree(places).query(places, k=2)[0][:, 1]))
    if step < _NO_STEP_PX:
        unit = "metres" if step < _METRES_PX else "micrometres"
        yield Finding(
            "bad",
            "unit of positions",
            f"all {len(positions)} positions lie within {span:.2g} pixels of each other, nearest neighbours "
            f"{step:.2g} pixels apart: they seem to be {unit}, not object pixels; divide them by the size of "
            "an object pixel, or give --positions-unit to 'pinn convert'",
        )
    elif step > N:
        yield Finding(
            "bad",
            "unit of positions",
            f"nearest neighbours are {step:.4g} pixels apart, more than a pattern is wide ({N}), so no two "
            "patterns overlap: check the unit of the positions (nanometres?), which must be object pixels",
        )


def _centre(mean: NDArray[np.float64], light: NDArray[np.float64]) -> Iterator[Finding]:
    N = len(mean)
    if is_corner_centred(mean):
        yield Finding(
            "bad",
            "zero frequency",
            "the light lies in the corners of the patterns, so their zero frequency seems to be at [0, 0] "
            f"where [{N // 2}, {N // 2}] is needed: apply numpy.fft.fftshift over the last two axes, or give "
            "--zero-frequency corner to 'pinn convert'",
        )
        return
    off = _off_centre(mean, light)
    if off is not None:
        y, x = (int(N // 2 + shift) for shift in off)
        yield Finding(
            "warning",
            "centre",
            f"the light is centred at (y, x) = ({y}, {x}), but the probe at ({N // 2}, {N // 2}): move the "
            f"patterns by ({-off[0]}, {-off[1]}) pixels, or convert the frames with --centre {y},{x}",
        )


def _off_centre(mean: NDArray[np.float64], light: NDArray[np.float64]) -> tuple[int, int] | None:
    """How far (y, x) the patterns lie from the far field of the probe, pixels; None where they lie on it.

    The probe decides, not the middle: one that is tilted has its light elsewhere, and that is right.
    """
    N = len(mean)
    # Edges and single pixels weigh less in an amplitude.
    seen, told = (ndimage.gaussian_filter(np.sqrt(image), 1.0) for image in (mean, light))
    dark = seen - np.median(seen)
    if not (dark.any() and told.any()):
        return None
    match = np.real(fft.ifft2(fft.fft2(dark) * np.conj(fft.fft2(told))))
    peak = np.unravel_index(int(np.argmax(match)), match.shape)
    shift = np.array([(int(p) + N // 2) % N - N // 2 for p in peak])
    if np.abs(shift).max() < max(3.0, _OFF_CENTRE * N) or match[peak] < _BETTER_THERE * match[0, 0]:
        return None
    difference = np.subtract(*(np.array(ndimage.center_of_mass(image)) for image in (seen, told)))
    return (int(shift[0]), int(shift[1])) if difference @ shift > 0.3 * shift @ shift else None


def _pixels(
    intensity: NDArray[np.float64],
    mean: NDArray[np.float64],
    light: NDArray[np.float64],
    good: NDArray[np.bool_],
) -> Iterator[Finding]:
    if len(intensity) < _ENOUGH_FRAMES or not mean.any():
        return
    largest_beside = ndimage.maximum_filter(mean, footprint=_BESIDE, mode="constant")
    notable = (mean * len(intensity) > 30) & (mean > 1e-6 * mean.sum()) & good
    hot = notable & (mean > _SPIKE * np.maximum(largest_beside, light))
    stuck = notable & (np.ptp(intensity, axis=0) == 0) & (mean > 4)
    for name, found, what in (
        ("hot pixels", hot & ~stuck, f"count more than {_SPIKE:.0f} times their brightest neighbour"),
        ("stuck pixels", stuck, "hold the same number in every frame"),
    ):
        if found.any():
            yield Finding(
                "warning",
                name,
                f"{int(found.sum())} pixels {what} ({_named(found)}): mark them with --mask FILE, or let "
                "the solver find them",
            )
    brightest = np.where(good & ~hot & ~stuck, intensity, 0.0)
    top = float(brightest.max())
    clipped = brightest == top
    below = int(np.count_nonzero(brightest > 0.97 * top)) - int(clipped.sum())
    if top >= _BRIGHT and clipped.sum() >= max(_MANY, below):
        where = clipped.any(axis=0)
        yield Finding(
            "warning",
            "saturated pixels",
            f"{int(where.sum())} pixels never exceed {top:.6g} but reach it {int(clipped.sum())} times in "
            f"{len(intensity)} frames ({_named(where)}), so the detector seems to saturate there: mark them "
            "with --mask FILE, or measure with less light",
        )


_BESIDE = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def _named(pixels: NDArray[np.bool_]) -> str:
    places = [f"[{y}, {x}]" for y, x in np.argwhere(pixels)[:_SHOWN]]
    return ", ".join(places) + (", ..." if pixels.sum() > _SHOWN else "")


def _units(sample: Sample, intensity: NDArray[np.float64], probe: NDArray[Any]) -> Iterator[Finding]:
    frames, unit = sample.frames, sample.unit
    if unit == "amplitude" and frames.dtype.kind in "iu":
        yield Finding(
            "warning",
            "unit of patterns",
            "the patterns are read as amplitudes, but they are whole numbers, so they are likely counts: "
            "set diffraction_unit to 'counts' in the file",
        )
    elif unit == "amplitude" and not holds_counts(frames, unit):
        mean, mean_squares = (
            float(power.sum(axis=(1, 2), dtype=np.float64).mean()) for power in (frames, intensity)
        )
        if unit_of_fractions(mean, mean_squares, probe) == "intensity":
            yield Finding(
                "bad",
                "unit of patterns",
                "the patterns are read as amplitudes, but their sum equals the intensity of the probe, so "
                "they are likely intensities: set diffraction_unit to 'intensity' in the file, or give "
                "--unit intensity to 'pinn convert'",
            )
    elif unit == "counts" and not is_whole(frames):
        yield Finding(
            "warning",
            "unit of patterns",
            "the patterns are read as counts but hold fractions, so their noise is not photon noise: set "
            "diffraction_unit to 'intensity', or divide by the gain and round",
        )
    elif unit == "counts":
        values = np.unique(frames)
        step = math.gcd(*(int(value) for value in values))
        if step > 1 and len(values) > 10:
            yield Finding(
                "warning",
                "unit of patterns",
                f"every number in the patterns is a multiple of {step}, so they seem to be detector units "
                f"rather than photons: divide them by {step}",
            )
