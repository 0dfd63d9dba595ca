"""docs/testing.md: each law cites tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_CITATION = re.compile(r"`((?:pinn-\w+/tests|tests)/[\w/]+\.py)::(\w+)`")


def test_every_cited_test_exists():
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    citations = _CITATION.findall(text)
    assert len(citations) > 60
    for file, name in citations:
        path = ROOT / (file if file.startswith("tests/") else f"packages/{file}")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, f"{file}::{name}"


def test_every_law_has_a_test():
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (part,) = [p for p in text.split("\n## ") if p.startswith("Laws")]
    rows = [line for line in part.splitlines() if line.startswith("| ") and "shown by" not in line]
    assert len(rows) > 35 and all(_CITATION.search(row) for row in rows)
