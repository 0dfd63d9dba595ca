"""Simulated scans: an object from pictures, scan positions, and patterns with Poisson noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage import color, data, transform

from pinn_data.errors import DataRangeError, PinnDataError, PositionError
from pinn_data.optics.forward_model import Subpixel, intensity_blocks
from pinn_data.optics.probe import probe_modes
from pinn_data.scan.measured_pixels import as_background
from pinn_data.scan.positions import validate_positions
from pinn_data.scan.scan import Scan

__all__ = ["PICTURES", "jittered_raster", "picture", "picture_object", "simulate_scan"]

PICTURES = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "moon",
    "page",
    "text",
)
"""Pictures that scikit-image ships inside its wheel: nothing is downloaded."""

_MOST_COUNTS = 2**31  # expected in a pixel; what is drawn is stored as uint32
_NORMALISING_POSITIONS = 256  # exposures averaged to set the probe to a number of photons


def picture(name: str, size: int, *, quarter_turns: int = 0) -> NDArray[np.float64]:
    """A picture as (size, size) float64 between 0 and 1: grey, its central square, smoothly resized.

    Raises PinnDataError for a name that is not in :data:`PICTURES`, or a size below 8.
    """
    if name not in PICTURES:
        raise PinnDataError(f"there is no picture {name!r}: choose one of {', '.join(PICTURES)}")
    if size < 8:
        raise PinnDataError(f"a picture of {size} pixels was asked for, but it must have at least 8")
    image = np.asarray(getattr(data, name)())
    image = color.rgb2gray(image) if image.ndim == 3 else image.astype(np.float64)
    image = np.rot90(image, quarter_turns)
    side = min(image.shape)
    r, c = ((s - side) // 2 for s in image.shape)
    square = image[r : r + side, c : c + side]
    image = transform.resize(square, (size, size), order=3, anti_aliasing=True, mode="reflect")
    image = ndimage.gaussian_filter(image, 0.6)  # what a pixel cannot hold would alias in the far field
    low, high = np.percentile(image, [0.5, 99.5])
    return np.clip((image - low) / (high - low), 0.0, 1.0)


def picture_object(
    name_amp: str,
    name_phase: str,
    size: int,
    *,
    amplitude: tuple[float, float] = (0.6, 1.0),
    phase: tuple[float, float] = (-0.8, 0.8),
    quarter_turns: tuple[int, int] = (0, 0),
) -> NDArray[np.complex128]:
    """An object (size, size) complex128 with one picture as its amplitude and another as its phase.

    Parameters
    ----------
    name_amp, name_phase : names in :data:`PICTURES`
    size : pixels along a side
    amplitude : (darkest, brightest) transmission
    phase : (darkest, brightest), radians
    quarter_turns : of either picture, counter-clockwise
    """
    modulus = amplitude[0] + (amplitude[1] - amplitude[0]) * picture(
        name_amp, size, quarter_turns=quarter_turns[0]
    )
    angle = phase[0] + (phase[1] - phase[0]) * picture(name_phase, size, quarter_turns=quarter_turns[1])
    phasor: NDArray[np.complex128] = np.exp(1j * angle)
    return modulus * phasor


def jittered_raster(
    object_shape: tuple[int, int],
    N: int,
    step: float,
    jitter: float,
    rng: np.random.Generator | int,
    margin: float = 0.0,
) -> NDArray[np.float64]:
    """Scan positions on a raster, row by row, each moved at random: an exact raster would leave its own grid.

    As many rows and columns as fit, centred on the object, so that every patch lies inside it.

    Parameters
    ----------
    object_shape : (rows, columns)
    N : pixels along a side of a patch
    step : pixels between neighbours
    jitter : pixels, most that a position moves along each axis
    rng : Generator or seed
    margin : pixels kept free besides, on each side

    Returns
    -------
    (position, 2) float64, object pixels, as (y, x)

    Raises
    ------
    PositionError
        Not one position fits, or step, jitter or margin is out of range.
    """
    if not step > 0 or jitter < 0 or margin < 0:
        raise PositionError(
            f"step={step}, jitter={jitter}, margin={margin} were given, but step > 0 and the "
            "others >= 0 are needed"
        )
    axes = []
    for size in object_shape:
        # A patch at y needs rows y - N/2 to y + N/2 - 1, and one more at a fraction; both ends may be moved
        # by jitter.
        low, high = N / 2 + margin + jitter, size - N / 2 - 1 - margin - jitter
        if high < low:
            raise PositionError(
                f"no position fits: an object of {tuple(object_shape)} pixels is too small for patches "
                f"of {N} with jitter {jitter} "
                f"and margin {margin}: use a larger object"
            )
        count = int((high - low) // step) + 1
        axes.append((low + high - step * (count - 1)) / 2 + step * np.arange(count))
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid + np.random.default_rng(rng).uniform(-jitter, jitter, grid.shape)


def simulate_scan(
    object: ArrayLike,
    probe: ArrayLike,
    positions: ArrayLike,
    *,
    photons: float | None = None,
    rng: np.random.Generator | int,
    subpixel: Subpixel = "probe",
    background: ArrayLike | None = None,
    bad_pixels: ArrayLike | None = None,
) -> Scan:
    """A scan as a detector would count it: Poisson counts of the forward model's intensities.

    Parameters
    ----------
    object : (row, column) complex
    probe : (N, N) or (modes, N, N) complex
    positions : (position, 2) float64, object pixels, as (y, x)
    photons : float, optional
        The probe is scaled so that a pattern holds that many photons on average, without the background and
        with every pixel measured; None leaves it as it is, in sqrt(photons).
    rng : Generator or seed
        The same seed gives the same counts.
    subpixel : 'probe' or 'none'
        See :mod:`pinn_data.optics.forward_model`.
    background : () or (N, N) real, optional
        Counts that are expected in every pattern besides.
    bad_pixels : (N, N) or (position, N, N) bool, optional
        True where nothing is measured.

    Returns
    -------
    Scan
        ``unit='counts'`` (uint16, or uint32 where a count is above 65534, because the largest number marks a
        pixel that was not measured), with the exact object, the scaled probe, background and bad pixels.

    Raises
    ------
    PositionError
        A patch reaches outside the object.
    PinnDataError
        ``photons`` is not a positive number, or the illuminated object is dark.
    """
    points = validate_positions(positions)
    modes = probe_modes(probe).astype(np.complex128)
    image = np.asarray(object, np.complex128)
    if photons is not None:
        modes = modes * np.sqrt(photons / _mean_photons(image, modes, points, subpixel, photons))
    generator = np.random.default_rng(rng)
    N = modes.shape[-1]
    counts = np.empty((len(points), N, N), np.uint16)
    besides = as_background(background)
    for block, intensity in intensity_blocks(image, modes, points, subpixel=subpixel, background=besides):
        if not intensity.max() < _MOST_COUNTS:
            raise DataRangeError(
                f"a pixel would get {intensity.max():.3g} photons, but at most {_MOST_COUNTS:.0e} can be "
                "counted: ask for fewer photons, or scale the object and the probe"
            )
        drawn = generator.poisson(intensity)
        if drawn.max() >= np.iinfo(counts.dtype).max:
            counts = counts.astype(np.uint32)
        counts[block] = drawn
    return Scan(
        diffraction=counts,
        unit="counts",
        positions=points,
        probe=modes if np.ndim(probe) == 3 else modes[0],
        object=image,
        metadata={"simulated": True, "subpixel": subpixel},
        bad_pixels=bad_pixels,
        background=besides,
    )


def _mean_photons(
    object: NDArray[np.complex128],
    modes: NDArray[np.complex128],
    points: NDArray[np.float64],
    subpixel: Subpixel,
    wanted: float,
) -> float:
    """Photons a pattern holds on average: at positions all over the scan."""
    if not (np.isfinite(wanted) and wanted > 0):
        raise PinnDataError(f"photons={wanted} was given, but it must be a positive number")
    some = np.unique(np.linspace(0, len(points) - 1, _NORMALISING_POSITIONS).astype(np.int64))
    energy = sum(block.sum() for _, block in intensity_blocks(object, modes, points[some], subpixel=subpixel))
    mean = float(energy) / len(some)
    if not np.isfinite(mean):
        raise DataRangeError(
            f"{mean} photons would leave the object: scale the object and the probe to numbers that "
            "can be squared"
        )
    if mean == 0:
        raise PinnDataError("no light leaves the object: the probe or the object is zero where they meet")
    return mean
