"""Our solver on one scan.

    python -m benchmarks.solver_child SCAN.npz RESULT.npz OPTIONS

OPTIONS is a JSON object: ``engine``, ``modes``, ``guess_probe``, ``seconds`` (null: as many as it takes),
``in_file`` (the patterns stay in their file). CPU seconds are those of the solver: imports and reading the
file do not count.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import peak_memory_mib


class Solved(NamedTuple):
    """What every engine is asked for.

    object : (H, W) complex; ``corner`` is the object coordinate (y, x) of its pixel (0, 0)
    probe : (modes, N, N) complex, sqrt(counts)
    positions : (n, 2), as (y, x)
    """

    object: NDArray[Any]
    corner: NDArray[Any]
    probe: NDArray[Any]
    positions: NDArray[Any]


def solver(options: dict[str, Any]) -> Callable[[Any], Solved]:
    """The function from a scan to what the solver finds with its defaults, everything imported."""
    from pinn_data.solver import SolverSettings, solve
    from pinn_dispatch.engines import solver_operations

    operations = solver_operations(options["engine"])
    settings = SolverSettings(
        modes=options["modes"] if options["modes"] > 1 else None,
        guess_probe=options.get("guess_probe", False),
        seconds=options.get("seconds"),
    )

    def run(scan: Any) -> Solved:
        solution = solve(scan, settings, operations=operations)
        probe = solution.probe.reshape(-1, *solution.probe.shape[-2:])
        return Solved(solution.object, np.asarray(solution.canvas.origin), probe, solution.positions)

    return run


def main() -> None:
    source, target, text = sys.argv[1:]
    options = json.loads(text)
    from pinn_data.files.npz import read_scan

    scan = read_scan(Path(source), in_file_above=0 if options.get("in_file") else None)
    run = solver(options)
    before, began = peak_memory_mib(), time.process_time()
    solved = run(scan)
    spent = time.process_time() - began
    # One state: where pty-chi's child keeps several.
    np.savez(
        target,
        corner=solved.corner,
        objects=solved.object[None],
        probes=solved.probe[None],
        positions=solved.positions[None],
        cpu_s=np.array([spent]),
        memory_mib=np.array([before, peak_memory_mib()]),
    )


if __name__ == "__main__":
    main()
