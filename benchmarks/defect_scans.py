"""Scans with what `benchmarks.measured_scans` has no row for: a mistake of the file, beam or stage.

    uv run python -m benchmarks.defect_scans OUTDIR [NAME ...]

writes ``OUTDIR/NAME.npz`` for each name in :data:`SPOILED`: the clean scan of seed 0 with one thing wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured_scans import make_scan

__all__ = ["SPOILED", "write_spoiled"]

Entries = dict[str, NDArray[Any]]


def _placed(scan: Entries, matrix: tuple[tuple[float, float], tuple[float, float]]) -> Entries:
    """The positions (y, x) about their mean after a linear map."""
    positions = np.stack([scan["ycoords"], scan["xcoords"]], -1)
    middle = positions.mean(axis=0)
    y, x = ((positions - middle) @ np.transpose(matrix) + middle).T
    return scan | {"ycoords": y, "xcoords": x}


def _drifting(scan: Entries) -> Entries:
    """A beam that decays to half, with a refill in the middle; what is left of Poisson counts is Poisson."""
    count = len(scan["diff3d"])
    share = 1 - 0.5 * (np.arange(count) % (count // 2)) / (count // 2)
    counts = np.random.default_rng(0).binomial(scan["diff3d"], share[:, None, None])
    return scan | {"diff3d": counts.astype(np.uint16)}


def _turn(degrees: float, scale: float = 1.0) -> tuple[tuple[float, float], tuple[float, float]]:
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return (c, -s), (s, c)


SPOILED: dict[str, Callable[[Entries], Entries]] = {
    "drift": _drifting,
    "larger": lambda scan: _placed(scan, _turn(3.0, 1.05)),
    "stretched": lambda scan: _placed(scan, ((1.0, 0.0), (0.04, 1.1))),
    "turned": lambda scan: _placed(scan, _turn(5.0)),
    "swapped": lambda scan: scan | {"xcoords": scan["ycoords"], "ycoords": scan["xcoords"]},
    "mirrored": lambda scan: scan | {"xcoords": -scan["xcoords"]},
    "metres": lambda scan: scan | {name: scan[name] * 1e-8 for name in ("xcoords", "ycoords")},
    "corner": lambda scan: scan | {"diff3d": np.fft.ifftshift(scan["diff3d"], axes=(1, 2))},
    "no-probe": lambda scan: scan | {"probeGuess": np.ones_like(scan["probeGuess"])},
}
"""What is done to the entries of the clean scan."""


def write_spoiled(folder: Path, name: str) -> Path:
    """The path of the scan that was written."""
    path = folder / f"{name}.npz"
    np.savez(path, **SPOILED[name](make_scan("clean", 0)[0]))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.defect_scans", description="The clean scan with one thing wrong."
    )
    parser.add_argument("output", type=Path, help="folder for the files")
    parser.add_argument("names", nargs="*", help="scans (all): " + ", ".join(SPOILED))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(SPOILED)
    if unknown:
        parser.error(f"unknown scans {', '.join(sorted(unknown))}: choose from {', '.join(SPOILED)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or SPOILED:
        print(write_spoiled(arguments.output, name))


if __name__ == "__main__":
    main()
