"""What every figure is made of: a sheet, panels of images and curves, colours and their ranges.

Drawn with matplotlib's Agg canvas and without pyplot, so that no window, no global figure and no setting of
the caller is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1 import make_axes_locatable
from numpy.typing import ArrayLike, NDArray
from pinn_data.files.atomic_write import atomic_write
from pinn_data.metrics.scores import RingCorrelation, frc_crossing
from pinn_data.optics.probe import probe_modes

__all__ = [
    "ACCENT",
    "AMPLITUDE",
    "COUNTS",
    "DIFFERENCE",
    "FAINT",
    "INK",
    "PHASE",
    "SECOND",
    "complex_panel",
    "curve_style",
    "image_panel",
    "limits_of",
    "main_mode",
    "phase_limits",
    "plain_axes",
    "rings",
    "save",
    "sheet",
    "symmetric_limits",
]

AMPLITUDE, PHASE, DIFFERENCE, COUNTS = "gray", "viridis", "RdBu_r", "magma"
INK, ACCENT, SECOND, FAINT = "#1b1b1f", "#b5361c", "#2f5d8a", "#8a8a92"
_DPI = 110
_CURVES = (SECOND, ACCENT, "#3a7d44", "#8450a0", "#c98a1b", "#2aa0a4", "#7a5c4d")


def sheet(size: tuple[float, float], title: str, subtitle: str) -> Figure:
    """A figure of `size` (width, height) in inches with its title and a fainter line below."""
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    width, height = size
    left = 0.48 / width
    figure.text(left, 1 - 0.30 / height, title, fontsize=17, fontweight="bold", color=INK, va="top")
    figure.text(left, 1 - 0.68 / height, subtitle, fontsize=11, color=FAINT, va="top")
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Writes the figure as PNG, whole or not at all; its path."""
    with atomic_write(path) as temporary:
        # A fixed text chunk: the same figure is the same file.
        figure.savefig(temporary, format="png", metadata={"Software": "PtychoPINN"})
    return path


def image_panel(
    axes: Axes,
    image: NDArray[Any],
    title: str,
    colours: str,
    limits: tuple[float, float] | None = None,
    *,
    unit: str = "",
    bar: bool = True,
    extent: tuple[float, float, float, float] | None = None,
) -> None:
    """One image with its title above and, unless `bar` is False, its colour bar with the unit beside."""
    low, high = limits or limits_of(image)
    shown = axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest", extent=extent)
    axes.set_title(title, fontsize=10.5, color=INK, loc="left", pad=4)
    axes.tick_params(labelsize=7, colors=FAINT, length=2)
    for side in axes.spines.values():
        side.set_visible(False)
    if bar:
        # Beside the image, not beside the room that the grid left for it: a wide image is not that high.
        beside = make_axes_locatable(axes).append_axes("right", size="4.5%", pad=0.06)
        colour_bar = axes.figure.colorbar(shown, cax=beside)
        colour_bar.ax.tick_params(labelsize=7, colors=FAINT, length=2)
        colour_bar.outline.set_visible(False)
        if unit:
            # Below, for above a narrow image its title needs the room.
            below: dict[str, Any] = {"ha": "left", "va": "top", "transform": colour_bar.ax.transAxes}
            colour_bar.ax.text(0.0, -0.015, unit, fontsize=7.5, color=FAINT, **below)


def complex_panel(axes: Axes, image: NDArray[Any], title: str) -> None:
    """A complex image: brightness for the amplitude, hue for the phase."""
    amplitude = np.abs(image) / max(float(np.abs(image).max()), np.finfo(float).tiny)
    hue = (np.angle(image) / (2 * np.pi)) % 1.0
    colour = hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.85), amplitude**0.6], axis=-1))
    image_panel(axes, colour, title, AMPLITUDE, (0.0, 1.0), bar=False)


def rings(
    axes: Axes,
    curves: Mapping[str, RingCorrelation],
    *,
    title: str = "Fourier ring correlation",
    compact: bool = False,
) -> None:
    """Ring correlations by name, with where each falls below 0.5 and 1/7; `compact`: in a line of its legend
    each."""
    plain_axes(axes, title, "spatial frequency / Nyquist")
    for number, (name, curve) in enumerate(curves.items()):
        half, seventh = (_reach(curve, level, compact) for level in (0.5, 1 / 7))
        label = f"{name}: 0.5 at {half}{', ' if compact else chr(10)}1/7 at {seventh}"
        colour, line = curve_style(number)
        axes.plot(
            curve.frequency, curve.correlation, color=colour, linestyle=line, linewidth=1.5, label=label
        )
    for level, name in ((0.5, "0.5"), (1 / 7, "1/7")):
        axes.axhline(level, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.text(1.0, level + 0.012, name, fontsize=8, color=FAINT, ha="right")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.12, 1.05)
    axes.legend(fontsize=8.5, loc="best", edgecolor="white", framealpha=0.8)


def _reach(curve: RingCorrelation, threshold: float, compact: bool) -> str:
    reached = frc_crossing(curve, threshold)
    if reached < 1.0:
        return f"{reached:.2f}"
    return "1.00" if compact else "1.00 or beyond"


def curve_style(number: int) -> tuple[str, str]:
    """Colour and line style of the curve of that number; all different for the first 21."""
    return _CURVES[number % len(_CURVES)], ("-", "--", ":")[number // len(_CURVES) % 3]


def plain_axes(axes: Axes, title: str, x: str) -> None:
    """Axes for curves: a title, a name for x, a faint grid."""
    axes.set_title(title, fontsize=10.5, color=INK, loc="left", pad=4)
    axes.set_xlabel(x, fontsize=9, color=FAINT)
    axes.tick_params(labelsize=8, colors=FAINT)
    axes.grid(color="#e6e6ea", linewidth=0.6)
    axes.set_axisbelow(True)
    for name, side in axes.spines.items():
        side.set_visible(name in ("left", "bottom"))
        side.set_color("#c8c8ce")


def main_mode(probe: ArrayLike) -> NDArray[Any]:
    """The (N, N) mode of a probe that holds most light."""
    modes = probe_modes(probe)
    return modes[int(np.argmax(np.sum(np.abs(modes) ** 2, axis=(1, 2))))]


def limits_of(image: NDArray[Any]) -> tuple[float, float]:
    """The range of colours for an image: all finite values but the lowest and the highest 0.5 %."""
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, [0.5, 99.5]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def phase_limits(phase: NDArray[Any]) -> tuple[float, float]:
    """The same for a phase, rad, at most -pi to pi."""
    low, high = limits_of(phase)
    return max(low, -np.pi), min(high, np.pi)


def symmetric_limits(image: NDArray[Any]) -> tuple[float, float]:
    """The same for a difference: as far below 0 as above."""
    span = max(abs(v) for v in limits_of(image)) or 1.0
    return -span, span
