"""The list of mutants in docs/testing.md, from the tables."""

from __future__ import annotations

from pathlib import Path

from .mutant import KINDS, ROOT, Mutant, read_tables

__all__ = ["DOCUMENT", "listed", "write_docs"]

DOCUMENT = ROOT / "docs" / "testing.md"
_BEGIN, _END = "<!-- mutants: begin -->\n", "<!-- mutants: end -->\n"


def write_docs() -> Path:
    """Put the list between its two marks in docs/testing.md; the path."""
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(_BEGIN)
    after = rest.split(_END)[1]
    DOCUMENT.write_text(before + _BEGIN + listed() + _END + after, encoding="utf-8")
    return DOCUMENT


def listed() -> str:
    """The list, in Markdown: how many there are of each kind, and a table for each package."""
    mutants = read_tables()
    packages = list(dict.fromkeys(mutant.package for mutant in mutants))
    lines = ["| | " + " | ".join(packages) + " |", "|---|" + "---:|" * len(packages)]
    for kind, name in KINDS.items():
        numbers = [sum(m.kind == kind and m.package == p for m in mutants) for p in packages]
        lines.append(f"| {name} | " + " | ".join(str(n) if n else "" for n in numbers) + " |")
    for package in packages:
        lines += ["", f"#### {package}", "", "| kind | mutant | where | killed by |", "|---|---|---|---|"]
        lines += [_row(mutant) for mutant in mutants if mutant.package == package]
    return "\n".join(lines) + "\n"


def _row(mutant: Mutant) -> str:
    # A path and a test of a package are cited without what all of them share.
    own = f"{mutant.package}/tests/"
    laws = "<br>".join(f"`{test.removeprefix(own)}`" for test in mutant.tests)
    if mutant.equivalent:
        laws = f"none can: {mutant.equivalent}"
    return f"| {mutant.kind} | {mutant.id.replace('-', ' ')} | `{mutant.file.split('/', 1)[1]}` | {laws} |"
