"""`pinn simulate`: simulate a scan with photon noise from two pictures."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from pinn_data.command.mask_flags import add_mask_flags, masked

from pinn_dispatch.cli.shared.output import output_folder
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.errors import UsageError

__all__ = ["add", "run"]

_PICTURES = "pictures come with scikit-image: camera, moon, coins, astronaut, brick, grass, gravel and others"


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "simulate",
        help="simulate a scan with photon noise; the object is made from two pictures",
        description="Simulate a scan with a defocused zone-plate probe on a jittered raster, and write it "
        "as NPZ with the true object and probe.",
        epilog=_PICTURES,
    )
    parser.add_argument("--output", type=Path, metavar="F.npz", required=True, help="output file")
    what = parser.add_argument_group("object and probe")
    what.add_argument(
        "--amplitude", default="camera", metavar="NAME", help="picture of the amplitude (default: camera)"
    )
    what.add_argument("--phase", default="moon", metavar="NAME", help="picture of the phase (default: moon)")
    what.add_argument(
        "--turns",
        type=int,
        default=0,
        metavar="N",
        help="quarter turns to rotate both pictures by (default: 0)",
    )
    what.add_argument(
        "--size", type=int, default=336, metavar="PX", help="side of the object [pixels] (default: 336)"
    )
    scan = parser.add_argument_group("scan")
    scan.add_argument(
        "-N",
        "--N",
        dest="N",
        type=int,
        default=64,
        metavar="PX",
        help="side of a diffraction pattern [pixels] (default: 64)",
    )
    scan.add_argument(
        "--step",
        type=float,
        default=6.0,
        metavar="PX",
        help="step between neighbouring positions [pixels] (default: 6)",
    )
    scan.add_argument(
        "--jitter",
        type=float,
        default=2.0,
        metavar="PX",
        help="maximum random displacement of a position [pixels] (default: 2)",
    )
    scan.add_argument(
        "--photons",
        type=float,
        default=5e5,
        metavar="X",
        help="mean number of photons per pattern (default: 5e5)",
    )
    scan.add_argument(
        "--background",
        type=float,
        default=0.0,
        metavar="X",
        help="constant background [counts per pixel] (default: 0)",
    )
    add_mask_flags(scan)
    scan.add_argument(
        "--unit",
        choices=("amplitude", "counts"),
        default="amplitude",
        help="unit of diff3d; amplitude is the square root of the counts (default: amplitude)",
    )
    scan.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of positions and noise (default: 0)"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Simulates and writes."""
    if args.seed < 0:
        raise UsageError(f"--seed is {args.seed}, but a whole number >= 0 is needed")
    if not (math.isfinite(args.background) and args.background >= 0):
        raise UsageError(f"--background is {args.background:g}, but a finite number >= 0 is needed")
    import attrs
    import numpy as np
    from pinn_data.files.npz import write_scan
    from pinn_data.optics.probe import defocused_probe
    from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan

    from pinn_dispatch.demo_scans import geometry

    report = Report(args.quiet)
    with output_folder(args.output.parent), report.stage("simulating"):
        rng = np.random.default_rng(args.seed)
        probe = defocused_probe(args.N)
        truth = picture_object(args.amplitude, args.phase, args.size, quarter_turns=(args.turns, args.turns))
        positions = jittered_raster(truth.shape, args.N, args.step, args.jitter, rng)
        scan = simulate_scan(
            truth, probe, positions, photons=args.photons, rng=rng, background=args.background
        )
        scan = masked(scan, args)
        scan = attrs.evolve(scan, metadata=dict(scan.metadata) | geometry(args.N) | {"seed": args.seed})
        write_scan(args.output, scan, unit=args.unit)
    report.result(
        {
            "scan": args.output,
            "patterns": f"{len(scan)} of {scan.N} x {scan.N}, {scan.nphotons:.3g} photons each, stored as "
            f"{args.unit}",
            "object": f"{truth.shape[0]} x {truth.shape[1]} pixels",
        }
    )
