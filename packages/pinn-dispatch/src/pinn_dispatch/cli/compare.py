"""`pinn compare`: several reconstructions of one sample side by side, as a figure and a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn_dispatch.cli.evaluate import curve_rows
from pinn_dispatch.cli.shared.flag_values import box, explaining
from pinn_dispatch.cli.shared.output import output_folder, write_json, write_table
from pinn_dispatch.cli.shared.report import Report
from pinn_dispatch.cli.shared.text_table import text_table
from pinn_dispatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pinn_dispatch.compare.side_by_side import SideBySide

__all__ = ["add", "named", "run"]

_MOST = 20  # reconstructions whose curves a figure can tell apart


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="compare several reconstructions in a figure and a table",
        description="Align reconstructions of one sample (global phase, phase ramp, scale and shift are "
        "fitted), crop them to their common area, and score each against a reference or, without "
        "one, against the first reconstruction.",
    )
    parser.add_argument(
        "reconstructions",
        nargs="+",
        metavar="[NAME=]RECON",
        help="reconstruction: run folder, reconstruction.npz, ptychodus product (.h5), or NPZ with "
        "objectGuess",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="true object: a scan with objectGuess, or another image",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="output folder (comparison.png, comparison.csv, comparison.json, frc.csv)",
    )
    parser.add_argument(
        "--roi",
        type=explaining(box),
        metavar="R0,R1,C0,C1",
        help="rows R0:R1 and columns C0:C1 to compare [object pixels] (default: common area)",
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="find large shifts by correlation, for files whose coordinates have different origins (shifts "
        "up to about a sixth of the common area need no search)",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Compares, prints and, if asked for, saves."""
    paths = named(args.reconstructions)
    if len(paths) < 2 and args.reference is None:
        raise UsageError(
            "only one reconstruction was given, but a comparison needs two: add another, or --reference FILE"
        )
    report = Report(args.quiet)
    if args.output is None:
        _show(*_compared(args, paths))
        return
    with output_folder(args.output) as folder:
        from pinn_dispatch.figures.side_by_side_figure import side_by_side_figure

        compared, rows = _compared(args, paths)
        about = {
            "reference": args.reference,
            "agreement_with": None if args.reference else rows[0]["name"],
            "roi": compared.box,
        }
        curves = {
            f"{name}: {part}": curve
            for name, panel in compared.panels.items()
            for part, curve in panel.curves.items()
        }
        written: dict[str, object] = {
            "picture": side_by_side_figure(folder / "comparison.png", compared, _subtitle(args, compared)),
            "table": write_table(
                folder / "comparison.csv", [_cells(row) for row in rows], list(_cells(rows[0]))
            ),
            "scores": write_json(folder / "comparison.json", about | {"reconstructions": rows}),
            "curves": write_table(folder / "frc.csv", curve_rows(curves), ["frequency", *curves]),
        }
    _show(compared, rows)
    print()
    report.result(written)


def named(texts: Sequence[str]) -> dict[str, Path]:
    """Paths by name, from ``NAME=PATH`` or from a path alone, which gets the shortest unique name.

    Raises UsageError for a missing name or path, one name for two, or more than a figure can show.
    """
    if len(texts) > _MOST:
        raise UsageError(
            f"{len(texts)} reconstructions were given, but a figure can show at most {_MOST}: compare fewer "
            "at a time"
        )
    chosen: list[tuple[str | None, Path]] = []
    for text in texts:
        name, sign, path = text.partition("=")
        if not sign or Path(text).exists():
            chosen.append((None, Path(text)))
        elif not name.strip() or not path:
            raise UsageError(
                f"{text!r} names no reconstruction: write NAME=PATH, for example unrolled=outputs/image"
            )
        else:
            chosen.append((name.strip(), Path(path)))
    given = [name for name, _ in chosen if name is not None]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two reconstructions are called {twice!r}: give them different names")
    return dict(zip(_names(chosen), (given_path for _, given_path in chosen), strict=True))


def _names(chosen: Sequence[tuple[str | None, Path]]) -> list[str]:
    """The given names; else the last parts of the path, as many as it takes, and a number for equal paths."""
    bare = [tuple(part for part in _bare(path).parts if part not in ("/", "..")) for _, path in chosen]
    names: list[str] = []
    for (name, _), parts in zip(chosen, bare, strict=True):
        others = [p for p in bare if p != parts]
        count = next(
            (n for n in range(1, len(parts)) if all(p[-n:] != parts[-n:] for p in others)), max(len(parts), 1)
        )
        wanted = name if name is not None else "/".join(parts[-count:]) or "."
        given = [n for n, _ in chosen if n is not None and n != name]
        unique, number = wanted, 2
        while unique in names or unique in given:
            unique, number = f"{wanted} ({number})", number + 1
        names.append(unique)
    return names


def _bare(path: Path) -> Path:
    """The folder of a file that has the name every run gives it, or the file without its extension."""
    whole = path.absolute()
    if path.name in ("reconstruction.npz", "reconstruction.h5"):
        return whole.parent
    return whole if whole.is_dir() else whole.with_suffix("")


def _compared(args: argparse.Namespace, paths: Mapping[str, Path]) -> tuple[SideBySide, list[dict[str, Any]]]:
    """The aligned reconstructions, and one row of facts and scores for each."""
    import attrs

    from pinn_dispatch.compare.side_by_side import lay_side_by_side
    from pinn_dispatch.provenance import provenance_of
    from pinn_dispatch.reconstruction import read_image

    images = {name: read_image(path) for name, path in paths.items()}
    told = {name: attrs.asdict(provenance_of(path)) for name, path in paths.items()}
    reference = None if args.reference is None else read_image(args.reference)
    compared = lay_side_by_side(images, reference, box=args.roi, search=args.search)
    rows = []
    for name, image in images.items():
        about = told[name]
        if about["patterns"] is None and image.positions is not None:
            about["patterns"] = len(image.positions)
        size = {"height": image.image.shape[0], "width": image.image.shape[1]}
        rows.append({"name": name, "path": paths[name], **size, **about, **compared.panels[name].scores})
    return compared, rows


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for a table: pairs become two columns."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        cells |= {f"{name}_y": value[0], f"{name}_x": value[1]} if isinstance(value, tuple) else {name: value}
    return cells


def _show(compared: SideBySide, rows: Sequence[Mapping[str, Any]]) -> None:
    r0, r1, c0, c1 = compared.box
    print(f"compared in rows {r0} to {r1 - 1} and columns {c0} to {c1 - 1} of the object\n")
    facts = [
        {
            "name": row["name"],
            "pixels": f"{row['height']} x {row['width']}",
            "patterns": _number(row["patterns"], "d"),
            "R": _number(row["residual"], ".4f"),
            "gridsize": _number(row["gridsize"], "d"),
            "seconds": _number(row["seconds"], ".1f"),
            "backend": row["backend"] or "",
            "network": row["architecture"] or "",
            "solver": row["engine"] or "",
        }
        for row in rows
    ]
    print(text_table(facts))
    against = "the reference" if compared.reference is not None else rows[0]["name"]
    for part, key, unit in (("phase", "phase", " rad"), ("amplitude", "amp", "")):
        titles = {
            "ssim": ("SSIM", ".3f"),
            "psnr": ("PSNR dB", ".1f"),
            "mae": (f"MAE{unit}", ".4f"),
            "corr": ("corr.", ".3f"),
            "frc50": ("FRC 0.5", ".2f"),
            "frc17": ("FRC 1/7", ".2f"),
        }
        print()
        print(
            text_table(
                [
                    {f"{part} with {against}": row["name"]}
                    | {
                        title: _number(row[f"{score}_{key}"], form)
                        for score, (title, form) in titles.items()
                        if f"{score}_{key}" in row
                    }
                    for row in rows
                ]
            )
        )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _subtitle(args: argparse.Namespace, compared: SideBySide) -> str:
    fitted = "global phase, phase ramp, scale and shift fitted"
    against = f"to {args.reference.name}" if args.reference else f"to {next(iter(compared.panels))}"
    return f"{fitted} {against}; axes in object pixels"
