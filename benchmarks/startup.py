"""How long a user waits before anything happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.clock import medians
from benchmarks.line import Line

__all__ = ["startup"]

_ROUNDS = 7
_COMMANDS = {
    "pinn --help": ["-m", "pinn_dispatch.cli", "--help"],
    "import pinn_torch": ["-c", "import pinn_torch"],
    "import pinn_tf": ["-c", "import pinn_tf"],
    "import ptycho.config.config": ["-c", "import ptycho.config.config"],
    "python that does nothing": ["-c", ""],
}


def _run(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def startup(folder: Path) -> list[Line]:
    """Wall time of the whole process, Python's own start included."""
    times = medians({name: lambda a=a: _run(a) for name, a in _COMMANDS.items()}, _ROUNDS, 1)
    nothing = times["python that does nothing"]
    return [
        Line(
            name,
            f"{spent:.2f} s",
            spent / nothing,
            "python that does nothing",
            numbers={"seconds": spent, "nothing": nothing},
        )
        for name, spent in times.items()
        if spent != nothing
    ]
