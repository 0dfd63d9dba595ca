"""`pinn reconstruct`: reconstruct a scan with the physics solver."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_config.refining import PARTS
from pinn_data.command.mask_flags import add_mask_flags, masked
from pinn_data.command.processes import is_first_process
from pinn_data.command.stop_requests import stop_requests_noted

from pinn_dispatch.cli.shared.flag_values import explaining
from pinn_dispatch.cli.shared.output import output_folder, write_json
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.cli.shared.run_log import LOG_NAME, run_log
from pinn_dispatch.cli.shared.scan_checks import add_check_flag, check
from pinn_dispatch.compare.selection import FRAMES, Region, select
from pinn_dispatch.errors import UsageError
from pinn_dispatch.registry import ENGINES

if TYPE_CHECKING:
    from pinn_data.progress.reports import Progress
    from pinn_data.solver import SolverSettings


__all__ = ["PREVIEW_NAME", "add", "run"]

PREVIEW_NAME = "preview.png"


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "reconstruct",
        help="reconstruct a scan with the physics solver, without training",
        description="Reconstruct the object and the probe of a scan, and refine what the scan needs: "
        "positions, background, bad pixels, probe modes. Writes reconstruction.npz, .h5 (ptychodus product) "
        "and .png, metrics.json and reconstruct.log; preview.png shows the current image. Ctrl-C stops the "
        "solver and keeps the current image.",
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, metavar="FILE", required=True, help="NPZ file with the scan")
    data.add_argument("--output", type=Path, metavar="DIR", required=True, help="output folder")
    data.add_argument(
        "--model",
        type=Path,
        metavar="PATH",
        help="trained model whose image is the starting point (wts.h5.zip or its folder)",
    )
    data.add_argument(
        "--region",
        type=explaining(Region.parse),
        metavar="EXPR",
        help="region of positions to use, for example 'y>=238' [pixels]",
    )
    data.add_argument("--frames", choices=FRAMES, default="all", help="frames to use (default: all)")
    add_mask_flags(data)
    add_check_flag(data)
    how = parser.add_argument_group("reconstruction")
    how.add_argument(
        "--modes", type=int, metavar="N", help="number of incoherent probe modes (default: as in the scan)"
    )
    how.add_argument(
        "--refine",
        default="auto",
        metavar="PARTS",
        help="quantities to refine besides the object: auto (all but affine), none, or a comma-separated "
        f"list of {', '.join(PARTS)} (default: auto)",
    )
    how.add_argument(
        "--guess-probe",
        action="store_true",
        help="estimate the initial probe from the patterns instead of reading it from the scan",
    )
    how.add_argument("--seconds", type=float, metavar="S", help="time limit [s] (default: no limit)")
    how.add_argument("--engine", choices=ENGINES, help="computing engine (default: the fastest installed)")
    how.add_argument(
        "--devices",
        type=int,
        default=1,
        metavar="N",
        help="number of processes that share the frames, one per GPU; more than 1 needs pytorch (default: 1)",
    )
    return parser


def run(args: argparse.Namespace) -> int | None:
    """Reconstructs and saves; returns the exit code of a stop request, if one came."""
    settings = _settings(args)
    if args.devices < 1:
        raise UsageError(f"--devices is {args.devices}, but a whole number above 0 is needed")

    from pinn_data.checks.solution_facts import in_words
    from pinn_data.files.npz import read_scan
    from pinn_data.progress.reports import Cancel
    from pinn_data.run.pictures import write_preview
    from pinn_data.scan.stored_patterns import LARGE

    from pinn_dispatch.solving import solve

    first = is_first_process()
    report = Report(args.quiet or not first)
    with output_folder(args.output) as folder:
        archive = _archive(args.model)
        whole = read_scan(args.data, in_file_above=LARGE, guess_probe=args.guess_probe)
        scan = select(masked(whole, args), args.region, args.frames)
        check(scan, args, report)
        report.note(f"reconstructing {len(scan)} patterns of {scan.N} x {scan.N}")
        preview = folder / PREVIEW_NAME
        log = folder / LOG_NAME if first else Path(os.devnull)
        with run_log(log, quiet=report.quiet) as told, stop_requests_noted() as request:

            def watch(progress: Progress) -> Any:
                told(progress)
                return Cancel if request.came else None

            found = solve(
                scan,
                settings,
                engine=args.engine,
                devices=args.devices,
                model=archive,
                progress=watch,
                preview=(lambda image: write_preview(preview, image)) if first else None,
            )
        if not first:
            return None
        from pinn_dispatch.figures.solution_figure import solution_figure
        from pinn_dispatch.reconstruction import write_reconstruction

        write_preview(preview, found.object)
        npz, product = write_reconstruction(folder, found, scan)
        picture = solution_figure(folder / "reconstruction.png", found, args.data.name)
        assert found.refined is not None
        facts = {name: value for name, value in found.refined.facts.items() if name != "history"}
        about = {
            "data": str(args.data),
            "model": None if archive is None else str(archive),
            "region": None if args.region is None else args.region.text,
            "frames": args.frames,
            "mask": args.mask,
            **facts,
            "provenance": found.metadata["provenance"],
            "seconds_command": round(report.seconds, 3),
        }
        metrics = write_json(folder / "metrics.json", about)
    report.result(
        {
            "reconstruction": npz,
            "product": product,
            "picture": picture,
            "metrics": metrics,
            "log": log,
            **in_words(found.refined),
            "seconds": f"{facts['seconds_total']:.1f} to the image, {report.seconds:.1f} in total",
        }
    )
    if request.came:
        print("pinn: interrupted; the current image was saved", file=sys.stderr)
        return request.exit_code
    return None


def _settings(args: argparse.Namespace) -> SolverSettings:
    from pinn_data.solver import SolverSettings, parse_parts

    return SolverSettings(parse_parts(args.refine), args.modes, args.guess_probe, args.seconds)


def _archive(model: Path | None) -> Path | None:
    """The archive of the network; what is none is told before a long read of the data."""
    if model is None:
        return None
    from pinn_archive import find_archive

    from pinn_dispatch.dispatch import backend_of

    archive = find_archive(model)
    backend_of(archive)
    return archive
