"""A reconstruction as two pictures: amplitude in grey, phase in colours, each with a scale.

Pillow draws them. It is in every environment of this package already (scikit-image brings it), so pictures
cost no further installation; matplotlib would bring a dozen packages for one bar of colours.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from pinn_data.errors import ShapeError
from pinn_data.files.atomic_write import atomic_write

__all__ = [
    "AMPLITUDE_PICTURE",
    "PHASE_PICTURE",
    "flat_phase",
    "write_picture",
    "write_pictures",
    "write_preview",
]

AMPLITUDE_PICTURE = "reconstructed_amplitude.png"
PHASE_PICTURE = "reconstructed_phase.png"

# Every 16th colour of viridis (van der Walt and Smith, CC0), and black to white.
_COLOURS = {
    "viridis": "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1f9f88 27ad81 3dbc74 5cc863 "
    "81d34d aadc32 d5e21a fde725",
    "gray": "000000 ffffff",
}
_UNKNOWN = (90, 70, 70)  # a dull colour that neither scale has
_PAPER, _INK = (255, 255, 255), (0, 0, 0)
_SMALLEST_SIDE, _LARGEST_ENLARGEMENT = 256, 8
_GAP, _BAR, _LABELS = 8, 14, 64
_PREVIEW_SIDE = 800


def write_pictures(
    folder: Path,
    amplitude: ArrayLike,
    phase: ArrayLike,
    known: ArrayLike | None = None,
    trusted: ArrayLike | None = None,
) -> tuple[Path, Path]:
    """Write ``reconstructed_amplitude.png`` and ``reconstructed_phase.png`` into `folder`; their paths.

    amplitude, phase : (row, column) real; phase in rad
    known : (row, column) bool, pixels that were seen; the others are drawn in a dull colour of their own
    trusted : (row, column) bool, pixels that say how far the colours reach; by default all that are known
    """
    masks: dict[str, Any] = {"known": known, "trusted": trusted}
    return (
        write_picture(folder / AMPLITUDE_PICTURE, amplitude, **masks),
        write_picture(folder / PHASE_PICTURE, phase, colours="viridis", unit="rad", **masks),
    )


def flat_phase(image: ArrayLike, known: ArrayLike | None = None) -> NDArray[np.float64]:
    """The phase of a complex (row, column) `image`, rad, about its own circular mean, so that a free global
    phase does not push it over the edge of the colours."""
    image = np.asarray(image)
    chosen = image if known is None else image[np.asarray(known, bool)]
    return np.angle(image * np.exp(-1j * np.angle(np.sum(chosen))))


def write_picture(
    path: Path,
    values: ArrayLike,
    *,
    colours: str = "gray",
    unit: str = "",
    known: ArrayLike | None = None,
    trusted: ArrayLike | None = None,
) -> Path:
    """Write real `values` (row, column) as a PNG, row 0 at the top, with a bar that tells the colours' range.

    A pixel becomes a square of whole pixels, so small images are enlarged and nothing is smoothed. The range
    is that of all trusted and finite values but the lowest and the highest 0.5 %; what lies beyond takes the
    end's colour.

    Raises
    ------
    ShapeError (a ValueError)
        `values` is no image of real numbers.
    DataWriteError (an OSError)
        It cannot be written.
    """
    with atomic_write(path) as temporary:
        _drawn(values, colours, unit, known, trusted).save(temporary, format="PNG")
    return path


def write_preview(path: Path, image: ArrayLike) -> Path:
    """Write phase and amplitude of a complex `image` (row, column) side by side, quickly: of a large one
    every k-th pixel. Pixels of 0 are unknown. Raises as `write_picture`."""
    whole = np.asarray(image)
    step = max(1, math.ceil(max(whole.shape) / _PREVIEW_SIDE)) if whole.ndim == 2 else 1
    part = whole[::step, ::step] if step > 1 else whole
    known = part != 0
    pair = [_drawn(flat_phase(part), "viridis", "rad", known), _drawn(np.abs(part), "gray", "", known)]
    paper = Image.new("RGB", (pair[0].width + pair[1].width, pair[0].height), _PAPER)
    paper.paste(pair[0], (0, 0))
    paper.paste(pair[1], (pair[0].width, 0))
    with atomic_write(path) as temporary:
        paper.save(temporary, format="PNG")
    return path


def _drawn(
    values: ArrayLike,
    colours: str,
    unit: str = "",
    known: ArrayLike | None = None,
    trusted: ArrayLike | None = None,
) -> Image.Image:
    image = np.asarray(values)
    if image.ndim != 2 or 0 in image.shape or image.dtype.kind not in "biuf":
        raise ShapeError(
            f"an array of shape {image.shape} and dtype {image.dtype} was given, but a picture needs "
            "rows and columns of real numbers: give one image"
        )
    image = image.astype(np.float64)
    seen = np.isfinite(image) if known is None else np.isfinite(image) & np.asarray(known, bool)
    low, high = _range(image[seen if trusted is None else seen & np.asarray(trusted, bool)])
    enlarged = min(_LARGEST_ENLARGEMENT, max(1, math.ceil(_SMALLEST_SIDE / min(image.shape))))
    share = np.where(seen, (image - low) / (high - low), 0.0)
    pixels = np.where(seen[..., None], _coloured(share, colours), _UNKNOWN).astype(np.uint8)
    pixels = pixels.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
    return _with_bar(pixels, low, high, colours, unit)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [0.5, 99.5]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _coloured(share: NDArray[np.float64], colours: str) -> NDArray[np.float64]:
    """(…, 3) red, green, blue, 0 to 255, of shares 0 to 1; beyond them the colour of the end."""
    anchors = np.array([tuple(bytes.fromhex(text)) for text in _COLOURS[colours].split()], float)
    at = np.linspace(0, 1, len(anchors))
    return np.stack([np.interp(share, at, anchors[:, k]) for k in range(3)], axis=-1).round()


def _with_bar(pixels: NDArray[np.uint8], low: float, high: float, colours: str, unit: str) -> Image.Image:
    height, width = pixels.shape[:2]
    paper = Image.new("RGB", (width + _GAP + _BAR + _LABELS, height), _PAPER)
    paper.paste(Image.fromarray(pixels), (0, 0))
    ramp = _coloured(np.linspace(1, 0, height)[:, None].repeat(_BAR, axis=1), colours)
    paper.paste(Image.fromarray(ramp.astype(np.uint8)), (width + _GAP, 0))
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default()
    left = width + _GAP + _BAR + 4
    for text, top in ((f"{high:.3g}", 0), (unit, height // 2 - 6), (f"{low:.3g}", height - 12)):
        draw.text((left, top), text, fill=_INK, font=font)
    return paper
