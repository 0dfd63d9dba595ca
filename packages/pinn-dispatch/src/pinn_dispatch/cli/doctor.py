"""`pinn doctor`: check the installation, and print a command that fixes each problem."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_data.command.exit_codes import FAILED

from pinn_dispatch.errors import UsageError
from pinn_dispatch.registry import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinn_dispatch.doctor.findings import Finding

__all__ = ["add", "run"]

_SECONDS = 300.0


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="check this installation and say how to fix it",
        description="Check versions, backends, devices, memory and folders, and print a command that fixes "
        "each problem. The exit code is 0 if at least one backend works. --quiet prints problems only.",
    )
    parser.add_argument(
        "--run",
        dest="trial",
        action="store_true",
        help="also run a small trial (simulate, train, reconstruct 16 patterns) with each backend",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="output folder to check (default: current folder)",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        default=_SECONDS,
        metavar="T",
        help=f"time after which a backend counts as hanging [s] (default: {_SECONDS:g})",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints all findings and returns the exit code."""
    if not args.time_limit > 0:
        raise UsageError(f"--time-limit is {args.time_limit:g}, but a time above 0 is needed")

    from pinn_dispatch.doctor.backends import backend_findings

    findings: list[Finding] = []

    def tell(found: Finding) -> None:
        findings.append(found)
        if not args.json and not (args.quiet and found.level != "problem"):
            print(f"{found.level:<8} {found.subject}: {found.says}", flush=True)
            if found.mend:
                print(f"{'':<8} fix: {found.mend}", flush=True)

    for found in _installation(args.output):
        tell(found)
    working: dict[str, bool] = {}
    for name in BACKENDS:
        working[name], about = backend_findings(name, runs=args.trial, seconds=args.time_limit)
        for found in about:
            tell(found)
    if not any(working.values()):
        from pinn_dispatch.doctor.findings import problem

        tell(
            problem(
                "backends",
                "no backend works, so nothing can be trained",
                "pip install 'pinn-dispatch[pytorch]'",
            )
        )
    if args.json:
        import attrs

        rows = [attrs.asdict(found) for found in findings if found.level == "problem" or not args.quiet]
        print(json.dumps({"backends": working, "findings": rows}, indent=2))
    return 0 if any(working.values()) else FAILED


def _installation(output: Path) -> Iterator[Finding]:
    from pinn_dispatch.doctor import installation, machine

    yield from installation.versions()
    yield from installation.requirements()
    yield from installation.extras()
    yield from installation.ptychodus()
    yield from machine.threads()
    yield from machine.memory()
    yield from machine.folders(output)
