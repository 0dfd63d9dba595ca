"""Registration of a reconstruction with what it is compared to.

Ptychography leaves free a global phase and scale, a shift, and (with an unknown probe) a linear phase ramp;
they are fitted before two complex images are compared.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from skimage.registration import phase_cross_correlation

from pinn_data.errors import ShapeError
from pinn_data.optics.probe import fourier_shift

__all__ = ["ORIENTATIONS", "Alignment", "align", "phase_ramp"]

Complex = NDArray[np.complex128]

ORIENTATIONS: dict[str, Callable[[Complex], Complex]] = {
    "id": lambda a: a,
    "T": lambda a: a.T,
    "fy": lambda a: a[::-1],
    "fx": lambda a: a[:, ::-1],
    "r180": lambda a: a[::-1, ::-1],
    "Tfy": lambda a: a.T[::-1],
    "Tfx": lambda a: a.T[:, ::-1],
    "Tr180": lambda a: a.T[::-1, ::-1],
}
"""The eight ways to lay an image down; :attr:`Alignment.orientation` adds a ``*`` where it is conjugated."""

_BORDER = 16  # pixels around the truth, so that a sub-pixel shift has its edge outside the region of interest
_ROUNDS = 3
_UPSAMPLE = 100  # sub-pixel registration to 0.01 px


@attrs.frozen(eq=False)
class Alignment:
    """A reconstruction laid over the truth, both cut to the region of interest.

    recon, truth : (row, column) complex128
        ``recon`` has been shifted, freed of its ramp and multiplied by ``scale * exp(1j * phase)``.
    offset : (y, x) float, pixels
        ``recon[r, c]`` as given lies on ``truth[r + y, c + x]``.
    orientation : name in :data:`ORIENTATIONS`
    ramp : (y, x) radians a pixel, removed
    scale, phase : the complex constant, fitted by least squares
    """

    recon: Complex
    truth: Complex
    offset: tuple[float, float]
    orientation: str
    ramp: tuple[float, float]
    scale: float
    phase: float


def align(
    recon: ArrayLike,
    truth: ArrayLike,
    *,
    roi: tuple[int, int, int, int] | ArrayLike | None = None,
    guess: tuple[float, float] | None = None,
    remove_ramp: bool = False,
    orientations: bool = False,
) -> Alignment:
    """The reconstruction, registered with the truth and cut to the region of interest.

    Whole pixels by normalised cross-correlation over the whole field (the two may differ in size), then to
    0.01 px by phase-sensitive cross-correlation inside the region, then one complex constant by least
    squares.

    Parameters
    ----------
    recon, truth : (row, column) complex
        NaN and infinity in ``recon`` count as 0 (nothing reconstructed).
    roi : (row0, row1, column0, column1), default all of ``truth``
        What to compare, in pixels of ``truth``.
    guess : (y, x), pixels
        Known offset (see :class:`Alignment`), in place of the search by whole pixels.
    remove_ramp : bool
        Fit and remove a linear phase ramp.  The search then goes by amplitude alone: give ``guess`` for an
        object without amplitude contrast.
    orientations : bool
        Also try flipped, transposed and conjugated reconstructions and keep the best: for finding out what
        is wrong.

    Raises
    ------
    ShapeError
        An array has not two axes, the region is empty or reaches outside ``truth``, or the reconstruction
        does not reach into it.
    """
    image, target = np.asarray(recon, np.complex128), np.asarray(truth, np.complex128)
    if image.ndim != 2 or target.ndim != 2:
        raise ShapeError(
            f"images of shapes {image.shape} and {target.shape} were given, but (row, column) is "
            "needed for both"
        )
    image = np.where(np.isfinite(image), image, 0)
    r0, r1, c0, c1 = (
        (0, target.shape[0], 0, target.shape[1]) if roi is None else (int(v) for v in np.asarray(roi))
    )
    if not (0 <= r0 < r1 <= target.shape[0] and 0 <= c0 < c1 <= target.shape[1]):
        raise ShapeError(
            f"the region of interest {(r0, r1, c0, c1)} must be (row0, row1, column0, column1) "
            "inside the truth of shape "
            f"{target.shape}"
        )
    core = target[r0:r1, c0:c1]
    if guess is not None and not orientations:
        name, offset = "id", guess
    else:
        name, image, offset = _search(image, core, (r0, c0), guess, remove_ramp, orientations)
    corner = (round(offset[0]), round(offset[1]))
    canvas = _laid_down(image, corner, target.shape)
    inside = (slice(r0 + _BORDER, r1 + _BORDER), slice(c0 + _BORDER, c1 + _BORDER))
    if not canvas[inside].any():
        raise ShapeError(
            f"the reconstruction of shape {image.shape} at offset {corner} has nothing inside the "
            "region of interest "
            f"{(r0, r1, c0, c1)}: choose another region or offset"
        )
    moved, shift, ramp = _refined(canvas, core, inside, remove_ramp)
    constant = np.vdot(moved, core) / np.vdot(moved, moved).real
    return Alignment(
        recon=moved * constant,
        truth=core,
        offset=(corner[0] + float(shift[0]), corner[1] + float(shift[1])),
        orientation=name,
        ramp=(float(ramp[0]), float(ramp[1])),
        scale=float(abs(constant)),
        phase=float(np.angle(constant)),
    )


def phase_ramp(field: ArrayLike) -> tuple[float, float]:
    """Slope (y, x), radians a pixel, of the linear phase in a complex image.

    Starts from the highest peak of the Fourier transform and ends with a least-squares fit of the remaining
    phase, weighted by amplitude.  ``phase_ramp(exp(1j * (a*y + b*x))) == (a, b)`` for slopes between -pi
    and pi.
    """
    image = np.asarray(field, np.complex128)
    shape = tuple(4 * s for s in image.shape)
    peak = np.unravel_index(np.argmax(np.abs(fft.fft2(image, shape))), shape)
    slope = np.array([2 * np.pi * fft.fftfreq(n)[i] for i, n in zip(peak, shape, strict=True)])
    y, x = (np.arange(s, dtype=np.float64) - (s - 1) / 2 for s in image.shape)
    Y, X = (g.ravel() for g in np.meshgrid(y, x, indexing="ij"))
    design = np.stack([np.ones_like(Y), Y, X])
    for _ in range(5):  # each round unwraps more of what is left
        rest = image * np.exp(-1j * slope[0] * y)[:, None] * np.exp(-1j * slope[1] * x)
        rest = rest * np.exp(-1j * np.angle(rest.sum()))
        weight = np.abs(rest).ravel() ** 2
        weighted = design * weight
        correction = np.linalg.lstsq(weighted @ design.T, weighted @ np.angle(rest).ravel(), rcond=None)[0][
            1:
        ]
        slope += correction
        if np.abs(correction).max() < 1e-9:
            break
    return float(slope[0]), float(slope[1])


def _search(
    image: Complex,
    core: Complex,
    corner: tuple[int, int],
    guess: tuple[float, float] | None,
    by_amplitude: bool,
    orientations: bool,
) -> tuple[str, Complex, tuple[float, float]]:
    """The best orientation: its name, the image laid down that way, and its offset."""
    best: tuple[float, str, Complex, tuple[float, float]] | None = None
    for name, turn in ORIENTATIONS.items() if orientations else [("id", ORIENTATIONS["id"])]:
        for suffix in ("", "*") if orientations else ("",):
            candidate = turn(image).conj() if suffix else turn(image)
            a, b = (np.abs(core), np.abs(candidate)) if by_amplitude else (core, candidate)
            (y, x), score = _correlation_peak(a, b)
            offset = guess if guess is not None and name + suffix == "id" else (corner[0] - y, corner[1] - x)
            if best is None or score > best[0]:
                best = (score, name + suffix, candidate, offset)
    assert best is not None
    return best[1:]


def _correlation_peak(core: NDArray, image: NDArray) -> tuple[tuple[int, int], float]:
    """Whole (y, x) with ``core[r, c]`` like ``image[r + y, c + x]``, and how well they agree there."""
    known = image != 0
    centred = np.where(known, image - (image[known].mean() if known.any() else 0), 0)
    shape = tuple(fft.next_fast_len(a + b - 1) for a, b in zip(core.shape, image.shape, strict=True))

    def correlated(a: NDArray, b: NDArray) -> Complex:
        return fft.ifft2(fft.fft2(a, shape).conj() * fft.fft2(b, shape))

    match = np.abs(correlated(core - core.mean(), centred))
    # By the image's energy under the core, so that bright regions do not win; and a small overlap never does.
    energy = correlated(np.ones(core.shape), np.abs(centred) ** 2).real
    match = np.where(
        energy > 0.5 * energy.max(), match / np.sqrt(np.maximum(energy, np.finfo(float).tiny)), 0
    )
    peak = np.unravel_index(np.argmax(match), shape)
    y, x = (int(p) - n if p >= size else int(p) for p, n, size in zip(peak, shape, image.shape, strict=True))
    return (y, x), float(match.max())


def _laid_down(image: Complex, corner: tuple[int, int], shape: tuple[int, ...]) -> Complex:
    """The image on a canvas of the truth's shape and a border, its first pixel on ``corner`` of the truth."""
    canvas = np.zeros((shape[0] + 2 * _BORDER, shape[1] + 2 * _BORDER), np.complex128)
    to, source = [], []
    for start, size, limit in zip(corner, image.shape, canvas.shape, strict=True):
        low, high = max(0, start + _BORDER), min(limit, start + _BORDER + size)
        to.append(slice(low, max(low, high)))
        source.append(slice(low - start - _BORDER, max(low, high) - start - _BORDER))
    canvas[tuple(to)] = image[tuple(source)]
    return canvas


def _refined(
    canvas: Complex, core: Complex, inside: tuple[slice, slice], remove_ramp: bool
) -> tuple[Complex, NDArray[np.float64], NDArray[np.float64]]:
    """The canvas inside the region after sub-pixel shift and ramp; the shift and the ramp (y, x)."""
    window = np.outer(np.hanning(core.shape[0] + 2)[1:-1], np.hanning(core.shape[1] + 2)[1:-1])
    target = (core - core.mean()) * window
    rows, columns = np.arange(canvas.shape[0])[:, None], np.arange(canvas.shape[1])
    shift, ramp = np.zeros(2), np.zeros(2)
    moved = canvas[inside]
    for _ in range(_ROUNDS):
        flat = canvas
        if remove_ramp:
            ramp += phase_ramp(moved * core.conj())
            flat = canvas * np.exp(-1j * ramp[0] * rows) * np.exp(-1j * ramp[1] * columns)
            moved = fourier_shift(flat, shift)[inside]
        contrast = moved - moved.mean()
        if np.linalg.norm(contrast) <= 1e-9 * np.linalg.norm(moved):
            break  # a constant image lies as well anywhere
        step, _, _ = phase_cross_correlation(
            target, contrast * window, upsample_factor=_UPSAMPLE, normalization=None
        )
        shift += step
        moved = fourier_shift(flat, shift)[inside]
        if not remove_ramp and np.abs(step).max() < 2 / _UPSAMPLE:
            break
    return moved, shift, ramp
