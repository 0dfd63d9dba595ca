"""Rows of the specification: each cites tests that exist, and each demand has a row."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from specification.__main__ import as_markdown, main
from specification.rows import Row, read_rows

ROOT = Path(__file__).resolve().parents[2]
# <root>/tests/contracts/test_specification.py -> <root>/../shared/spec
SOURCES = ROOT.parent / "shared" / "spec"
NAMES = ("ptychopinn_api_spec.md", "cli_flag_rationale.md")
ROWS = read_rows()

_CITATION = re.compile(r"((?:pinn-\w+/tests|tests)/[\w/]+\.py)::(test_\w+)")
_DEMAND = re.compile(r"\b(MUST|SHALL)\b")


def _plain(text: str) -> str:
    """Text without markup, in single spaces."""
    text = re.sub(r"</?doc-ref[^>]*>|<br>|[*`⚠️]", " ", text.replace("\\|", "|"))
    return re.sub(r"\s+([.,;:)])", r"\1", re.sub(r"\s+", " ", text)).replace("( ", "(").strip()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


@cache
def _tests_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))


def test_every_row_cites_tests_that_exist():
    assert len(ROWS) > 250
    for row in ROWS:
        for test in row.tests:
            cited = _CITATION.fullmatch(test)
            assert cited, f"{test}, cited for: {row.says}"
            file, name = cited.groups()
            path = ROOT / file if file.startswith("tests/") else ROOT / "packages" / file
            assert path.is_file(), f"{file}, cited for: {row.says}"
            assert name in _tests_in(path), f"{test}, cited for: {row.says}"
        # A test that is cited in the remark would not be checked.
        assert "::" not in row.remark, row.remark


def test_the_command_prints_the_rows_that_hold_the_words(capsys):
    assert main(["4.8", "test_dispatch.py"]) == 0
    printed = capsys.readouterr().out
    wanted = [row for row in ROWS if "4.8" in row.section and "test_dispatch.py" in " ".join(row.tests)]
    assert 0 < len(wanted) < len(ROWS)
    assert all(row.says.replace("|", "\\|") in printed for row in wanted)
    assert main(["no row holds this"]) == 2
    assert "'no row holds this'" in capsys.readouterr().err


def test_a_row_is_a_line_of_its_sections_table():
    rows = [Row("1. A", "a | b", ["tests/x.py::test_x"], "Why."), Row("2. B", "c", ["tests/x.py::test_y"])]
    assert as_markdown(rows).splitlines() == [
        "### 1. A",
        "",
        "| The specification says | Shown by |",
        "|---|---|",
        "| a \\| b | `tests/x.py::test_x`<br>Why. |",
        "",
        "### 2. B",
        "",
        "| The specification says | Shown by |",
        "|---|---|",
        "| c | `tests/x.py::test_y` |",
    ]


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
    quotes = [_plain(row.says) for row in ROWS]
    sentences, _ = _specification()
    demands = [s for s in sentences if _DEMAND.search(s)]
    assert len(demands) > 40
    missing = [s for s in demands if not any(s in quote for quote in quotes)]
    assert missing == []


@needs_sources
def test_every_row_of_every_table_of_the_specification_has_a_row():
    """By its first cell and its last, which say what it is about and what is demanded."""
    quotes = [_plain(row.says) for row in ROWS]
    _, rows = _specification()
    assert len(rows) > 80
    missing = [row for row in rows if not any(row[0] in quote and row[-1] in quote for quote in quotes)]
    assert missing == []


@needs_sources
def test_nothing_is_quoted_that_the_specification_does_not_say():
    text = "\n".join((SOURCES / name).read_text(encoding="utf-8") for name in NAMES)
    known = re.sub(r"\s+", "", _plain(re.sub(r"^\s*(-|\d+\.)\s", "", text, flags=re.M)))
    for row in ROWS:
        for part in _plain(row.says).split(" — "):
            assert re.sub(r"\s+", "", part) in known, part
