"""The thumbnail of what is in some files: a row of panels each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pinn_dispatch.figures.panels import (
    ACCENT,
    AMPLITUDE,
    COUNTS,
    FAINT,
    INK,
    PHASE,
    SECOND,
    complex_panel,
    image_panel,
    limits_of,
    phase_limits,
    plain_axes,
    save,
    sheet,
)
from pinn_dispatch.info.description import Description, Picture
from pinn_dispatch.info.rasters import log_of

__all__ = ["description_figure"]

_SIDE, _GAP = 2.6, 0.95  # inches
_ABOVE, _NAME, _BELOW = 1.2, 0.45, 0.75  # for the title, for a file's name, for what is under a panel


def description_figure(path: Path, described: Sequence[Description]) -> Path:
    """Writes a small figure of the pictures of each description that has any; its path."""
    rows = [(item, item.all_pictures()) for item in described if item.all_pictures()]
    columns = max((len(pictures) for _, pictures in rows), default=1)
    name = _NAME if len(described) > 1 else 0.0
    width = max(0.55 + columns * (_SIDE + _GAP), 6.0)
    height = _ABOVE + max(len(rows), 1) * (name + _SIDE + _BELOW)
    title = described[0].path.name if len(described) == 1 else f"{len(described)} files"
    figure = sheet((width, height), title, ", ".join(dict.fromkeys(item.kind for item in described)))
    for number, (item, pictures) in enumerate(rows):
        top = _ABOVE + number * (name + _SIDE + _BELOW)
        if name:
            figure.text(
                0.48 / width, 1 - (top - 0.15) / height, item.path.name, fontsize=12, color=INK, va="top"
            )
        for column, picture in enumerate(pictures):
            left = 0.55 + column * (_SIDE + _GAP)
            bottom = 1 - (top + name + _SIDE) / height
            axes = figure.add_axes((left / width, bottom, _SIDE / width, _SIDE / height))
            axes.set_anchor("NW")
            _panel(axes, picture)
    if not rows:
        figure.text(0.48 / width, 0.4, "nothing in it can be shown", fontsize=11, color=FAINT)
    return save(figure, path)


def _panel(axes: Axes, picture: Picture) -> None:
    image = picture.image
    if picture.kind == "positions":
        plain_axes(axes, picture.title, f"x, {picture.unit}")
        axes.set_ylabel(f"y, {picture.unit}", fontsize=9, color=FAINT)
        size = 2.5 if len(image) > 200 else 5.0
        axes.plot(image[:, 1], image[:, 0], ".", color=ACCENT, markersize=size, alpha=0.7)
        axes.invert_yaxis()
        axes.set_aspect("equal", adjustable="datalim")
    elif picture.kind == "curve":
        plain_axes(axes, picture.title, "number")
        axes.plot(image, color=SECOND, linewidth=1.2, marker="o" if len(image) < 12 else "", markersize=3)
    elif picture.kind == "complex":
        complex_panel(axes, image, f"{picture.title} (hue: phase)")
    elif picture.kind == "pattern":
        image_panel(axes, log_of(image), picture.title, COUNTS, unit=picture.unit)
    else:
        shown = image if picture.known is None else np.where(picture.known, image, np.nan)
        is_phase = picture.kind == "phase"
        image_panel(
            axes,
            shown,
            picture.title,
            PHASE if is_phase else AMPLITUDE,
            phase_limits(shown) if is_phase else limits_of(shown),
            unit=picture.unit,
        )
