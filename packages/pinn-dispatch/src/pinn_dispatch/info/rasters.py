"""Pictures at a few dozen pixels, as colours: what a terminal shows of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinn_dispatch.info.description import Picture

__all__ = ["log_of", "raster", "size_within"]

Colours = NDArray[np.float64]

_UNKNOWN = (0.27, 0.24, 0.24)  # a dull colour that no scale has
_PAPER, _POINT = (0.1, 0.1, 0.12), (0.95, 0.55, 0.3)
_MAPS = {"pattern": "magma", "phase": "viridis", "amplitude": "gray"}


def raster(picture: Picture, width: int, height: int) -> Colours:
    """(row, column, 3) red, green, blue, 0 to 1, of at most `width` x `height` square pixels."""
    if picture.kind == "positions":
        return _points(picture.image, width, height)
    if picture.kind == "curve":
        return _curve(picture.image, width, height)
    shape = size_within(picture.image.shape, width, height)
    if picture.kind == "complex":
        image = _of_order_one(picture.image)
        return _hues(_reduced(image, shape), _reduced(np.abs(image), shape))
    values = log_of(picture.image) if picture.kind == "pattern" else picture.image
    known = np.isfinite(values) if picture.known is None else np.isfinite(values) & picture.known
    share = _reduced(known.astype(np.float64), shape)
    mean = _reduced(np.where(known, values, 0.0), shape) / np.maximum(share, 1e-9)
    return _coloured(mean, share > 0.5, _MAPS[picture.kind])


def log_of(intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10, not a number where the intensity is 0."""
    return np.log10(intensity, out=np.full(intensity.shape, np.nan), where=intensity > 0)


def size_within(shape: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    """(rows, columns) of an image of that shape, scaled to fit, at least 1 pixel each way."""
    scale = min(height / shape[0], width / shape[1])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _reduced(image: NDArray, shape: tuple[int, int]) -> NDArray:
    """Means over rectangles; repeated pixels where the image is the smaller one."""
    for axis, size in enumerate(shape):
        length = image.shape[axis]
        first = np.arange(size) * length // size
        if size >= length:
            image = np.take(image, first, axis=axis)
        else:
            counts = np.diff(np.append(first, length)).reshape((-1, 1) if axis == 0 else (1, -1))
            image = np.add.reduceat(image, first, axis=axis) / counts
    return image


def _coloured(values: NDArray[np.float64], known: NDArray[np.bool_], colours: str) -> Colours:
    from matplotlib import colormaps

    if not known.any():
        return np.broadcast_to(_UNKNOWN, (*values.shape, 3))
    low, high = np.percentile(values[known], [1, 99])
    share = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    return np.where(known[..., None], colormaps[colours](share)[..., :3], _UNKNOWN)


def _of_order_one(values: NDArray) -> NDArray:
    """`values` divided by the largest, so that no square of them overflows; what is not finite is 0."""
    finite = np.where(np.isfinite(values), values, 0).astype(
        np.complex128 if values.dtype.kind == "c" else float
    )
    largest = max(np.abs(finite.real).max(), np.abs(finite.imag).max())
    return finite / largest if largest > 0 else finite


def _hues(mean: NDArray[np.complexfloating], amplitude: NDArray[np.float64]) -> Colours:
    """Hue for the phase, grey where many phases meet in one pixel."""
    from matplotlib.colors import hsv_to_rgb

    tiny = np.finfo(float).tiny
    brightness = (amplitude / max(float(amplitude.max()), tiny)) ** 0.6
    agreed = np.minimum(np.abs(mean) / np.maximum(amplitude, tiny), 1)
    hue = (np.angle(mean) / (2 * np.pi)) % 1.0
    return np.asarray(hsv_to_rgb(np.stack([hue, 0.85 * agreed, brightness], axis=-1)))


def _points(positions: NDArray[np.float64], width: int, height: int) -> Colours:
    low, span = positions.min(axis=0), np.maximum(np.ptp(positions, axis=0), 1.0)
    shape = size_within((span[0], span[1]), width, height)
    pixel = np.minimum((positions - low) / span * shape, np.subtract(shape, 1)).astype(int)
    many = np.zeros(shape)
    np.add.at(many, (pixel[:, 0], pixel[:, 1]), 1)
    share = (many / many.max())[..., None]
    return (1 - share) * _PAPER + share * np.array(_POINT)


def _curve(values: NDArray[np.float64], width: int, height: int) -> Colours:
    paper = np.tile(np.array(_PAPER), (height, width, 1))
    known = np.flatnonzero(np.isfinite(values))
    if len(known):
        at = np.interp(np.linspace(0, len(values) - 1, width), known, _of_order_one(values)[known])
        span = float(np.ptp(at)) or 1.0
        row = np.rint((at.max() - at) / span * (height - 1)).astype(int)
        paper[row, np.arange(width)] = _POINT
    return paper
