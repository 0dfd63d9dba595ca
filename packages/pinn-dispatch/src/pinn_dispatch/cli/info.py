"""`pinn info`: describe the contents of files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_data.command.exit_codes import BAD_INPUT, explained
from pinn_data.json_values import as_json

from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.errors import UsageError

if TYPE_CHECKING:
    from pinn_dispatch.info.description import Description

__all__ = ["add", "run"]

_HERE = "-"


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="describe the contents of files: scans, models, reconstructions, products, CXI files, runs",
        description="Describe NPZ scans, model archives (wts.h5.zip or their folder), reconstructions, "
        "ptychodus products and training data, CXI files and run folders; on a terminal with a small "
        "picture of each. Nothing in a file is executed, and patterns are read a few MB at a time.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="file or folder to describe")
    parser.add_argument(
        "--json", action="store_true", help="print a JSON list with one object per file instead of text"
    )
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument(
        "--thumbnail",
        metavar="FILE.png",
        help=f"file for a small figure; '{_HERE}' prints the picture with the text, even without a terminal",
    )
    pictures.add_argument("--no-thumbnail", action="store_true", help="print text only, even on a terminal")
    return parser


def run(args: argparse.Namespace) -> None:
    """Describes each file; errors are reported at the end."""
    _check(args)

    from pinn_dispatch.info.kinds import describe

    described: list[Description] = []
    failures: dict[Path, tuple[Exception, str]] = {}
    for path in args.files:
        try:
            described.append(describe(path))
        except Exception as error:
            code, sentence = explained(error, "pinn", smaller="a smaller file")
            if code != BAD_INPUT:
                raise
            failures[path] = error, sentence
    picture = None
    if args.thumbnail not in (None, _HERE) and described:
        from pinn_dispatch.info.description_figure import description_figure

        picture = description_figure(Path(args.thumbnail), described)
    if args.json:
        errors = [{"file": str(path), "error": sentence} for path, (_, sentence) in failures.items()]
        values = as_json([item.as_json() for item in described] + errors, lambda _: None)
        print(json.dumps(values, indent=2, allow_nan=False))
    else:
        _print(described, args)
        if picture is not None:
            print(f"\nthumbnail  {picture}")
    if failures:
        first, _ = next(iter(failures.values()))
        if len(args.files) == 1:
            raise first
        sentences = "; ".join(sentence for _, sentence in failures.values())
        raise UsageError(
            f"{len(failures)} of {len(args.files)} could not be described: {sentences}"
        ) from first


def _check(args: argparse.Namespace) -> None:
    if args.thumbnail == _HERE and args.json:
        raise UsageError("--json cannot print a picture: give --thumbnail FILE.png, or leave out --json")
    if args.thumbnail not in (None, _HERE) and Path(args.thumbnail).suffix.lower() != ".png":
        raise UsageError(
            f"--thumbnail is {args.thumbnail}, but its name must end in .png: name the figure "
            "first, then the files to look at"
        )


def _print(described: list[Description], args: argparse.Namespace) -> None:
    report = Report(args.quiet)
    shown = _is_shown(args)
    for number, item in enumerate(described):
        if number:
            print()
        report.result({"file": item.path, "kind": item.kind, **item.words})
        for part in item.parts:
            print()
            rows = {"file": part.path, "kind": part.kind, **part.words}
            report.result({f"  {name}": value for name, value in rows.items()})
        if shown and item.all_pictures():
            from pinn_dispatch.info.half_blocks import show

            print(flush=True)
            show(item.all_pictures())


def _is_shown(args: argparse.Namespace) -> bool:
    """Whether to print pictures with the text: on request, or on a terminal that can show them."""
    if args.thumbnail != _HERE and (args.no_thumbnail or args.quiet or not sys.stdout.isatty()):
        return False

    from pinn_dispatch.info.half_blocks import can_show

    if can_show(sys.stdout):
        return True
    if args.thumbnail == _HERE:
        raise UsageError(
            f"the output's encoding, {sys.stdout.encoding}, has no block characters to draw with: set "
            "PYTHONUTF8=1, or give --thumbnail FILE.png"
        )
    return False
