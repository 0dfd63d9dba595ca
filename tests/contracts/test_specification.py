"""docs/specification.md: each row cites tests that exist, and each demand of the specification has a row."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "specification.md"
# <root>/tests/contracts/test_specification.py -> <root>/../shared/spec
SOURCES = ROOT.parent / "shared" / "spec"
NAMES = ("ptychopinn_api_spec.md", "cli_flag_rationale.md")

_CITATION = re.compile(r"`((?:pinn-\w+/tests|tests)/[\w/]+\.py)::(\w+)`")
_DEMAND = re.compile(r"\b(MUST|SHALL)\b")


def _plain(text: str) -> str:
    """Text without markup, in single spaces."""
    text = re.sub(r"</?doc-ref[^>]*>|<br>|[*`⚠️]", " ", text.replace("\\|", "|"))
    return re.sub(r"\s+([.,;:)])", r"\1", re.sub(r"\s+", " ", text)).replace("( ", "(").strip()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _rows(heading: str) -> list[tuple[str, str]]:
    """The rows (what the specification says, what shows it) under a heading of the first level below the
    title."""
    text = TABLE.read_text(encoding="utf-8")
    (part,) = [p for p in re.split(r"^## ", text, flags=re.M) if p.startswith(heading)]
    rows = [_cells(line) for line in part.splitlines() if line.startswith("|")]
    assert all(len(cells) == 2 for cells in rows), [cells for cells in rows if len(cells) != 2]
    return [
        (cells[0], cells[1])
        for cells in rows
        if not set("".join(cells)) <= set("-: ") and cells[0] != "The specification says"
    ]


SHOWN = _rows("Shown by tests")


@cache
def _tests_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))


def test_every_row_cites_tests_that_exist():
    assert len(SHOWN) > 250
    for says, shown in SHOWN:
        citations = _CITATION.findall(shown)
        assert says and citations, says
        for file, name in citations:
            path = ROOT / file if file.startswith("tests/") else ROOT / "packages" / file
            assert path.is_file(), f"{file}, cited for: {says}"
            assert name.startswith("test_") and name in _tests_in(path), f"{file}::{name}, cited for: {says}"
        # What is not a citation is a remark; a name that is misspelt so that it is none would hide in it.
        assert "::" not in _CITATION.sub("", shown), shown


def _specification() -> tuple[list[str], list[list[str]]]:
    """Sentences, and rows of tables, of both sources."""
    sentences: list[str] = []
    rows: list[list[str]] = []
    for name in NAMES:
        text = re.sub(r"^```.*?^```", "", (SOURCES / name).read_text(encoding="utf-8"), flags=re.M | re.S)
        block: list[str] = []
        for line in [*text.splitlines(), ""]:
            starts = re.match(r"\s*([-*]|\d+\.)\s|\s*\||#|\s*$", line)
            if starts and block:
                # A sentence without a subject ("MUST be > 0.") goes with the one before.
                sentences += re.split(r"(?<=[.;])\s+(?=[A-Z])(?!MUST|SHALL)", _plain(" ".join(block)))
                block = []
            if re.match(r"\|[\s:|-]+\|$", line):
                rows.pop()  # the line above was the head of a table
            elif line.startswith("|"):
                rows.append([_plain(cell) for cell in _cells(line)])
            elif not line.startswith("#") and line.strip():
                block.append(re.sub(r"^\s*([-*]|\d+\.)\s+", "", line.strip()))
    return sentences, rows


needs_sources = pytest.mark.skipif(
    not all((SOURCES / name).is_file() for name in NAMES),
    reason="the specification is not beside the repository",
)


@needs_sources
def test_every_demand_of_the_specification_is_quoted():
    quotes = [_plain(says) for says, _ in SHOWN]
    sentences, _ = _specification()
    demands = [s for s in sentences if _DEMAND.search(s)]
    assert len(demands) > 40
    missing = [s for s in demands if not any(s in quote for quote in quotes)]
    assert missing == []


@needs_sources
def test_every_row_of_every_table_of_the_specification_has_a_row():
    """By its first cell and its last, which say what it is about and what is demanded."""
    quotes = [_plain(says) for says, _ in SHOWN]
    _, rows = _specification()
    assert len(rows) > 80
    missing = [row for row in rows if not any(row[0] in quote and row[-1] in quote for quote in quotes)]
    assert missing == []


@needs_sources
def test_nothing_is_quoted_that_the_specification_does_not_say():
    text = "\n".join((SOURCES / name).read_text(encoding="utf-8") for name in NAMES)
    known = re.sub(r"\s+", "", _plain(re.sub(r"^\s*(-|\d+\.)\s", "", text, flags=re.M)))
    for says, _ in SHOWN:
        for part in _plain(says).split(" — "):
            assert re.sub(r"\s+", "", part) in known, part
