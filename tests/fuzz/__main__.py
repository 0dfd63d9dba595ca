"""``python -m tests.fuzz``: reads hostile files by the number and prints one line of JSON about them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .cases import case
from .runner import Report, run

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if every case was read or refused as it should be, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many cases")
    parser.add_argument("--seed", type=int, default=0, help="which cases")
    parser.add_argument("--start", type=int, default=0, help="number of the first case, to go on with a run")
    parser.add_argument(
        "--keep", type=Path, help="write the files of the cases into this folder and read none"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    args = parser.parse_args(arguments)
    if args.keep is not None:
        for number in range(args.start, args.start + args.count):
            folder = args.keep / f"{args.seed}-{number}"
            folder.mkdir(parents=True)
            made = case(args.seed, number)
            print(made.write(folder), made.kind, *made.mutations)
        return 0

    told = 0

    def progress(report: Report) -> None:
        nonlocal told
        if not args.quiet:
            behind = args.start + report.count
            print(
                f"{report.count} of {args.count} cases, {report.failed} failed, {report.seconds:.0f} s; "
                f"to go on: --start {behind}",
                file=sys.stderr,
                flush=True,
            )
        for failure in report.failures[told:]:
            print(json.dumps(failure), file=sys.stderr, flush=True)
        told = len(report.failures)

    report = run(args.seed, args.count, start=args.start, progress=progress)
    print(report.as_json())
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
