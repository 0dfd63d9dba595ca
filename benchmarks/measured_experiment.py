"""Our solver beside pty-chi on scans as a beamline measures them: `benchmarks.measured_scans`.

    uv run python -m benchmarks.measured_experiment [ROW ...] [--seeds 10 11 ...] [--engines numpy pty-chi]

Every scan is reconstructed by each engine in turn, in a process of its own with one thread. Medians over the
seeds, CPU seconds without imports. The probe is free in both; a phase ramp, which a free probe leaves open,
is taken off before an image is scored, inside the outermost positions (`measured_scans.roi_of`). pty-chi is
told which pixels are bad, how many modes there are and whether positions are wrong; we are told the number of
modes in the row of three modes, and nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pinn_data.metrics.scores import evaluate

from benchmarks.line import Line
from benchmarks.measured_scans import ROWS, make_scan
from benchmarks.reconstructors import PTYCHI, MissingEngine, State, single
from benchmarks.report import text

__all__ = ["ENGINES", "SEEDS", "WANTED", "Scores", "measured_row", "score"]

ENGINES = ("numpy", PTYCHI)
SEEDS = (10, 11, 12, 13, 14)
"""Every object and probe. No number in the solver was chosen with them, as many were with 0 to 9."""
_EPOCHS = [50]

# SSIM of amplitude and phase that is asked for, and not more than pty-chi's CPU seconds.
WANTED: dict[str, tuple[float, float]] = {
    "clean": (0.918, 0.977),
    "defocus-10": (0.918, 0.977),
    "defocus-40": (0.918, 0.976),
    "modes-3": (0.888, 0.971),
    "bad-pixels": (0.900, 0.974),
    "background": (0.849, 0.962),
    "positions-1": (0.90, 0.97),
    "positions-2": (0.882, 0.954),
    "positions-3": (0.835, 0.919),
    "half-probe": (0.795, 0.933),
    "all-at-once": (0.821, 0.927),
    "another-probe": (0.910, 0.960),
    "dose-1e3": (0.50, 0.69),
    "dose-1e3-background": (0.03, 0.05),
}


class Scores(NamedTuple):
    """amplitude, phase : SSIM
    cpu_s : CPU seconds
    left_px : root mean square distance of the positions from the true ones
    memory_mib : peak of the process; NaN where it was not measured
    """

    amplitude: float
    phase: float
    cpu_s: float
    left_px: float
    memory_mib: float

    def __str__(self) -> str:
        return f"{self.amplitude:.3f} / {self.phase:.3f} in {self.cpu_s:.1f} s"


def score(state: State, truth: dict[str, NDArray[Any]]) -> Scores:
    """How good a reconstruction is; what no measurement tells (shift, ramp, constant) is fitted."""
    scores = evaluate(state.object, truth["object"], roi=truth["roi"], guess=state.corner, remove_ramp=True)
    # The mean of the positions moves with the image.
    error = state.positions - truth["positions"]
    left = float(np.sqrt(np.mean(np.sum((error - error.mean(axis=0)) ** 2, axis=1))))
    return Scores(scores["ssim_amp"], scores["ssim_phase"], state.cpu_s, left, state.memory_mib[1])


def measured_row(
    folder: Path, row: str, seeds: Sequence[int] = SEEDS, engines: Sequence[str] = ENGINES
) -> list[Line]:
    """Quality of each engine, and CPU seconds of ours against pty-chi's."""
    told = ROWS[row]
    scores: dict[str, list[Scores]] = {engine: [] for engine in engines}
    missing = ""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for seed in seeds:
            entries, truth = make_scan(row, seed)
            ours, theirs = Path(name) / "scan.npz", Path(name) / "told.npz"
            np.savez(ours, **entries)
            mask = {"bad_pixels": truth["bad_pixels"]} if told.has_bad_pixels else {}
            np.savez(theirs, **entries, **mask)
            for engine in engines:
                try:
                    if engine == PTYCHI:
                        state = single(
                            engine,
                            theirs,
                            epochs=_EPOCHS,
                            modes=told.modes,
                            free_positions=told.positions > 0,
                        )
                    else:
                        state = single(engine, ours, modes=told.told_modes)
                except MissingEngine as error:
                    missing = str(error)
                    continue
                scores[engine].append(score(state, truth))
    medians = {engine: _median(each) for engine, each in scores.items() if each}
    numbers = {engine: [each._asdict() for each in found] for engine, found in scores.items()}
    lines = []
    for engine, median in medians.items():
        if engine != PTYCHI:
            lines += _lines(row, engine, median, medians.get(PTYCHI), missing, numbers)
        elif len(medians) == 1:
            lines.append(Line(f"{row}, pty-chi", str(median), beside=_left(row, median), numbers=numbers))
    return lines or [Line(row, "not measured", beside=missing)]


def _median(each: list[Scores]) -> Scores:
    return Scores(*(statistics.median(values) for values in zip(*each, strict=True)))


def _left(row: str, scores: Scores) -> str:
    return f"positions {scores.left_px:.2f} px off" if ROWS[row].positions else ""


def _lines(
    row: str, engine: str, ours: Scores, theirs: Scores | None, missing: str, numbers: dict[str, Any]
) -> list[Line]:
    wanted = WANTED[row]
    share = min(ours.amplitude / wanted[0], ours.phase / wanted[1])
    quality = Line(
        f"{row}, {engine}: SSIM amplitude / phase",
        f"{ours.amplitude:.3f} / {ours.phase:.3f}",
        share,
        f"{wanted[0]:.3f} / {wanted[1]:.3f}",
        (">=", 1.0),
        _left(row, ours),
        ours.memory_mib,
        numbers,
    )
    what = f"{row}, {engine}: CPU seconds"
    if theirs is None:
        return [quality, Line(what, f"{ours.cpu_s:.1f} s", beside=missing, memory_mib=ours.memory_mib)]
    beside = "; ".join(part for part in (f"pty-chi {theirs}", _left(row, theirs)) if part)
    ratio = ours.cpu_s / theirs.cpu_s
    return [
        quality,
        Line(what, f"{ours.cpu_s:.1f} s", ratio, "pty-chi", ("<=", 1.0), beside, ours.memory_mib),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.measured_experiment", description="Our solver beside pty-chi."
    )
    parser.add_argument("rows", nargs="*", help="rows (all): " + ", ".join(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="seeds (%(default)s)")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), help="numpy, pty-chi (default: both)")
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"unknown rows {', '.join(sorted(unknown))}: choose from {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory(prefix="pinn-benchmark-") as folder:
        for row in arguments.rows or ROWS:
            for line in measured_row(Path(folder), row, arguments.seeds, arguments.engines):
                print(text(line), flush=True)


if __name__ == "__main__":
    main()
