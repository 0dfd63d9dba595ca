"""What the solver found, in one picture: object, probe modes, moved positions, what is left unexplained, and
the way there."""

from __future__ import annotations

import itertools
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FormatStrFormatter
from numpy.typing import NDArray
from pinn_data.optics.probe import probe_modes
from pinn_data.scan.refined import Refined

from pinn_dispatch.errors import ReconstructionFileError
from pinn_dispatch.figures.panels import (
    ACCENT,
    COUNTS,
    FAINT,
    INK,
    complex_panel,
    curve_style,
    image_panel,
    limits_of,
    plain_axes,
    save,
    sheet,
)
from pinn_dispatch.figures.pictures import object_panels, unit_of
from pinn_dispatch.reconstruction import Reconstruction

__all__ = ["solution_figure"]

_MODES_SHOWN = 4
_MOVED_PX = 1e-3  # root mean square, below which no position moved
_LEFT_OUT = "#3c3c42"
_LINE, _LINES = 56, 15


def solution_figure(path: Path, found: Reconstruction, name: str) -> Path:
    """Draw a reconstruction of the solver, and write it as PNG.

    name : of the scan, for the line below the title

    Raises ReconstructionFileError where the solver had no part in it.
    """
    refined = found.refined
    if refined is None:
        raise ReconstructionFileError(
            "this reconstruction was not made by the solver, so there is nothing to draw: run 'pinn "
            "reconstruct'"
        )
    figure = sheet((16.0, 12.6), "Reconstruction", _subtitle(found, refined, name))
    grid = figure.add_gridspec(3, 4, left=0.04, right=0.97, top=0.91, bottom=0.045, hspace=0.24, wspace=0.34)
    object_panels(figure.add_subplot(grid[:2, :2]), figure.add_subplot(grid[0, 2]), found)
    _modes(figure, grid[0, 3], found.probe, refined.mode_shares)
    _pixels(figure.add_subplot(grid[1, 2]), refined)
    _frames(figure.add_subplot(grid[1, 3]), found, refined)
    _moves(figure.add_subplot(grid[2, 0]), found, refined)
    _course(figure.add_subplot(grid[2, 1:3]), refined)
    _sentences(figure.add_subplot(grid[2, 3]), refined)
    return save(figure, path)


def _subtitle(found: Reconstruction, refined: Refined, name: str) -> str:
    R, noise, seconds = (refined.facts.get(key) for key in ("R", "R_of_noise", "seconds_total"))
    parts = [f"{len(found.positions)} patterns of {name}"]
    if isinstance(R, float):
        beside = f" ({noise:.3f} for counting noise alone)" if isinstance(noise, float) else ""
        parts.append(f"R = {R:.3f}{beside}")
    if isinstance(seconds, float):
        parts.append(f"{seconds:.1f} s")
    return ", ".join(parts)


def _modes(figure: Figure, place: SubplotSpec, probe: NDArray[np.complexfloating], shares: NDArray) -> None:
    modes = probe_modes(probe)[:_MODES_SHOWN]
    side = 1 if len(modes) == 1 else 2
    grid = place.subgridspec(-(-len(modes) // side), side, wspace=0.15, hspace=0.25)
    for k, mode in enumerate(modes):
        title = "probe (hue: phase)" if len(modes) == 1 else f"mode {k + 1}: {100 * shares[k]:.1f} %"
        complex_panel(figure.add_subplot(grid[k // side, k % side]), mode, title)


def _pixels(axes: Axes, refined: Refined) -> None:
    """Variance over what photons make, on a log scale about 1; what was left out is dark."""
    image = refined.pixel_misfit.copy()
    if refined.bad_pixels is not None:
        image[refined.bad_pixels if refined.bad_pixels.ndim == 2 else refined.bad_pixels.all(axis=0)] = np.nan
    axes.set_facecolor(_LEFT_OUT)
    shown = np.log10(np.where(image > 0, image, np.nan))
    reach = float(np.nanquantile(np.abs(shown), 0.99)) if np.isfinite(shown).any() else 1.0
    reach = max(reach, 0.1)
    title = "misfit per pixel (dark: masked)"
    image_panel(axes, shown, title, "RdBu_r", (-reach, reach), unit="log10, 0: noise")


def _frames(axes: Axes, found: Reconstruction, refined: Refined) -> None:
    unit, pixel = unit_of(found)
    y, x = (found.positions * pixel).T
    misfit = refined.frame_misfit
    low, high = limits_of(misfit)
    points = axes.scatter(x, y, c=misfit, s=_point(len(x)), cmap=COUNTS, vmin=low, vmax=high, linewidths=0)
    _field(axes, "misfit per frame (1: noise)", unit)
    bar = axes.figure.colorbar(points, ax=axes, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=7, colors=FAINT, length=2)
    bar.outline.set_visible(False)


def _moves(axes: Axes, found: Reconstruction, refined: Refined) -> None:
    unit, pixel = unit_of(found)
    moves = found.positions - refined.positions_start
    (y, x), (dy, dx) = (refined.positions_start * pixel).T, (moves * pixel).T
    rms = float(np.sqrt(np.square(moves).sum(axis=1).mean()))
    if rms < _MOVED_PX:
        axes.plot(x, y, ".", color=INK, markersize=np.sqrt(_point(len(x))))
        _field(axes, "positions, not moved", unit)
        return
    largest = float(np.quantile(np.hypot(*moves.T), 0.95))
    spacing = np.sqrt(np.prod(np.maximum(np.ptp(found.positions, axis=0), 1.0)) / len(x))
    longer = max(1.0, float(f"{spacing / largest:.1g}"))  # so that arrows reach about the next position
    axes.quiver(x, y, dx, dy, angles="xy", scale_units="xy", scale=1 / longer, color=ACCENT, width=0.003)
    more = "" if longer == 1 else f", arrows x {longer:g}"
    _field(axes, f"positions moved by {rms:.2f} px rms{more}", unit)


def _field(axes: Axes, title: str, unit: str) -> None:
    plain_axes(axes, title, f"x, {unit}")
    axes.set_ylabel(f"y, {unit}", fontsize=8, color=FAINT, labelpad=1)
    axes.set_aspect("equal")
    axes.invert_yaxis()


def _point(count: int) -> float:
    """Area of a point, so that they neither hide nor lose each other."""
    return float(np.clip(12_000 / count, 0.5, 40))


def _course(axes: Axes, refined: Refined) -> None:
    plain_axes(axes, "R of the frames of each epoch, by stage", "seconds")
    stages = list(dict.fromkeys(stage for stage, _, _ in refined.course))
    labelled = set[str]()
    for stage, rows in itertools.groupby(refined.course, key=lambda row: row[0]):
        colour, _ = curve_style(stages.index(stage))
        label = None if stage in labelled else stage
        labelled.add(stage)
        points = np.array([row[1:] for row in rows])
        axes.plot(*points.T, "o-", color=colour, markersize=2.5, linewidth=1.2, label=label)
    noise = refined.facts.get("R_of_noise")
    if isinstance(noise, float):
        axes.axhline(noise, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), label="counting noise")
    if stages:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FormatStrFormatter("%.3g"))
        axes.yaxis.set_minor_formatter(FormatStrFormatter("%.3g"))
        axes.tick_params(axis="y", which="minor", labelsize=8, colors=FAINT)
        axes.legend(frameon=False, fontsize=8.5)


def _sentences(axes: Axes, refined: Refined) -> None:
    axes.set_axis_off()
    axes.set_title("verdict and decisions", fontsize=10.5, color=INK, loc="left", pad=4)
    told, verdict = refined.facts.get("sentences"), refined.facts.get("verdict")
    sentences = [str(verdict.get("sentence"))] if isinstance(verdict, dict) else []
    lines = [
        line
        for sentence in [*sentences, *(told if isinstance(told, list) else [])]
        for line in textwrap.wrap(f"- {sentence}", _LINE, subsequent_indent="  ")
    ]
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], "..."]
    text = "\n".join(lines) or "none: kept as in the scan"
    axes.text(0, 0.97, text.replace("$", r"\$"), fontsize=8.5, color=INK, va="top", transform=axes.transAxes)
