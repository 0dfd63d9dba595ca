"""Pictures of what was trained, reconstructed and compared.

Each file appears whole or not at all. Amplitudes are grey, phases are coloured, and a
panel's colour bar says the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from pinn_data.metrics.scores import RingCorrelation
from pinn_data.run.pictures import flat_phase

from pinn_dispatch.compare.comparison import Comparison
from pinn_dispatch.figures.panels import (
    ACCENT,
    AMPLITUDE,
    COUNTS,
    DIFFERENCE,
    FAINT,
    PHASE,
    SECOND,
    complex_panel,
    image_panel,
    limits_of,
    main_mode,
    phase_limits,
    plain_axes,
    rings,
    save,
    sheet,
    symmetric_limits,
)
from pinn_dispatch.reconstruction import Reconstruction

__all__ = [
    "comparison_figure",
    "demo_figure",
    "halves_figure",
    "object_panels",
    "reconstruction_figure",
    "training_figure",
    "unit_of",
]

_TRACE = 0.04  # of the best-covered pixel: below it an image is mostly noise


def demo_figure(
    path: Path,
    alone: Comparison,
    solved: Comparison,
    *,
    seconds: Mapping[str, float],
    learned: NDArray[Any],
    learned_positions: NDArray[np.float64],
    probe: NDArray[Any],
    measured: NDArray[np.floating[Any]],
    predicted: NDArray[np.floating[Any]],
    history: Sequence[Mapping[str, Any]],
    subtitle: str,
) -> Path:
    """The demo at a glance: truth, the network's image, the solver's from there; what was learned from;
    patterns; loss; ring correlation.

    alone, solved : both images against the truth, in the same region
    seconds : CPU seconds of 'network' and 'solver'
    learned : (H, W) complex, the object of the training scan, and its positions (n, 2) as (y, x)
    measured, predicted : (N, N) amplitudes of one pattern of the unseen scan, sqrt(counts)
    """
    figure = sheet((16.0, 11.6), "An object the network never saw", subtitle)
    grid = figure.add_gridspec(3, 4, left=0.03, right=0.98, top=0.885, bottom=0.055, hspace=0.22, wspace=0.24)
    panels = [[figure.add_subplot(grid[r, k]) for k in range(4)] for r in range(3)]
    both = {"network": alone, "network, then solver": solved}
    spent = dict(zip(both, (seconds["network"], seconds["network"] + seconds["solver"]), strict=True))
    for row, name, ssim, colours, unit in (
        (panels[0], "amplitude", "ssim_amp", AMPLITUDE, ""),
        (panels[1], "phase", "ssim_phase", PHASE, "rad"),
    ):
        truth = getattr(alone, f"{name}_true")
        limits = limits_of(truth)
        image_panel(row[0], truth, f"{name}, truth", colours, limits, unit=unit)
        for axes, (title, c) in zip(row[1:3], both.items(), strict=True):
            told = f"{title}: SSIM {c.scores[ssim]:.2f}, {spent[title]:.0f} CPU s"
            image_panel(axes, getattr(c, name), told, colours, limits, unit=unit)
    complex_panel(panels[0][3], main_mode(probe), "probe (hue: phase)")
    image_panel(
        panels[1][3], np.abs(learned), "training object (amplitude) and positions", AMPLITUDE, bar=False
    )
    y, x = learned_positions.T
    panels[1][3].plot(x, y, ".", color=ACCENT, markersize=1.1, alpha=0.7)
    _pattern_pair(panels[2][0], panels[2][1], measured, predicted)
    _misfit(panels[2][2], history)
    rings(
        panels[2][3], {f"phase, {title.removeprefix('network, ')}": c.frc_phase for title, c in both.items()}
    )
    return save(figure, path)


def comparison_figure(path: Path, comparison: Comparison, subtitle: str) -> Path:
    """A reconstruction against the truth: both, their difference, and the ring correlation."""
    rows_px, columns_px = comparison.phase.shape
    side = min(3.1, max(1.5, 3.2 * rows_px / columns_px))  # inches: a wide image is not that high
    height = 1.2 + 2 * side + 0.6 + 0.57
    figure = sheet((16.0, height), "Reconstruction against the reference", subtitle)
    grid = figure.add_gridspec(
        2,
        4,
        left=0.03,
        right=0.98,
        top=1 - 1.2 / height,
        bottom=0.57 / height,
        hspace=0.6 / side,
        wspace=0.24,
    )
    rows = [[figure.add_subplot(grid[r, k]) for k in range(3)] for r in range(2)]
    _compare_rows(rows[0], rows[1], comparison)
    rings(
        figure.add_subplot(grid[:, 3]),
        {"amplitude": comparison.frc_amplitude, "phase": comparison.frc_phase},
    )
    return save(figure, path)


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
    figure = sheet((16.0, 4.9), "Half of the frames against the other half", subtitle)
    grid = figure.add_gridspec(1, 4, left=0.03, right=0.98, top=0.78, bottom=0.12, wspace=0.24)
    panels = [figure.add_subplot(grid[0, k]) for k in range(4)]
    limits = phase_limits(flat_phase(second))
    image_panel(panels[0], flat_phase(first), "phase, one half", PHASE, limits, unit="rad")
    image_panel(panels[1], flat_phase(second), "phase, the other half", PHASE, limits, unit="rad")
    difference = np.angle(first * second.conj())
    image_panel(
        panels[2], difference, "phase, difference", DIFFERENCE, symmetric_limits(difference), unit="rad"
    )
    rings(panels[3], curves)
    return save(figure, path)


def reconstruction_figure(
    path: Path,
    found: Reconstruction,
    *,
    measured: NDArray[np.floating[Any]],
    predicted: NDArray[np.floating[Any]],
    subtitle: str,
) -> Path:
    """A reconstruction: amplitude, phase, probe, coverage, one pattern measured and predicted."""
    figure = sheet((16.0, 8.6), "Reconstruction", subtitle)
    grid = figure.add_gridspec(2, 4, left=0.035, right=0.975, top=0.87, bottom=0.055, hspace=0.2, wspace=0.2)
    object_panels(figure.add_subplot(grid[:, :2]), figure.add_subplot(grid[0, 2]), found)
    complex_panel(figure.add_subplot(grid[0, 3]), main_mode(found.probe), "probe (hue: phase)")
    _pattern_pair(figure.add_subplot(grid[1, 2]), figure.add_subplot(grid[1, 3]), measured, predicted)
    return save(figure, path)


def object_panels(big: Axes, small: Axes, found: Reconstruction) -> None:
    """The covered part of a reconstruction: its phase, and its amplitude, in micrometres where those are
    told."""
    rows, columns = _covered(found.coverage)
    image, coverage = found.object[rows, columns], found.coverage[rows, columns]
    known = coverage > _TRACE * coverage.max()
    y, x = found.canvas.origin[0] + rows.start, found.canvas.origin[1] + columns.start
    unit, (high, wide) = unit_of(found)
    left, right = (wide * edge for edge in (x - 0.5, x + image.shape[1] - 0.5))
    extent = (left, right, high * (y + image.shape[0] - 0.5), high * (y - 0.5))
    amplitude, phase = (
        np.where(known, np.abs(image), np.nan),
        np.where(known, flat_phase(image, known), np.nan),
    )
    image_panel(big, phase, "phase", PHASE, phase_limits(phase), unit="rad", extent=extent)
    image_panel(small, amplitude, "amplitude", AMPLITUDE, limits_of(amplitude), extent=extent)
    big.set_xlabel(f"x, {unit}", fontsize=8, color=FAINT)
    big.set_ylabel(f"y, {unit}", fontsize=8, color=FAINT)


def unit_of(found: Reconstruction) -> tuple[str, NDArray[np.float64]]:
    """The unit of lengths on the sample, and how many of it an object pixel is, (height, width)."""
    told = found.geometry.pixel_size_m
    return ("object pixels", np.ones(2)) if told is None else ("um", 1e6 * np.array(told))


def training_figure(path: Path, history: Sequence[Mapping[str, Any]], subtitle: str) -> Path:
    """The misfit against seconds; with a validation, its loss besides."""
    validated = any(row.get("val_loss") is not None for row in history)
    figure = sheet((14.0 if validated else 9.0, 5.2), "Training", subtitle)
    grid = figure.add_gridspec(
        1, 2 if validated else 1, left=0.09 if not validated else 0.06, right=0.97, top=0.8, bottom=0.12
    )
    _misfit(figure.add_subplot(grid[0, 0]), history)
    if validated:
        _likelihood(figure.add_subplot(grid[0, 1]), history)
    return save(figure, path)


def _compare_rows(first: Sequence[Axes], second: Sequence[Axes], c: Comparison) -> None:
    s = c.scores
    limits = limits_of(c.amplitude_true)
    image_panel(first[0], c.amplitude_true, "amplitude, truth", AMPLITUDE, limits)
    image_panel(
        first[1], c.amplitude, f"amplitude, reconstructed: SSIM {s['ssim_amp']:.2f}", AMPLITUDE, limits
    )
    gap = c.amplitude - c.amplitude_true
    span = (limits[1] - limits[0]) / 2
    image_panel(first[2], gap, f"amplitude, difference: MAE {s['mae_amp']:.3f}", DIFFERENCE, (-span, span))
    limits = limits_of(c.phase_true)
    image_panel(second[0], c.phase_true, "phase, truth", PHASE, limits, unit="rad")
    image_panel(
        second[1], c.phase, f"phase, reconstructed: SSIM {s['ssim_phase']:.2f}", PHASE, limits, unit="rad"
    )
    gap = c.phase - c.phase_true
    span = (limits[1] - limits[0]) / 2
    image_panel(
        second[2], gap, f"phase, difference: MAE {s['mae_phase']:.3f}", DIFFERENCE, (-span, span), unit="rad"
    )


def _pattern_pair(left: Axes, right: Axes, measured: NDArray[Any], predicted: NDArray[Any]) -> None:
    counts = [np.square(np.asarray(a, np.float64)) for a in (measured, predicted)]
    shown = [np.log10(1.0 + c) for c in counts]
    limits = (0.0, max(float(shown[0].max()), 0.3))
    image_panel(left, shown[0], "one pattern, measured", COUNTS, limits, unit="log10(1+n)")
    image_panel(right, shown[1], "the same, predicted", COUNTS, limits, unit="log10(1+n)")


def _misfit(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """Half the deviance where the backend records it: unlike the likelihood it has a scale, 0 for a perfect
    fit."""
    if not any("train_deviance" in row for row in history):
        _likelihood(axes, history)
        return
    plain_axes(axes, "misfit: half the Poisson deviance per pixel", "seconds of training")
    _curve(axes, history, "train_deviance", SECOND, "patterns that the network sees")
    _curve(axes, history, "train_predicted_deviance", ACCENT, "neighbours that it must predict")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=9)


def _likelihood(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    plain_axes(axes, "loss: Poisson negative log-likelihood per pixel", "seconds of training")
    drawn = [
        _curve(axes, history, "train_loss", SECOND, "training"),
        _curve(axes, history, "val_loss", ACCENT, "validation"),
    ]
    values = np.concatenate(drawn)
    if not values.size:
        axes.text(0.5, 0.5, "no loss was recorded", transform=axes.transAxes, ha="center", color=FAINT)
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


def _covered(coverage: NDArray[Any]) -> tuple[slice, slice]:
    """The rows and columns that are covered by more than a trace."""
    known = coverage > _TRACE * coverage.max()
    out = []
    for axis in (1, 0):
        hit = np.flatnonzero(known.any(axis=axis))
        out.append(slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, coverage.shape[1 - axis]))
    return out[0], out[1]
