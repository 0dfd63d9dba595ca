"""``python -m benchmarks``: every row in its own process, one table."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.children import RowError, run_child
from benchmarks.line import Line
from benchmarks.plan import ROWS
from benchmarks.report import machine, text, write

_BUSY = 0.5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Speed and memory, as ratios within one run."
    )
    parser.add_argument(
        "rows", nargs="*", help="rows to measure (all): " + ", ".join(row.name for row in ROWS)
    )
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, default=threads, help="threads of each process (%(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/benchmarks"), help="folder for the table (%(default)s)"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - {row.name for row in ROWS}
    if unknown:
        parser.error(
            f"unknown rows {', '.join(sorted(unknown))}: choose from {', '.join(row.name for row in ROWS)}"
        )
    return arguments


def main() -> int:
    arguments = _arguments()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = str(arguments.threads)
    # As `pinn_torch.runtime.requirements` has it; here torch is often imported before.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    about = machine(arguments.threads) | {"load before": round(os.getloadavg()[0], 2)}
    if about["load before"] > _BUSY:
        print(
            f"the machine is busy (load {about['load before']}): ratios suffer too; run it alone",
            file=sys.stderr,
        )
    # So that the temporary folder, up to 2 GB, is removed then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lines: list[Line] = []
    failed = False
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="pinn-benchmark-") as name:
        folder = Path(name)
        run_child("scans:prepare", folder, {})
        for row in ROWS:
            if arguments.rows and row.name not in arguments.rows:
                continue
            try:
                found = run_child(row.function, folder, row.arguments)
            except RowError as error:
                print(error, file=sys.stderr)
                failed = True
                continue
            for line in found:
                print(text(line), flush=True)
            lines += found
    about["seconds"] = round(time.perf_counter() - began)
    for path in write(arguments.output, lines, about):
        print(path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
