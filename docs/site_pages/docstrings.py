"""Docstrings of this project as Markdown.

They say ``name : meaning`` line by line without a heading, and a few hold reStructuredText (tables, roles);
all of that would run together in Markdown.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

from site_pages.markdown import table

__all__ = ["ProjectDocstrings", "as_markdown"]

_ENTRY = re.compile(r"(\*{0,2}`{0,2}[A-Za-z_][\w.*]*`{0,2}(?:, \*{0,2}`{0,2}[A-Za-z_][\w.*]*`{0,2})*) : (.*)")
_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
_POWER = re.compile(r"(``.*?``|`[^`]*`)|\*\*(?=\d)", re.DOTALL)
_HEADED = re.compile(r"^-{3,}$", re.MULTILINE)


class ProjectDocstrings(griffe.Extension):
    """Changes every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    r"""A docstring with lists where its lines are ``name : meaning``, and blocks for doctests and tables.

    >>> print(as_markdown("The sum.\n\na : first\n    one\nb : x**2"))
    The sum.
    <BLANKLINE>
    * `a`: first
      one
    * `b`: x\*\*2
    """
    paragraphs = _ROLE.sub(r"`\1`", text).split("\n\n")
    return "\n\n".join(_paragraph(paragraph) for paragraph in paragraphs)


def _paragraph(text: str) -> str:
    lines = text.strip("\n").split("\n")
    if lines[0].lstrip().startswith(">>> "):
        return "\n".join(["```pycon", *lines, "```"])
    if re.fullmatch(r"=+( +=+)+", lines[0].strip()):
        return _table(lines)
    text = _POWER.sub(lambda match: match[1] or r"\*\*", text)  # no bold type where a power is meant
    if _HEADED.search(text) or not _ENTRY.fullmatch(lines[0]):
        return text
    return "\n".join(_listed(line) for line in text.strip("\n").split("\n"))


def _table(lines: list[str]) -> str:
    """A simple table of reStructuredText: a row whose first cell is empty goes on with the one before."""
    columns = [slice(match.start(), match.end()) for match in re.finditer(r"=+", lines[0])]
    columns[-1] = slice(columns[-1].start, None)
    rows: list[list[str]] = []
    for line in lines[1:]:
        if line.startswith("="):
            continue
        cells = [line[column].strip().replace("|", r"\|") for column in columns]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
    return table(rows[0], rows[1:])


def _listed(line: str) -> str:
    if entry := _ENTRY.fullmatch(line):
        names = ", ".join(f"`{name.strip('`')}`" for name in entry[1].split(", "))
        return f"* {names}: {entry[2]}"
    return f"  {line.strip()}"
