"""A table as aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["text_table"]


def text_table(rows: Sequence[Mapping[str, str]]) -> str:
    """`rows` under the names of their columns, the first column flush left, the others flush right.

    Columns are those of the first row; a column that is empty in every row is left out.

    >>> print(text_table([{"name": "a", "R": "0.1", "s": ""}, {"name": "bcd", "R": "0.25", "s": ""}]))
    name     R
    a      0.1
    bcd   0.25
    """
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [columns, *([row[name] for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        ).rstrip()
        for line in lines
    )
