"""Several reconstructions in one picture: phases and amplitudes on one scale each, and ring correlations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinn_dispatch.compare.side_by_side import Panel, SideBySide
from pinn_dispatch.figures.panels import (
    AMPLITUDE,
    FAINT,
    INK,
    PHASE,
    image_panel,
    limits_of,
    phase_limits,
    rings,
    save,
    sheet,
)

__all__ = ["side_by_side_figure"]

_IN_A_ROW = 5
_LEGEND_INSIDE = 4  # names that find room among the curves
_TRUTH = "reference"


@attrs.frozen
class _Layout:
    """Where things lie, in inches from the top left corner of the sheet."""

    panel: tuple[float, float]  # width, height of an image
    columns: int
    bands: int  # of a row of phases and a row of amplitudes
    legend: float  # width of a legend beside the curves

    above, below, left = 1.15, 0.55, 0.5
    name, title = 0.24, 0.24  # room for the line with a name, and for the title of an image
    gap, bar = 0.42, 1.25  # between images; for the colour bar and what separates it from the curves
    curves = 4.4
    below_image, below_band = 0.25, 0.2

    @property
    def column(self) -> float:
        """From one image to the next; a narrow one leaves room for its title."""
        return max(self.panel[0], 1.9) + self.gap

    @property
    def band(self) -> float:
        return self.name + 2 * (self.title + self.panel[1] + self.below_image) + self.below_band

    @property
    def size(self) -> tuple[float, float]:
        width = self.left + self.columns * self.column + self.bar + self.curves + self.legend
        return width + 0.3, self.above + max(self.bands * self.band, 4.8) + self.below

    def axes(self, figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
        w, h = self.size
        return figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))


def side_by_side_figure(path: Path, compared: SideBySide, subtitle: str) -> Path:
    """The reference, if there is one, and every reconstruction, phase above amplitude, five beside each
    other; at the right how their rings correlate with the reference, or with the first."""
    shown = {} if compared.reference is None else {_TRUTH: compared.reference}
    shown |= compared.panels
    curves = [(name, panel.curves) for name, panel in compared.panels.items() if panel.curves]
    columns = min(len(shown), _IN_A_ROW)
    layout = _Layout(
        _panel_size(next(iter(shown.values())).phase.shape, columns),
        columns,
        -(-len(shown) // _IN_A_ROW),
        0.0 if len(curves) <= _LEGEND_INSIDE else 2.4,
    )
    figure = sheet(layout.size, "Reconstructions side by side", subtitle)
    _images(figure, layout, shown, compared)
    first = next(iter(compared.panels))
    against = "the reference" if compared.reference is not None else _short(first, 22)
    left = layout.left + layout.columns * layout.column + layout.bar
    room = layout.size[1] - layout.above - layout.below - layout.title - 0.7
    height = min(room / 2, 3.2)
    for row, part in enumerate(("phase", "amplitude")):
        axes = layout.axes(
            figure, left, layout.above + layout.title + row * (height + 0.7), layout.curves, height
        )
        rings(
            axes,
            {_short(name): found[part] for name, found in curves},
            title=f"{part}: ring correlation with {against}",
            compact=True,
        )
        if layout.legend:
            # Names alone: the table has the numbers, and beside the curves is no room for them.
            drawn = axes.get_legend()
            assert drawn is not None  # by `rings`
            drawn.remove()
            if row == 0:
                axes.legend(
                    axes.lines[: len(curves)],
                    [_short(name) for name, _ in curves],
                    fontsize=8.5,
                    loc="upper left",
                    bbox_to_anchor=(1.01, 1.0),
                    frameon=False,
                )
    return save(figure, path)


def _images(figure: Figure, layout: _Layout, shown: dict[str, Panel], compared: SideBySide) -> None:
    judges = [compared.reference] if compared.reference is not None else list(shown.values())
    limits = {
        "phase": phase_limits(_pooled([p.phase for p in judges])),
        "amplitude": limits_of(_pooled([p.amplitude for p in judges])),
    }
    r0, r1, c0, c1 = compared.box
    extent = (c0 - 0.5, c1 - 0.5, r1 - 0.5, r0 - 0.5)
    width, height = layout.panel
    sheet_width, sheet_height = layout.size
    for number, (name, panel) in enumerate(shown.items()):
        band, column = divmod(number, _IN_A_ROW)
        left = layout.left + column * layout.column
        top = layout.above + band * layout.band
        figure.text(
            left / sheet_width,
            1 - top / sheet_height,
            _short(name, max(16, int(width / 0.105))),
            fontsize=11,
            fontweight="bold",
            color=INK,
            va="top",
        )
        ends_row = column == layout.columns - 1 or number == len(shown) - 1
        for row, (part, colours, unit) in enumerate(
            (("phase", PHASE, "rad"), ("amplitude", AMPLITUDE, "arbitrary units"))
        ):
            here = top + layout.name + layout.title + row * (layout.title + height + layout.below_image)
            axes = layout.axes(figure, left, here, width, height)
            image_panel(
                axes,
                getattr(panel, part),
                _told(part, panel),
                colours,
                limits[part],
                bar=False,
                extent=extent,
            )
            if ends_row:
                bar = layout.axes(figure, left + width + 0.08, here, 0.13, height)
                _bar(axes, bar, unit)


def _bar(axes: Axes, bar: Axes, unit: str) -> None:
    found = axes.figure.colorbar(axes.images[0], cax=bar)
    found.ax.tick_params(labelsize=7, colors=FAINT, length=2)
    found.outline.set_visible(False)
    found.set_label(unit, fontsize=7.5, color=FAINT)


def _told(part: str, panel: Panel) -> str:
    key = "phase" if part == "phase" else "amp"
    for score, title in (("ssim", "SSIM"), ("frc50", "FRC 0.5 at")):
        if f"{score}_{key}" in panel.scores and panel.curves:
            return f"{part}, {title} {panel.scores[f'{score}_{key}']:.2f}"
    return part


def _panel_size(shape: tuple[int, ...], columns: int) -> tuple[float, float]:
    """Width and height in inches: smaller where there are more; no side too short."""
    rows, across = shape
    scale = min(min(4.4, 15 / columns) / across, 3.4 / rows)
    return max(across * scale, 1.4), max(rows * scale, 1.4)


def _pooled(images: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([image.ravel() for image in images])


def _short(name: str, most: int = 26) -> str:
    """The name, its middle left out where it is long: what differs is mostly at the ends."""
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"
