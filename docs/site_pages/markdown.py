"""Text of the code as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code", "escaped", "table"]


def escaped(text: str) -> str:
    """Plain text that reads the same as Markdown, in a table too; parts between single backticks stay code.

    >>> escaped("share `a_b` of x_max, [y|z]")
    'share `a_b` of x\\\\_max, \\\\[y\\\\|z\\\\]'
    """
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = part.replace("|", r"\|")
        else:
            part = part.replace("&", "&amp;").replace("<", "&lt;")
            parts[i] = re.sub(r"([\\*_\[\]|~])", r"\\\1", part)
    return "".join(parts)


def code(text: object) -> str:
    """A word or value in the type of code, fit for a table."""
    return f"`{str(text).replace('|', chr(92) + '|')}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns without any entry are left out."""
    rows = [list(row) for row in rows]
    kept = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    lines = [[heads[i] for i in kept], ["---"] * len(kept), *([row[i] for i in kept] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
