"""Pictures as text: each character is two pixels, one above the other, coloured where the terminal has
colours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from pinn_dispatch.info.description import Picture
from pinn_dispatch.info.rasters import raster

__all__ = ["can_show", "show"]

_NARROWEST, _WIDEST, _GAP = 16, 26, 2  # columns
_BLOCKS = " ▀▄█"  # none, the upper, the lower, both
_ORDER = (np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) + 0.5) / 16


def can_show(stream: TextIO) -> bool:
    """Whether the stream's encoding has the characters."""
    try:
        _BLOCKS.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def show(pictures: Sequence[Picture], stream: TextIO | None = None) -> None:
    """Write `pictures` beside each other, as many as the terminal is wide, with their titles.

    Without colours (a pipe, NO_COLOR) pixels are black or white, spread so that grey areas look grey.
    """
    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
    room = min(console.width, 120)
    count = len(pictures)
    width = max(_NARROWEST, min(_WIDEST, (room - _GAP * (count - 1)) // max(count, 1)))
    beside = max(1, (room + _GAP) // (width + _GAP))
    for first in range(0, count, beside):
        _show_row(pictures[first : first + beside], width, console)


def _show_row(pictures: Sequence[Picture], width: int, console: Console) -> None:
    images = [raster(picture, width, width) for picture in pictures]
    lines = [_lines(image, coloured=console.color_system is not None) for image in images]
    widths = [max(image.shape[1], len(p.title)) for image, p in zip(images, pictures, strict=True)]
    gap = " " * _GAP
    console.print(
        gap.join(p.title.ljust(w) for p, w in zip(pictures, widths, strict=True)).rstrip(), markup=False
    )
    for number in range(max(len(block) for block in lines)):
        row = Text()
        for block, w in zip(lines, widths, strict=True):
            cell = block[number] if number < len(block) else Text()
            row.append_text(cell)
            row.append(" " * (w - len(cell)) + gap)
        row.rstrip()
        console.print(row)


def _lines(image: NDArray[np.float64], *, coloured: bool) -> list[Text]:
    rows, columns = image.shape[:2]
    if rows % 2:
        image = np.concatenate([image, np.zeros((1, columns, 3))])
    if not coloured:
        grey = image @ (0.3, 0.59, 0.11)
        lit = grey > np.tile(_ORDER, (-(-grey.shape[0] // 4), -(-columns // 4)))[: grey.shape[0], :columns]
        codes = lit[::2] + 2 * lit[1::2]
        return [Text("".join(_BLOCKS[code] for code in line)) for line in codes]
    levels = np.rint(255 * np.clip(image, 0, 1)).astype(int)
    lines = []
    for upper, lower in zip(levels[::2], levels[1::2], strict=True):
        line = Text()
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            line.append("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        lines.append(line)
    return lines
