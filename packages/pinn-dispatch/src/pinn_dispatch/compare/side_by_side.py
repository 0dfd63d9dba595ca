"""Several reconstructions of one sample, laid over each other and scored.

What ptychography leaves free is taken off: global phase, linear phase ramp, scale, and a shift against where
the files say that the images lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pinn_data.metrics.alignment import align, phase_ramp
from pinn_data.metrics.scores import RingCorrelation
from pinn_data.run.pictures import flat_phase

from pinn_dispatch.compare.comparison import Box, checked_box, common_box, compare, compare_halves, scan_box
from pinn_dispatch.errors import DispatchError
from pinn_dispatch.reconstruction import Image

__all__ = ["Panel", "SideBySide", "lay_side_by_side"]

_ROUNDS = 3
_SAME_SIZE = 0.01  # relative: over a field of some hundred pixels more would blur what is compared
_STILL = 1.0  # pixels: a smaller shift, as between two conventions, leaves the common field where it is
_ROUNDING = 0.05  # pixels: less is what a file's metres, or the registration, leave of a whole number
_TRUTH_SCORES = tuple(
    f"{score}_{part}"
    for score in ("ssim", "psnr", "mae", "frc50", "frc17", "frc_halfbit", "frcauc")
    for part in ("phase", "amp")
)
_SQUARE = 256  # pixels along a side of the largest square whose rings are correlated, as for two halves


@attrs.frozen(eq=False)
class Panel:
    """One reconstruction in the common field.

    amplitude, phase : (row, column) float64; phase in rad. Scale, global phase, ramp and shift are fitted to
        the reference, or without one to the first reconstruction
    curves : ring correlations ``phase`` and ``amplitude``, with the same; a reference has none
    scores : ``frc50_*``, ``frc17_*``, ``corr_*`` (Pearson's coefficient), * is phase or amp; with a reference
        ``ssim_*``, ``psnr_*``, ``mae_*`` besides; ``offset`` (y, x) in pixels against where the file says
        that the image lies, ``ramp`` (y, x) in rad a pixel
    """

    amplitude: NDArray[np.float64]
    phase: NDArray[np.float64]
    curves: Mapping[str, RingCorrelation] = attrs.field(factory=dict)
    scores: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class SideBySide:
    """Reconstructions by name, in the field that all of them cover.

    panels : in the order in which they were given
    reference : what they are held against; None: the first of them
    box : (row0, row1, column0, column1), object pixels of the reference or of the first
    """

    panels: Mapping[str, Panel]
    reference: Panel | None
    box: Box


def lay_side_by_side(
    images: Mapping[str, Image],
    reference: Image | None = None,
    *,
    box: Box | None = None,
    search: bool = False,
) -> SideBySide:
    """`images`, and the `reference` if there is one, registered and cut to a common field.

    With a reference each is scored against it as by `pinn_dispatch.compare.comparison.compare` with its ramp
    removed; otherwise against the first, as two halves of one scan are by
    `pinn_data.metrics.scores.half_scan_frc`.

    box : (row0, row1, column0, column1), object pixels, to compare; default what all scans cover
    search : find where the images lie by correlation, whatever their files say

    Raises DispatchError where there is too little to compare, ShapeError where an image is empty there.
    """
    if len(images) < (2 if reference is None else 1):
        raise DispatchError(
            "only one reconstruction was given, but a comparison needs two: add another, or a reference"
        )
    _check_pixel_sizes({**images, **({} if reference is None else {"the reference": reference})})
    first = next(iter(images))
    anchor = images[first] if reference is None else reference
    others = {name: image for name, image in images.items() if reference is not None or name != first}
    placed = {name: _searched(image, anchor) for name, image in others.items()} if search else others
    for _ in range(_ROUNDS):
        field = _common_field([anchor, *placed.values()], box)
        moved = {name: _registered(image, anchor, field) for name, image in placed.items()}
        if all(np.hypot(*np.subtract(moved[n].origin, placed[n].origin)) < _STILL for n in placed):
            break
        placed = moved  # the field that all cover moves along
    field = _common_field([anchor, *placed.values()], box)
    if reference is None:
        anchor = _flattened(anchor, field)
    by_truth = reference is not None
    panels = {name: _panel(placed[name], anchor, field, by_truth, others[name].origin) for name in others}
    itself = attrs.evolve(_panel(anchor, anchor, field, by_truth, anchor.origin), curves={})
    if reference is None:
        panels = {first: itself, **panels}
    return SideBySide(panels, None if reference is None else itself, field)


def _check_pixel_sizes(images: Mapping[str, Image]) -> None:
    sizes = {name: image.pixel_size_m for name, image in images.items() if image.pixel_size_m is not None}
    for name, size in sizes.items():
        first, other = next(iter(sizes.items()))
        if not np.allclose(size, other, rtol=_SAME_SIZE, atol=0):
            raise DispatchError(
                f"an object pixel of {name} is {1e9 * size[0]:.4g} x {1e9 * size[1]:.4g} nm, but of {first} "
                f"{1e9 * other[0]:.4g} x {1e9 * other[1]:.4g} nm: reconstruct both from patterns of the same "
                "number of pixels"
            )


def _searched(image: Image, anchor: Image) -> Image:
    """The image where it fits best over the anchor, by correlation of the whole fields."""
    roi = None if anchor.positions is None else scan_box(anchor.positions, anchor.origin, anchor.image.shape)
    return _moved(image, np.add(anchor.origin, align(image.image, anchor.image, roi=roi).offset))


def _registered(image: Image, anchor: Image, field: Box) -> Image:
    """The image where it fits over the anchor, at most some pixels from where it was."""
    guess = _pair(np.subtract(image.origin, anchor.origin))
    fit = align(image.image, anchor.image, roi=_pixels(field, anchor), guess=guess, remove_ramp=True)
    return _moved(image, np.add(anchor.origin, fit.offset))


def _moved(image: Image, origin: NDArray[np.float64]) -> Image:
    step = np.subtract(origin, image.origin)
    positions = None if image.positions is None else image.positions + step
    return attrs.evolve(image, origin=_pair(origin), positions=positions)


def _pair(values: ArrayLike) -> tuple[float, float]:
    y, x = (float(v) for v in np.asarray(values))
    return y, x


def _common_field(images: Sequence[Image], box: Box | None) -> Box:
    """What all images hold and their scans cover well, or the `box` that was asked for; object pixels."""
    try:
        whole = common_box([_object_box((0, i.image.shape[0], 0, i.image.shape[1]), i) for i in images])
    except DispatchError as error:
        raise DispatchError(
            "the images hardly overlap at the coordinates in their files: compare images of one sample, or "
            "align them by correlation (--search)"
        ) from error
    if box is None:
        covered = [
            _object_box(scan_box(i.positions, i.origin, i.image.shape), i)
            for i in images
            if i.positions is not None
        ]
        return common_box([whole, *covered])
    inside = common_box([whole, checked_box(box)])
    if inside != tuple(box):
        raise DispatchError(
            f"the region {box} reaches outside the area common to all images, {whole}: choose rows and "
            "columns inside it"
        )
    return inside


def _object_box(box: Box, image: Image) -> Box:
    """Pixels of the image as object pixels: the whole ones inside."""
    (y, x), (r0, r1, c0, c1) = image.origin, box
    low, high = (
        np.ceil(np.array([y + r0, x + c0]) - _ROUNDING),
        np.floor(np.array([y + r1, x + c1]) + _ROUNDING),
    )
    return int(low[0]), int(high[0]), int(low[1]), int(high[1])


def _pixels(field: Box, image: Image) -> Box:
    """Object pixels as those of the image."""
    r0, r1, c0, c1 = np.rint(np.subtract(field, np.repeat(image.origin, 2))).astype(int).tolist()
    return r0, r1, c0, c1


def _flattened(image: Image, field: Box) -> Image:
    """The image without its own phase ramp, whose wraps would count as structure; of mean amplitude 1."""
    r0, r1, c0, c1 = _pixels(field, image)
    slope = phase_ramp(image.image[r0:r1, c0:c1])
    y, x = (np.arange(size) for size in image.image.shape)
    flat = image.image * np.exp(-1j * (slope[0] * y[:, None] + slope[1] * x))
    return attrs.evolve(image, image=flat / np.abs(flat[r0:r1, c0:c1]).mean())


def _panel(image: Image, anchor: Image, field: Box, by_truth: bool, told: tuple[float, float]) -> Panel:
    """told : where the file says that the image lies"""
    c = compare(image, anchor, roi=_pixels(field, anchor), remove_ramp=True)
    # About the anchor's mean, so that a free global phase does not push it over the edge of the colours.
    middle = flat_phase(np.exp(1j * c.phase_true))
    scores: dict[str, Any] = {
        "corr_phase": _correlation(c.phase, c.phase_true),
        "corr_amp": _correlation(c.amplitude, c.amplitude_true),
    }
    if by_truth:
        curves = {"phase": c.frc_phase, "amplitude": c.frc_amplitude}
        scores |= {name: c.scores[name] for name in _TRUTH_SCORES}
    else:
        halves = compare_halves(image, anchor, size=_SQUARE, box=field)
        curves = {"phase": halves.phase, "amplitude": halves.amplitude}
        scores |= halves.cutoffs
    scores["offset"] = _pair(np.add(anchor.origin, c.scores["offset"]) - told)
    scores["ramp"] = c.scores["ramp"]
    return Panel(c.amplitude, middle + (c.phase - c.phase_true), curves, scores)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's coefficient; not a number for a constant image."""
    first, second = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.vdot(first, second)) / size if size > 0 else float("nan")
