"""The table: as text, as Markdown, as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.line import Line

__all__ = ["machine", "markdown", "text", "write"]

_HEAD = ("what", "figure", "ratio", "of", "wanted", "beside it", "peak memory")


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((r.split(":")[1].strip() for r in info.read_text().splitlines() if "model name" in r), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, "python": platform.python_version()}


def _cells(line: Line) -> tuple[str, ...]:
    wanted = ""
    if line.wanted is not None:
        sign, bound = line.wanted
        verdict = {True: "holds", False: "MISSED", None: ""}[line.holds]
        wanted = f"{'≥' if sign == '>=' else '≤'} {bound:g}: {verdict}"
    memory = f"{line.memory_mib:.0f} MiB" if line.memory_mib else ""
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    return (line.what, line.figure, ratio, line.of, wanted, line.beside, memory)


def text(line: Line) -> str:
    """One line for the terminal."""
    what, figure, ratio, of, wanted, beside, memory = _cells(line)
    ratio = f"{ratio} of {of}" if ratio and not of.startswith("µs") else ""
    return "  ".join(part for part in (f"{what:<56}", f"{figure:<34}", ratio, wanted, beside, memory) if part)


def markdown(lines: list[Line], about: dict[str, Any]) -> str:
    """The table, with what it was measured on."""
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_cells, lines)]
    head = ", ".join(f"{key} {value}" for key, value in about.items())
    return head + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def write(folder: Path, lines: list[Line], about: dict[str, Any]) -> tuple[Path, Path]:
    """The paths of ``benchmarks.json`` and ``benchmarks.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = folder / "benchmarks.json", folder / "benchmarks.md"
    content = {
        "machine": about,
        "lines": [dataclasses.asdict(line) | {"holds": line.holds} for line in lines],
    }
    as_json.write_text(json.dumps(content, indent=1) + "\n")
    as_markdown.write_text(markdown(lines, about))
    return as_json, as_markdown
