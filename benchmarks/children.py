"""A row in a process of its own: its memory is its own, and its peak is that of the same process.

``python -m benchmarks.children FUNCTION FOLDER ARGUMENTS`` prints the row's lines as JSON, last of all.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.clock import peak_memory_mib
from benchmarks.line import Line

__all__ = ["RowError", "run_child"]

_MARK = "benchmark-lines "


class RowError(RuntimeError):
    """A row ended with an error; the message holds the end of what it said."""


def run_child(function: str, folder: Path, arguments: dict[str, Any]) -> list[Line]:
    """The lines of 'module:function' called in a new process."""
    command = [sys.executable, "-m", "benchmarks.children", function, str(folder), json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    answers = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not answers:
        raise RowError(f"{function} {arguments} failed: {done.stderr.strip()[-2000:]}")
    return [Line(**fields) for fields in json.loads(answers[-1].removeprefix(_MARK))]


def main() -> None:
    function, folder, arguments = sys.argv[1:]
    module, name = function.split(":")
    row = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    lines = row(Path(folder), **json.loads(arguments))
    for line in lines:
        if line.memory_mib is None:
            line.memory_mib = peak_memory_mib()
    print(_MARK + json.dumps([dataclasses.asdict(line) for line in lines]))


if __name__ == "__main__":
    main()
