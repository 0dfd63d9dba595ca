"""`pinn convert`: between scans and the formats of other programs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_dispatch.cli.shared.flag_values import explaining
from pinn_dispatch.cli.shared.output import output_folder
from pinn_dispatch.cli.shared.quantities import energy, length, pixel, point
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.errors import UsageError

if TYPE_CHECKING:
    from pinn_dispatch.conversion import Request

__all__ = ["add", "run"]

_UNITS = ("counts", "intensity", "amplitude")

_FRAMING = {"unit", "size", "centre", "zero_frequency", "mask", "invert_mask"}
_STAGE = {"positions_unit", "motion", "swap_xy", "negate_x", "negate_y"}
_GEOMETRY = {"distance", "wavelength", "energy", "detector_pixel", "object_pixel"}
_PROBE = {"probe", "guess_probe", "defocus"}
_TAKEN = {
    "scan": {"unit", "frames_axis", "write_unit", "probe", "mask", "invert_mask"} | _GEOMETRY,
    "cxi": _FRAMING | _STAGE | _GEOMETRY | _PROBE | {"write_unit"},
    "training": {"unit", "mask", "invert_mask", "write_unit"},
    "product": _FRAMING | {"patterns", "frames_axis", "write_unit", "object_pixel"},
    "reconstruction": _GEOMETRY,
    "raw": _FRAMING
    | _STAGE
    | _GEOMETRY
    | _PROBE
    | {"write_unit", "positions", "positions_columns", "frames_axis"},
}
_DESCRIPTION = """\
Convert a CXI file, a ptychodus product with its patterns, ptychodus training data, a stack of raw patterns
with its geometry, or a scan to a scan (F.npz) or a CXI file (F.cxi). Convert a product without patterns to a
reconstruction (F.npz), and a reconstruction to a product (F.h5). Assumptions are printed and stored in the
scan.
"""
_EXAMPLES = """\
examples:
  pinn convert beamline.cxi --output scan.npz --guess-probe
  pinn convert product.h5 --patterns patterns.npy --output scan.npz
  pinn convert frames.npy --positions motors.csv --positions-unit um --sample-motion --distance 1.92m \\
      --energy 8.8keV --detector-pixel 172um --size 128 --guess-probe --output scan.npz
  pinn convert scan.npz --write-unit counts --output counts.npz
  pinn convert scan.npz --output scan.cxi
lengths are in metres and energies in electronvolts unless a unit is given: 55um, 1.12m, 8.8keV
"""


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "convert",
        help="convert CXI files, ptychodus files and raw patterns to a scan, and back",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="input file; FILE:DATASET selects a stack of patterns in it"
    )
    parser.add_argument(
        "--output", type=Path, metavar="F", required=True, help="output file: F.npz, F.cxi or F.h5"
    )
    parser.add_argument(
        "--from", dest="kind", choices=tuple(_TAKEN), help="type of SOURCE (default: detected)"
    )
    parser.add_argument(
        "--patterns", metavar="FILE[:NAME]", help="patterns of a product (NPY, NPZ or HDF5 file)"
    )
    _add_patterns(parser.add_argument_group("patterns"))
    _add_positions(parser.add_argument_group("positions"))
    _add_geometry(parser.add_argument_group("geometry"))
    _add_probe(parser.add_argument_group("probe"))
    return parser


def _add_patterns(group: Any) -> None:
    group.add_argument("--unit", choices=_UNITS, help="unit of the patterns in SOURCE (default: detected)")
    group.add_argument(
        "--write-unit", choices=_UNITS, help="unit of the patterns in an NPZ output (default: as read)"
    )
    group.add_argument("--frames-axis", type=int, choices=(0, 2), help="frame axis of the stack (default: 0)")
    group.add_argument(
        "--size", type=int, metavar="N", help="crop or pad the frames to N x N, N even [pixels]"
    )
    group.add_argument(
        "--centre",
        type=explaining(point),
        metavar="Y,X",
        help="detector pixel of the zero frequency, counted from 0 (default: stated in the file, else "
        "the middle, or the centre of mass of the mean frame when cropping)",
    )
    group.add_argument(
        "--zero-frequency",
        choices=("centre", "corner"),
        help="location of the zero frequency in a frame (default: centre)",
    )
    group.add_argument(
        "--mask",
        metavar="FILE[:NAME]",
        help="mask of bad pixels, of the detector or of the cropped patterns, added to the one in SOURCE: "
        "NPY, NPZ, HDF5 or TIFF (nonzero = bad), or JSON ([[row, column], ...]); none "
        "ignores the mask in SOURCE",
    )
    group.add_argument(
        "--invert-mask",
        action="store_true",
        default=None,
        help="treat nonzero pixels as good, in the file of --mask or else in the mask of SOURCE",
    )


def _add_positions(group: Any) -> None:
    group.add_argument(
        "--positions",
        metavar="FILE",
        help="positions of raw patterns: CSV, text or NPY file, or HDF5 as FILE:DATASET",
    )
    group.add_argument(
        "--positions-columns",
        metavar="C,C",
        help="columns of the position file: y, x, or - to skip (default: read from its headings)",
    )
    group.add_argument(
        "--positions-unit",
        choices=("m", "mm", "um", "nm", "px"),
        help="unit of the positions; px is object pixels (default: read from the headings; m for CXI)",
    )
    moved = group.add_mutually_exclusive_group()
    for motion, words in (
        ("sample", "positions are those of the sample; the probe moves the opposite way (default for CXI)"),
        ("probe", "positions are those of the probe on the object (default for raw patterns)"),
    ):
        moved.add_argument(
            f"--{motion}-motion", dest="motion", action="store_const", const=motion, help=words
        )
    group.add_argument("--swap-xy", action="store_true", default=None, help="swap x and y")
    for axis in "xy":
        group.add_argument(
            f"--negate-{axis}", action="store_true", default=None, help=f"negate {axis}, after --swap-xy"
        )


def _add_geometry(group: Any) -> None:
    group.add_argument(
        "--distance", type=explaining(length), metavar="M", help="distance from object to detector [m]"
    )
    light = group.add_mutually_exclusive_group()
    light.add_argument("--wavelength", type=explaining(length), metavar="M", help="wavelength [m]")
    light.add_argument("--energy", type=explaining(energy), metavar="EV", help="photon energy [eV]")
    group.add_argument(
        "--detector-pixel",
        type=explaining(pixel),
        metavar="M",
        help="detector pixel side, or HEIGHT,WIDTH [m]",
    )
    group.add_argument(
        "--object-pixel",
        type=explaining(length),
        metavar="M",
        help="object pixel side [m] (default: wavelength * distance / (N * detector pixel))",
    )


def _add_probe(group: Any) -> None:
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--probe",
        metavar="FILE[:NAME]",
        help="probe, complex array ([modes,] N, N) in an NPY, NPZ or HDF5 file",
    )
    either.add_argument(
        "--guess-probe",
        action="store_true",
        default=None,
        help="estimate the probe: inverse Fourier transform of the mean measured amplitude",
    )
    group.add_argument(
        "--defocus",
        type=explaining(length),
        metavar="M",
        help="distance of the sample behind the focus, for --guess-probe; negative in front of it, "
        "for example --defocus=-10um [m] (default: 0)",
    )


def run(args: argparse.Namespace) -> None:
    """Converts one file."""
    from pinn_data.checks.scan_checks import check_scan
    from pinn_data.files.frame_stack import split_entry
    from pinn_data.scan.scan import Scan

    from pinn_dispatch.conversion import converted, written
    from pinn_dispatch.source_kinds import source_kind

    report = Report(args.quiet)
    source, entry = split_entry(args.source)
    kind = args.kind or ("raw" if entry is not None else source_kind(source))
    _check(args, kind, source, entry)
    request = _request(args, source, entry)
    with output_folder(args.output.parent):
        with _frames_bar(args.quiet) as advance:
            found, said = converted(request, kind, advance)
        report.note(f"{source} is read as: {_WORDS[kind]}")
        for sentence in said:
            report.note(f"  {sentence}")
        for finding in check_scan(found) if isinstance(found, Scan) else ():
            report.warn(finding.sentence)
        with report.stage("writing"):
            path = written(args.output, found, request, args.write_unit)
    report.result(_summary(path, found, args.write_unit))


_WORDS = {
    "scan": "a scan (NPZ)",
    "cxi": "a CXI file",
    "training": "ptychodus training data",
    "product": "a ptychodus product",
    "reconstruction": "a reconstruction",
    "raw": "a stack of patterns",
}


def _check(args: argparse.Namespace, kind: str, source: Path, entry: str | None) -> None:
    """Refuses flags without effect, an output of unknown format, and overwriting the source.

    Raises UsageError.
    """
    values = {name: value for name, value in vars(args).items() if value is not None}
    every = set().union(*_TAKEN.values())
    idle = sorted((values.keys() & every) - _TAKEN[kind])
    if idle:
        raise UsageError(
            f"{_flag(idle[0], values)} has no effect on {_WORDS[kind]}: leave it out, or give the type of "
            "SOURCE with --from"
        )
    if kind == "product" and args.patterns is None:
        alone = sorted(values.keys() & (_TAKEN["product"] - {"patterns"}))
        if alone:
            raise UsageError(
                f"{_flag(alone[0], values)} applies to patterns, but a product holds none: give --patterns "
                "FILE"
            )
    if entry is not None and kind != "raw":
        raise UsageError(
            f"{args.source} names an array, but {_WORDS[kind]} is read as a whole: give only the file"
        )
    if args.mask == "none" and (args.invert_mask or kind == "scan"):
        raise UsageError(
            "--mask none ignores the mask in the file, "
            + (
                "but the bad pixels of a scan cannot be ignored"
                if kind == "scan"
                else "so there is none to invert"
            )
        )
    if kind == "scan" and args.invert_mask and args.mask is None:
        raise UsageError("--invert-mask needs a mask: give --mask FILE too")
    if args.defocus is not None and not args.guess_probe:
        raise UsageError("--defocus needs a guessed probe: give --guess-probe too")
    is_image = kind == "reconstruction" or (kind == "product" and args.patterns is None)
    allowed = (".npz", ".h5", ".hdf5") if is_image else (".npz", ".cxi")
    if args.output.suffix.lower() not in allowed:
        raise UsageError(
            f"--output is {args.output}, but {_WORDS[kind]} becomes a file named "
            f"{' or '.join(f'*{suffix}' for suffix in allowed)}"
        )
    if args.output.suffix.lower() == ".cxi" and args.write_unit is not None:
        raise UsageError("--write-unit applies to NPZ scans, but a CXI file holds counts: leave it out")
    if args.output.exists() and source.exists() and args.output.samefile(source):
        raise UsageError(f"--output is {source} itself, which would be overwritten: give another name")


def _flag(name: str, values: dict[str, Any]) -> str:
    return f"--{values['motion']}-motion" if name == "motion" else f"--{name.replace('_', '-')}"


def _request(args: argparse.Namespace, source: Path, entry: str | None) -> Request:
    from pinn_data.files.cxi import GivenGeometry
    from pinn_data.files.measurement import Framing
    from pinn_data.scan.far_field import wavelength_m

    from pinn_dispatch.conversion import Request

    for flag in ("distance", "wavelength", "energy", "object_pixel"):
        value = getattr(args, flag)
        if value is not None and not value > 0:
            raise UsageError(f"--{flag.replace('_', '-')} is {value:g}, but a number above 0 is needed")
    wavelength = args.wavelength if args.energy is None else wavelength_m(args.energy)
    columns = args.positions_columns
    return Request(
        source,
        entry,
        patterns=args.patterns,
        unit=args.unit,
        frames_axis=args.frames_axis,
        framing=Framing(
            N=args.size,
            centre=args.centre,
            zero_frequency=args.zero_frequency,
            file_mask=args.mask != "none",
            invert_mask=bool(args.invert_mask) and args.mask is None,
        ),
        mask=None if args.mask == "none" else args.mask,
        invert_mask=bool(args.invert_mask),
        positions=args.positions,
        positions_columns=None if columns is None else tuple(c.strip().lower() for c in columns.split(",")),
        positions_unit=args.positions_unit,
        motion=args.motion,
        swap_xy=bool(args.swap_xy),
        negate_x=bool(args.negate_x),
        negate_y=bool(args.negate_y),
        geometry=GivenGeometry(args.distance, wavelength, args.detector_pixel),
        object_pixel_m=args.object_pixel,
        probe=args.probe,
        guess_probe=bool(args.guess_probe),
        defocus_m=args.defocus or 0.0,
    )


@contextmanager
def _frames_bar(quiet: bool) -> Iterator[Callable[[int], None]]:
    """A counter of the frames read, on the error stream if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:  # a disabled bar of rich before 15 still ends with an empty line
        yield lambda frames: None
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("reading: {task.completed} frames"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda frames: progress.advance(task, frames)


def _summary(path: Path, found: Any, unit: str | None) -> dict[str, object]:
    from pinn_data.files.product import Product
    from pinn_data.scan.diffraction import frame_blocks
    from pinn_data.scan.scan import Scan

    if not isinstance(found, Scan):
        image = found.object[0] if isinstance(found, Product) else found.object
        kind = "product" if path.suffix.lower() != ".npz" else "reconstruction"
        return {kind: path, "object": f"{image.shape[0]} x {image.shape[1]} pixels"}
    (y0, x0), (y1, x1) = found.positions.min(axis=0), found.positions.max(axis=0)
    bad = found.bad_pixels
    brightest = max(found.diffraction[block].max() for block in frame_blocks(found.diffraction))
    rows: dict[str, object] = {
        "CXI file" if path.suffix.lower() == ".cxi" else "scan": path,
        "patterns": f"{len(found)} of {found.N} x {found.N} pixels, {unit or found.unit}",
        "photons": f"{found.nphotons:.4g} per pattern; the brightest pixel as read: {brightest:.4g}",
        "bad pixels": "none"
        if bad is None
        else f"{int(bad.sum())} of {found.N**2}"
        if bad.ndim == 2
        else f"{bad.mean(axis=0).sum():.4g} of {found.N**2} per pattern",
        "positions": f"y {y0:.1f} to {y1:.1f}, x {x0:.1f} to {x1:.1f} pixels",
    }
    pixel_size = found.geometry.pixel_size_m
    if pixel_size is not None:
        rows["object pixel"] = " x ".join(f"{side * 1e9:.4g}" for side in dict.fromkeys(pixel_size)) + " nm"
    return rows
