"""`pinn evaluate`: score a reconstruction against the truth or against the other half of the frames."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_dispatch.cli.shared.flag_values import box, explaining
from pinn_dispatch.cli.shared.output import output_folder, write_json, write_table
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pinn_data.metrics.scores import RingCorrelation

    from pinn_dispatch.compare.comparison import Comparison

__all__ = ["add", "curve_rows", "run", "summary"]


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate",
        help="score a reconstruction against the truth or against the other half of the frames",
        description="Compute SSIM, PSNR, MAE and Fourier ring correlation of a reconstruction. Both images "
        "must have the same object pixel grid; global phase, scale and sub-pixel shift are fitted.",
    )
    parser.add_argument(
        "reconstruction",
        type=Path,
        metavar="RECON",
        help="reconstruction: reconstruction.npz, its folder, or a ptychodus product (.h5)",
    )
    other = parser.add_mutually_exclusive_group(required=True)
    other.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="true object: a scan with objectGuess, or another image",
    )
    other.add_argument(
        "--against", type=Path, metavar="RECON2", help="reconstruction from the other half of the frames"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="output folder (metrics.json, frc.csv, evaluation.png)"
    )
    parser.add_argument(
        "--remove-ramp", action="store_true", help="also fit a linear phase ramp (always on with --against)"
    )
    parser.add_argument(
        "--roi",
        type=explaining(box),
        metavar="R0,R1,C0,C1",
        help="rows R0:R1 and columns C0:C1 of the reference to score (default: area covered by the scan)",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Scores, prints and, with ``--output``, saves."""
    if args.against is not None and args.roi is not None:
        raise UsageError(
            "--roi needs --reference; two halves are compared in the area that both cover: leave it out"
        )
    report = Report(args.quiet)
    if args.output is None:
        scores, _, _ = _scored(args)
        report.result(summary(scores))
        return
    with output_folder(args.output) as folder:
        scores, curves, draw = _scored(args)
        metrics = write_json(folder / "metrics.json", scores)
        table = write_table(folder / "frc.csv", curve_rows(curves), ["frequency", *curves])
        picture = draw(folder / "evaluation.png")
    report.result(summary(scores) | {"metrics": metrics, "curves": table, "picture": picture})


def summary(scores: Mapping[str, Any]) -> dict[str, object]:
    """The most important scores, as text."""
    rows: dict[str, object] = {}
    for name, key in (("phase", "phase"), ("amplitude", "amp")):
        parts = (
            [f"SSIM {scores[f'ssim_{key}']:.3f}, PSNR {scores[f'psnr_{key}']:.1f} dB, "]
            if f"ssim_{key}" in scores
            else []
        )
        reach = ", ".join(
            f"{label} at {scores[f'{cut}_{key}']:.2f}" for label, cut in (("0.5", "frc50"), ("1/7", "frc17"))
        )
        rows[name] = "".join(parts) + f"FRC falls to {reach} of Nyquist"
    return rows


def _scored(
    args: argparse.Namespace,
) -> tuple[dict[str, Any], Mapping[str, RingCorrelation], Callable[[Path], Path]]:
    """Scores, ring correlations, and what draws them."""
    from pinn_dispatch.compare.comparison import compare, compare_halves
    from pinn_dispatch.figures.pictures import comparison_figure, halves_figure
    from pinn_dispatch.reconstruction import read_image

    found = read_image(args.reconstruction)
    about = {"reconstruction": str(args.reconstruction)}
    if args.reference is not None:
        c: Comparison = compare(found, read_image(args.reference), roi=args.roi, remove_ramp=args.remove_ramp)
        scores = c.scores | {"roi": c.roi} | about | {"reference": str(args.reference)}
        curves = {"amplitude": c.frc_amplitude, "phase": c.frc_phase}
        return (
            scores,
            curves,
            lambda path: comparison_figure(path, c, f"{args.reconstruction} against {args.reference}"),
        )
    halves = compare_halves(found, read_image(args.against))
    scores = halves.cutoffs | {"roi": halves.roi} | about | {"against": str(args.against)}
    curves = {"amplitude": halves.amplitude, "phase": halves.phase}
    fit = halves.alignment
    about_both = f"{args.reconstruction} against {args.against}"
    return scores, curves, lambda path: halves_figure(path, fit.recon, fit.truth, curves, about_both)


def curve_rows(curves: Mapping[str, RingCorrelation]) -> list[dict[str, float]]:
    """Ring correlations, all with the same rings, one row a ring."""
    frequency = next(iter(curves.values())).frequency
    return [
        {"frequency": float(f)} | {name: float(curve.correlation[i]) for name, curve in curves.items()}
        for i, f in enumerate(frequency)
    ]
