"""Pictures of what was trained, reconstructed and compared.

Drawn with matplotlib's Agg canvas and without pyplot, so that no window, no global figure and no setting of
the caller is touched. Each file appears whole or not at all. Amplitudes are grey, phases are coloured, and a
panel's colour bar says the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1 import make_axes_locatable
from numpy.typing import ArrayLike, NDArray
from pinn_data.atomic_write import atomic_write
from pinn_data.metrics import RingCorrelation, frc_crossing
from pinn_data.probe import probe_modes

from pinn_dispatch.comparison import Comparison
from pinn_dispatch.reconstruction import Reconstruction

__all__ = [
    "comparison_figure",
    "demo_figure",
    "halves_figure",
    "reconstruction_figure",
    "training_figure",
]

_AMPLITUDE, _PHASE, _DIFFERENCE, _COUNTS = "gray", "viridis", "RdBu_r", "magma"
_INK, _ACCENT, _SECOND, _FAINT = "#1b1b1f", "#b5361c", "#2f5d8a", "#8a8a92"
_DPI = 110
_TRACE = 0.04  # of the best-covered pixel: below it an image is mostly noise


def demo_figure(
    path: Path,
    comparison: Comparison,
    *,
    learned: NDArray[Any],
    learned_positions: NDArray[np.float64],
    probe: NDArray[Any],
    measured: NDArray[np.float64],
    predicted: NDArray[np.float64],
    history: Sequence[Mapping[str, Any]],
    subtitle: str,
) -> Path:
    """The demo at a glance: truth, reconstruction, difference; what was learned from; patterns; loss; ring
    correlation.

    learned : (H, W) complex, the object of the training scan, and its positions (n, 2) as (y, x)
    measured, predicted : (N, N) amplitudes of one pattern of the unseen scan, sqrt(counts)
    """
    c = comparison
    figure = _sheet((16.0, 11.6), "An object the network never saw", subtitle)
    grid = figure.add_gridspec(3, 4, left=0.03, right=0.98, top=0.885, bottom=0.055, hspace=0.22, wspace=0.24)
    panels = [[figure.add_subplot(grid[r, k]) for k in range(4)] for r in range(3)]
    _compare_rows(panels[0][:3], panels[1][:3], c)
    _complex_panel(panels[0][3], _main_mode(probe), "probe (hue: phase)")
    _image(panels[1][3], np.abs(learned), "learned from (amplitude), scanned at", _AMPLITUDE, bar=False)
    y, x = learned_positions.T
    panels[1][3].plot(x, y, ".", color=_ACCENT, markersize=1.1, alpha=0.7)
    _pattern_pair(panels[2][0], panels[2][1], measured, predicted)
    _misfit(panels[2][2], history)
    _rings(panels[2][3], {"amplitude": c.frc_amplitude, "phase": c.frc_phase})
    return _save(figure, path)


def comparison_figure(path: Path, comparison: Comparison, subtitle: str) -> Path:
    """A reconstruction against the truth: both, their difference, and the ring correlation."""
    figure = _sheet((16.0, 8.2), "Reconstruction against the reference", subtitle)
    grid = figure.add_gridspec(2, 4, left=0.03, right=0.98, top=0.86, bottom=0.07, hspace=0.2, wspace=0.24)
    rows = [[figure.add_subplot(grid[r, k]) for k in range(3)] for r in range(2)]
    _compare_rows(rows[0], rows[1], comparison)
    _rings(
        figure.add_subplot(grid[:, 3]),
        {"amplitude": comparison.frc_amplitude, "phase": comparison.frc_phase},
    )
    return _save(figure, path)


def halves_figure(
    path: Path,
    first: NDArray[Any],
    second: NDArray[Any],
    curves: Mapping[str, RingCorrelation],
    subtitle: str,
) -> Path:
    """Two reconstructions from disjoint frames, in phase, their difference, and the ring correlation.

    first, second : (row, column) complex, aligned with each other
    """
    figure = _sheet((16.0, 4.9), "Half of the frames against the other half", subtitle)
    grid = figure.add_gridspec(1, 4, left=0.03, right=0.98, top=0.78, bottom=0.12, wspace=0.24)
    panels = [figure.add_subplot(grid[0, k]) for k in range(4)]
    limits = _phase_limits(_flat_phase(second))
    _image(panels[0], _flat_phase(first), "phase, one half", _PHASE, limits, unit="rad")
    _image(panels[1], _flat_phase(second), "phase, the other half", _PHASE, limits, unit="rad")
    difference = np.angle(first * second.conj())
    _image(panels[2], difference, "phase, difference", _DIFFERENCE, _symmetric(difference), unit="rad")
    _rings(panels[3], curves)
    return _save(figure, path)


def reconstruction_figure(
    path: Path,
    found: Reconstruction,
    *,
    measured: NDArray[np.float64],
    predicted: NDArray[np.float64],
    subtitle: str,
) -> Path:
    """A reconstruction: amplitude, phase, probe, coverage, one pattern measured and predicted."""
    rows, columns = _covered(found.coverage)
    image, coverage = found.object[rows, columns], found.coverage[rows, columns]
    known = coverage > _TRACE * coverage.max()
    y, x = found.canvas.origin[0] + rows.start, found.canvas.origin[1] + columns.start
    extent = (x - 0.5, x + image.shape[1] - 0.5, y + image.shape[0] - 0.5, y - 0.5)
    figure = _sheet((16.0, 8.6), "Reconstruction", subtitle)
    grid = figure.add_gridspec(2, 4, left=0.035, right=0.975, top=0.87, bottom=0.055, hspace=0.2, wspace=0.2)
    amplitude, phase = (
        np.where(known, np.abs(image), np.nan),
        np.where(known, _flat_phase(image, known), np.nan),
    )
    big = figure.add_subplot(grid[:, :2])
    _image(big, phase, "phase", _PHASE, _phase_limits(phase), unit="rad", extent=extent)
    _image(
        figure.add_subplot(grid[0, 2]), amplitude, "amplitude", _AMPLITUDE, _limits(amplitude), extent=extent
    )
    _complex_panel(figure.add_subplot(grid[0, 3]), _main_mode(found.probe), "probe (hue: phase)")
    _pattern_pair(figure.add_subplot(grid[1, 2]), figure.add_subplot(grid[1, 3]), measured, predicted)
    return _save(figure, path)


def training_figure(path: Path, history: Sequence[Mapping[str, Any]], subtitle: str) -> Path:
    """The misfit against seconds; with a validation, its loss besides."""
    validated = any(row.get("val_loss") is not None for row in history)
    figure = _sheet((14.0 if validated else 9.0, 5.2), "Training", subtitle)
    grid = figure.add_gridspec(
        1, 2 if validated else 1, left=0.09 if not validated else 0.06, right=0.97, top=0.8, bottom=0.12
    )
    _misfit(figure.add_subplot(grid[0, 0]), history)
    if validated:
        _likelihood(figure.add_subplot(grid[0, 1]), history)
    return _save(figure, path)


def _sheet(size: tuple[float, float], title: str, subtitle: str) -> Figure:
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    width, height = size
    left = 0.48 / width
    figure.text(left, 1 - 0.30 / height, title, fontsize=17, fontweight="bold", color=_INK, va="top")
    figure.text(left, 1 - 0.68 / height, subtitle, fontsize=11, color=_FAINT, va="top")
    return figure


def _save(figure: Figure, path: Path) -> Path:
    with atomic_write(path) as temporary:
        # A fixed text chunk: the same figure is the same file.
        figure.savefig(temporary, format="png", metadata={"Software": "PtychoPINN"})
    return path


def _compare_rows(first: Sequence[Axes], second: Sequence[Axes], c: Comparison) -> None:
    s = c.scores
    limits = _limits(c.amplitude_true)
    _image(first[0], c.amplitude_true, "amplitude, truth", _AMPLITUDE, limits)
    _image(first[1], c.amplitude, f"amplitude, reconstructed: SSIM {s['ssim_amp']:.2f}", _AMPLITUDE, limits)
    gap = c.amplitude - c.amplitude_true
    span = (limits[1] - limits[0]) / 2
    _image(first[2], gap, f"amplitude, difference: MAE {s['mae_amp']:.3f}", _DIFFERENCE, (-span, span))
    limits = _limits(c.phase_true)
    _image(second[0], c.phase_true, "phase, truth", _PHASE, limits, unit="rad")
    _image(
        second[1], c.phase, f"phase, reconstructed: SSIM {s['ssim_phase']:.2f}", _PHASE, limits, unit="rad"
    )
    gap = c.phase - c.phase_true
    span = (limits[1] - limits[0]) / 2
    _image(
        second[2], gap, f"phase, difference: MAE {s['mae_phase']:.3f}", _DIFFERENCE, (-span, span), unit="rad"
    )


def _image(
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
    low, high = limits or _limits(image)
    shown = axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest", extent=extent)
    axes.set_title(title, fontsize=10.5, color=_INK, loc="left", pad=4)
    axes.tick_params(labelsize=7, colors=_FAINT, length=2)
    for side in axes.spines.values():
        side.set_visible(False)
    if bar:
        # Beside the image, not beside the room that the grid left for it: a wide image is not that high.
        beside = make_axes_locatable(axes).append_axes("right", size="4.5%", pad=0.06)
        colour_bar = axes.figure.colorbar(shown, cax=beside)
        colour_bar.ax.tick_params(labelsize=7, colors=_FAINT, length=2)
        colour_bar.outline.set_visible(False)
        if unit:
            colour_bar.ax.set_title(unit, fontsize=7.5, color=_FAINT, pad=3)


def _complex_panel(axes: Axes, image: NDArray[Any], title: str) -> None:
    amplitude = np.abs(image) / max(float(np.abs(image).max()), np.finfo(float).tiny)
    hue = (np.angle(image) / (2 * np.pi)) % 1.0
    colour = hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.85), amplitude**0.6], axis=-1))
    _image(axes, colour, title, _AMPLITUDE, (0.0, 1.0), bar=False)


def _pattern_pair(left: Axes, right: Axes, measured: NDArray[Any], predicted: NDArray[Any]) -> None:
    counts = [np.square(np.asarray(a, np.float64)) for a in (measured, predicted)]
    shown = [np.log10(1.0 + c) for c in counts]
    limits = (0.0, max(float(shown[0].max()), 0.3))
    _image(left, shown[0], "one pattern, measured", _COUNTS, limits, unit="log10(1+n)")
    _image(right, shown[1], "the same, predicted", _COUNTS, limits, unit="log10(1+n)")


def _misfit(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """Half the deviance where the backend records it: unlike the likelihood it has a scale, 0 for a perfect
    fit."""
    if not any("train_deviance" in row for row in history):
        _likelihood(axes, history)
        return
    _plain(axes, "misfit: half the Poisson deviance, a pixel", "seconds of training")
    _curve(axes, history, "train_deviance", _SECOND, "patterns that the network sees")
    _curve(axes, history, "train_predicted_deviance", _ACCENT, "neighbours that it must predict")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=9)


def _likelihood(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    _plain(axes, "loss: Poisson negative log-likelihood, a pixel", "seconds of training")
    drawn = [
        _curve(axes, history, "train_loss", _SECOND, "training"),
        _curve(axes, history, "val_loss", _ACCENT, "validation"),
    ]
    values = np.concatenate(drawn)
    if not values.size:
        axes.text(0.5, 0.5, "no loss was recorded", transform=axes.transAxes, ha="center", color=_FAINT)
        return
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    if high > low:  # the first steps, far above all others, would flatten the rest
        axes.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low))
    axes.legend(frameon=False, fontsize=9)


def _curve(
    axes: Axes, history: Sequence[Mapping[str, Any]], key: str, colour: str, name: str
) -> NDArray[np.float64]:
    """Draws one column of the history, faint as recorded and strong as a running median; returns its
    values."""
    points = [
        (row["seconds"], row[key]) for row in history if row.get(key) is not None and np.isfinite(row[key])
    ]
    if not points:
        return np.empty(0)
    seconds, values = np.array(points, np.float64).T
    width = 2 * (len(values) // 40) + 1
    if width > 1:
        axes.plot(seconds, values, color=colour, linewidth=0.7, alpha=0.35)
        padded = np.pad(values, width // 2, mode="edge")
        smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    else:
        smooth = values
    axes.plot(
        seconds,
        smooth,
        color=colour,
        linewidth=1.6,
        marker="o" if len(values) < 12 else "",
        markersize=3,
        label=name,
    )
    return values


def _rings(axes: Axes, curves: Mapping[str, RingCorrelation]) -> None:
    _plain(axes, "Fourier ring correlation", "spatial frequency / Nyquist")
    for (name, curve), colour in zip(curves.items(), (_SECOND, _ACCENT), strict=False):
        label = f"{name}: 0.5 at {_reach(curve, 0.5)}\n1/7 at {_reach(curve, 1 / 7)}"
        axes.plot(curve.frequency, curve.correlation, color=colour, linewidth=1.5, label=label)
    for level, name in ((0.5, "0.5"), (1 / 7, "1/7")):
        axes.axhline(level, color=_FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.text(1.0, level + 0.012, name, fontsize=8, color=_FAINT, ha="right")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.12, 1.05)
    axes.legend(fontsize=8.5, loc="best", edgecolor="white", framealpha=0.8)


def _reach(curve: RingCorrelation, threshold: float) -> str:
    reached = frc_crossing(curve, threshold)
    return "1.00 or beyond" if reached >= 1.0 else f"{reached:.2f}"


def _plain(axes: Axes, title: str, x: str) -> None:
    axes.set_title(title, fontsize=10.5, color=_INK, loc="left", pad=4)
    axes.set_xlabel(x, fontsize=9, color=_FAINT)
    axes.tick_params(labelsize=8, colors=_FAINT)
    axes.grid(color="#e6e6ea", linewidth=0.6)
    axes.set_axisbelow(True)
    for name, side in axes.spines.items():
        side.set_visible(name in ("left", "bottom"))
        side.set_color("#c8c8ce")


def _main_mode(probe: ArrayLike) -> NDArray[Any]:
    modes = probe_modes(probe)
    return modes[int(np.argmax(np.sum(np.abs(modes) ** 2, axis=(1, 2))))]


def _covered(coverage: NDArray[Any]) -> tuple[slice, slice]:
    """The rows and columns that are covered by more than a trace."""
    known = coverage > _TRACE * coverage.max()
    out = []
    for axis in (1, 0):
        hit = np.flatnonzero(known.any(axis=axis))
        out.append(slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, coverage.shape[1 - axis]))
    return out[0], out[1]


def _flat_phase(image: NDArray[Any], known: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Phase about its own circular mean, so that a free global phase does not push it over the edge of the
    colours."""
    chosen = image if known is None else image[known]
    return np.angle(image * np.exp(-1j * np.angle(np.sum(chosen))))


def _limits(image: NDArray[Any]) -> tuple[float, float]:
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, [0.5, 99.5]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _phase_limits(phase: NDArray[Any]) -> tuple[float, float]:
    low, high = _limits(phase)
    return max(low, -np.pi), min(high, np.pi)


def _symmetric(image: NDArray[Any]) -> tuple[float, float]:
    span = max(abs(v) for v in _limits(image)) or 1.0
    return -span, span
