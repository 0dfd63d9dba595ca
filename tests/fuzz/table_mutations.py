"""Hostile tables of positions: numbers that are none, rows that do not fit, text of another kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["ENCODINGS", "TEXT_MUTATIONS"]

Rng = np.random.Generator
Lines = list[str]


def _at(rng: Rng, lines: Lines) -> int:
    return int(rng.integers(len(lines) + 1))


_CELLS = (
    *(
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e308",
        "-1e308",
        "5e-324",
        "1_000",
        "0x10",
        "1,5",
        "--1",
        "+",
        "1e",
        "",
    ),
    *("\uff11\uff12", "\u0661", "9" * 5000, "1 2", "None", "#", '"3"', "'3'", "=1+1", "=cmd|' /C calc'!A0"),
)
_HEADINGS = (
    *(
        "x,y",
        "x_um",
        "y_um,x_um,y_um",
        "x_um,x_um",
        "x_um,y_nm",
        "x_furlong,y_furlong",
        "y\u2028,x",
        "_" * 3000,
    ),
    *(
        "x" + "_" * 5000 + ",y",
        "_x" * 2500 + "_" * 2500 + ",y",
        "x" * 5000,
        "# x_um y_um",
        "#",
        ",,,",
        ";;x;y",
    ),
)


def cell(rng: Rng, lines: Lines) -> None:
    """One number becomes something else."""
    if not lines:
        return
    at = int(rng.integers(len(lines)))
    separator = next((s for s in ";\t, " if s in lines[at]), ",")
    cells = lines[at].split(separator)
    cells[rng.integers(len(cells))] = _CELLS[rng.integers(len(_CELLS))]
    lines[at] = separator.join(cells)


def heading(rng: Rng, lines: Lines) -> None:
    text = _HEADINGS[rng.integers(len(_HEADINGS))]
    if lines and rng.random() < 0.7:
        lines[0] = text
    else:
        lines.insert(_at(rng, lines), text)


def row(rng: Rng, lines: Lines) -> None:
    """A row too many, too short, too long, or gone."""
    if lines and rng.random() < 0.3:
        del lines[rng.integers(len(lines))]
        return
    rows = ("1", "1,2,3,4", "1;2", "1 2", "1\t2", ",", "", "# 1,2", "#" * 400, "1,2," * 50, "\ufeff1,2")
    lines.insert(_at(rng, lines), rows[rng.integers(len(rows))])


def separators(rng: Rng, lines: Lines) -> None:
    old, new = rng.choice([",", ";", "\t", " "], 2)
    lines[:] = [line.replace(str(old), str(new)) for line in lines]


def odd_characters(rng: Rng, lines: Lines) -> None:
    odd = ("\0", "\x1b[2J", "\x85", "\u2028", "\ufeff", "\U0001f600", "\x7f", "\r", "\x0c", "\x1c", "\u202e")
    at = _at(rng, lines)
    text = odd[rng.integers(len(odd))] * int(rng.integers(1, 4))
    if lines and at < len(lines) and rng.random() < 0.7:
        middle = int(rng.integers(len(lines[at]) + 1))
        lines[at] = lines[at][:middle] + text + lines[at][middle:]
    else:
        lines.insert(at, text)


def long_line(rng: Rng, lines: Lines) -> None:
    """One line of up to two million characters."""
    size = int(rng.integers(10_000, 1_000_000))
    texts = ("1," * size, "1 " * size, "x" * size, ",," * size, "#" * size, "9" * size, "x_x" * (size // 2))
    lines.insert(_at(rng, lines) if rng.random() < 0.5 else 0, texts[rng.integers(len(texts))])


def many_rows(rng: Rng, lines: Lines) -> None:
    count = int(rng.integers(10_000, 300_000))
    lines += [("1,2", "1", "1;2;3", "#", "")[rng.integers(5)]] * count


TEXT_MUTATIONS: Mapping[str, Callable[[Rng, Lines], None]] = {
    function.__name__: function
    for function in (cell, heading, row, separators, odd_characters, long_line, many_rows)
}
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-7", "cp500")
