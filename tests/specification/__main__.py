"""Print the sentences of the specification and the tests that show them, in Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby

from .rows import Row, read_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 2 if no row holds the words."""
    parser = argparse.ArgumentParser(prog="python -m tests.specification", description=__doc__)
    parser.add_argument(
        "words", nargs="*", help="print only rows whose section, sentence or tests hold them all"
    )
    words = [word.lower() for word in parser.parse_args(arguments).words]
    rows = [row for row in read_rows() if all(word in _text(row) for word in words)]
    if not rows:
        print(f"no row of the specification holds {' and '.join(map(repr, words))}", file=sys.stderr)
        return 2
    print(as_markdown(rows))
    return 0


def as_markdown(rows: Iterable[Row]) -> str:
    """One table for each section."""
    tables = []
    for section, of_section in groupby(rows, key=lambda row: row.section):
        lines = [f"### {section}", "", "| The specification says | Shown by |", "|---|---|"]
        lines += [f"| {_cell(row.says)} | {_cell(_shown(row))} |" for row in of_section]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _shown(row: Row) -> str:
    tests = [f"`{test}`" for test in row.tests]
    return "<br>".join([*tests, row.remark] if row.remark else tests)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _text(row: Row) -> str:
    return " ".join((row.section, row.says, *row.tests, row.remark)).lower()


if __name__ == "__main__":
    sys.exit(main())
