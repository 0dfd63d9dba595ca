"""Positions in a file of their own: CSV or other text, NPY, or a dataset in HDF5."""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import (
    DataFileNotFoundError,
    DataFormatError,
    DataKeyError,
    PositionError,
    ShapeError,
    naming,
)
from pinn_data.files.hdf5 import find_dataset, is_hdf5, opened, read_numbers
from pinn_data.files.npy_file import is_npy, mapped_npy

__all__ = ["read_positions"]

_MOST_BYTES = 2**30  # of text
_LONGEST_LINE = 2**16  # characters
_HEADING = re.compile(
    r"(?:.*[_ ])?(?P<axis>[xy])(?:coords?)?(?:[_ ]*[\[(]?(?P<unit>m|mm|um|µm|μm|nm|px)[\])]?)?", re.IGNORECASE
)


def read_positions(
    path: Path, entry: str | None = None, columns: Sequence[str] | None = None
) -> tuple[NDArray[np.float64], str | None]:
    """Positions (n, 2) as (y, x), and their unit where the headings of a text file tell it.

    columns : what each column of the file is, from the first: 'y', 'x', or '-' for something else. A text
        file whose first line names its columns (``x_um,y_um``) needs none.
    entry : the dataset of an HDF5 file

    Raises DataFileNotFoundError, DataFormatError, DataKeyError (which column?), ShapeError.
    """
    if not path.is_file():
        why = "is a folder: give the file" if path.is_dir() else "does not exist: check the path"
        raise DataFileNotFoundError(f"{path} {why} of the positions")
    with naming(path):
        unit = None
        if is_hdf5(path):
            table = _hdf5_table(path, entry)
        elif is_npy(path):
            table = _npy_table(path)
        else:
            table, headings = _text_table(path)
            if columns is None and headings is not None:
                columns, unit = _columns(headings)
        if columns is None:
            raise DataKeyError(
                "the file does not state which of its columns are y and x: give --positions-columns, for "
                "instance y,x"
            )
        if sorted(c for c in columns if c != "-") != ["x", "y"]:
            raise PositionError(
                f"the columns {','.join(columns)} were given, but exactly one y and one x are needed, with "
                "- for other columns: for instance -,y,x"
            )
        if table.ndim != 2 or table.shape[1] < len(columns) or not len(table):
            raise ShapeError(
                f"the positions have shape {table.shape}, but a row for each frame with at least "
                f"{len(columns)} columns ({','.join(columns)}) is needed: fix the file or "
                "--positions-columns"
            )
        order = [list(columns).index(axis) for axis in "yx"]
        return table[:, order].astype(np.float64), unit


def _hdf5_table(path: Path, entry: str | None) -> NDArray[Any]:
    with opened(path, "HDF5 file") as file:
        found = None if entry is None else find_dataset(file, entry)
        if found is None:
            raise DataKeyError(
                f"the file has no dataset {entry or 'named'} for the positions: name it as FILE:DATASET"
            )
        return read_numbers(found, "iuf")


def _npy_table(path: Path) -> NDArray[Any]:
    table = mapped_npy(path)
    if table.dtype.kind not in "iuf":
        raise DataFormatError(
            f"it has dtype {one_line(table.dtype)}, but real numbers are needed: store real numbers"
        )
    return np.array(table)


def _text_table(path: Path) -> tuple[NDArray[Any], list[str] | None]:
    """Numbers, and the headings where a line before them is no numbers."""
    if path.stat().st_size > _MOST_BYTES:
        raise DataFormatError("it is larger than 1 GiB, too much for a table of positions: give another file")
    table, width, headings = array("d"), 0, None
    try:
        for number, line in _lines(path):
            cells = _cells(line.lstrip("#").strip())
            if not cells:
                continue
            row = _numbers(cells)
            if row is None and not width and _may_be_headings(headings, line):
                headings = line
            elif line.startswith("#"):
                continue
            elif row is None:
                raise DataFormatError(
                    f"line {number} is {line[:40]!r}, which is not a row of numbers: fix it"
                )
            elif width and len(row) != width:
                raise DataFormatError(
                    f"line {number} has {len(row)} numbers, but the lines before have {width}: fix it"
                )
            else:
                width = len(row)
                table.extend(row)
    except UnicodeDecodeError as error:
        raise DataFormatError(
            "it is neither text (CSV) nor NPY nor HDF5: give positions in one of these"
        ) from error
    rows = np.frombuffer(table, np.float64) if width else np.empty(0)
    return rows.reshape(-1, max(width, 1)), None if headings is None else _cells(headings.lstrip("#").strip())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, one in memory at a time.

    Raises DataFormatError where one is longer than any row of positions.
    """
    with path.open(encoding="utf-8-sig") as file:
        for number in itertools.count(1):
            line = file.readline(_LONGEST_LINE)
            if not line:
                return
            if len(line) == _LONGEST_LINE:
                raise DataFormatError(
                    f"line {number} has {_LONGEST_LINE} characters or more, which is not a row of "
                    "positions: give a table with one row per frame"
                )
            yield number, line.strip()


def _may_be_headings(before: str | None, line: str) -> bool:
    """Whether `line` may be the headings, though there was a text `before`, which is a remark then."""
    return before is None or (
        before.startswith("#") and _columns(_cells(before.lstrip("#").strip()))[0] is None
    )


def _numbers(cells: Sequence[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _cells(line: str) -> list[str]:
    for separator in (";", "\t", ","):
        if separator in line:
            return [cell.strip().strip('"') for cell in line.split(separator)]
    return line.split()


def _columns(headings: Sequence[str]) -> tuple[list[str] | None, str | None]:
    """What the columns are, and the unit that both headings tell; None where they do not."""
    found = [_HEADING.fullmatch(heading.strip()) for heading in headings]
    columns = [match["axis"].lower() if match else "-" for match in found]
    if sorted(c for c in columns if c != "-") != ["x", "y"]:
        return None, None
    units = {(match["unit"] or "").lower().replace("µ", "u").replace("μ", "u") for match in found if match}
    return columns, (units.pop() or None) if len(units) == 1 else None
