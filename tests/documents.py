"""The documentation and what it shows in blocks."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["DOCUMENTS", "ROOT", "blocks"]

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "packages/*/README.md")
    for path in sorted(ROOT.glob(pattern))
]


def blocks(document: str) -> list[tuple[str, str]]:
    """(language, text) of every fenced block."""
    text = (ROOT / document).read_text("utf-8")
    return re.findall(r"^```([a-z]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
