"""Our solver and pty-chi, each in a process of its own with one thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PTYCHI", "PTYCHI_PYTHON", "MissingEngine", "State", "reconstruct", "single", "typical"]

PTYCHI = "pty-chi"
_PTYCHI_VERSION = "2.2.0"
_ROOT = Path(__file__).parents[1]
PTYCHI_PYTHON = "PTYCHI_PYTHON"
"""Environment variable: a Python that has pty-chi, in place of one that uv makes for the run."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class MissingEngine(RuntimeError):
    """pty-chi cannot be had here; the message says why."""


class State(NamedTuple):
    """A reconstruction, and what it took.

    object : (H, W) complex; ``corner`` is the object coordinate (y, x) of its pixel (0, 0)
    probe : (modes, N, N) complex, sqrt(counts)
    positions : (n, 2), as (y, x)
    cpu_s : CPU seconds
    memory_mib : of the process before it and at its peak; NaN where it was not measured
    """

    object: NDArray[Any]
    corner: tuple[float, float]
    probe: NDArray[Any]
    positions: NDArray[Any]
    cpu_s: float
    memory_mib: tuple[float, float]


def reconstruct(engine: str, scan: Path, **options: Any) -> list[State]:
    """The state at the end; of pty-chi after each of ``epochs``.

    engine : pty-chi, or an engine of ours
    options : see ``solver_child`` and ``ptychi_child``

    Raises MissingEngine, and RuntimeError where the engine ends with an error.
    """
    if engine == PTYCHI:
        command = [*_ptychi_python(), str(_ROOT / "benchmarks" / "ptychi_child.py")]
        asked = {"batch": 96, "modes": 1, "free_positions": False, "threads": 1}
    else:
        command = [sys.executable, "-m", "benchmarks.solver_child"]
        asked = {"engine": engine, "modes": 1}
    with tempfile.TemporaryDirectory(prefix="pinn-benchmark-") as folder:
        target = Path(folder) / "result.npz"
        done = _run([*command, str(scan), str(target), json.dumps(asked | options)])
        if done.returncode:
            end = done.stderr.strip()[-1500:]
            raise RuntimeError(f"{engine} on {scan.name} failed with exit code {done.returncode}: {end}")
        with np.load(target) as file:
            found = dict(file)
    memory = found.get("memory_mib", np.full(2, np.nan))
    corner = (float(found["corner"][0]), float(found["corner"][1]))
    return [
        State(image, corner, probe, positions, float(spent), (float(memory[0]), float(memory[1])))
        for image, probe, positions, spent in zip(
            found["objects"], found["probes"], found["positions"], found["cpu_s"], strict=True
        )
    ]


def single(engine: str, scan: Path, **options: Any) -> State:
    """The last state of `reconstruct`."""
    return reconstruct(engine, scan, **options)[-1]


def typical(engine: str, scan: Path, *, times: int = 3, **options: Any) -> State:
    """Of several runs, that with the median of the CPU seconds."""
    states = [single(engine, scan, **options) for _ in range(times)]
    return sorted(states, key=lambda state: state.cpu_s)[times // 2]


@cache
def _ptychi_python() -> tuple[str, ...]:
    """The command of a Python that has pty-chi and the PyTorch that we have."""
    own = os.environ.get(PTYCHI_PYTHON)
    command = (own,) if own else _with_uv()
    done = _run([*command, "-c", "import ptychi.api.task"])
    if done.returncode:
        raise MissingEngine(
            f"pty-chi {_PTYCHI_VERSION} cannot be installed here ({done.stderr.strip()[-200:]}): name a "
            f"Python that has it in {PTYCHI_PYTHON}"
        )
    return command


def _with_uv() -> tuple[str, ...]:
    wanted = [f"ptychi=={_PTYCHI_VERSION}"]
    with suppress(PackageNotFoundError):
        wanted.append(f"torch=={version('torch').split('+')[0]}")
    packages = [part for package in wanted for part in ("--with", package)]
    return ("uv", "run", "-q", "--no-project", "--isolated", "--python", sys.executable, *packages, "python")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    one_thread = os.environ | dict.fromkeys(_THREADS, "1")
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, env=one_thread)
    except FileNotFoundError as error:
        raise MissingEngine(f"{command[0]} is not installed, so pty-chi cannot be run: install it") from error
