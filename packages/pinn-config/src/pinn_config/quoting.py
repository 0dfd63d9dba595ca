"""Texts of files and libraries, made safe for an error message."""

from __future__ import annotations

__all__ = ["one_line"]


def one_line(text: object, most: int = 200) -> str:
    """`text` as one line without control characters, of `most` characters before it is cut with ``...``."""
    line = " ".join(str(text).split())
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[:most])
    return plain if len(line) <= most else f"{plain}..."
