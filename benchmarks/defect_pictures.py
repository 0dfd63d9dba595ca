"""What each defect of a measured scan does to the image, and what the solver makes of it.

    uv run python -m benchmarks.defect_pictures docs/defects [NAME ...]

draws ``docs/defects/NAME.png`` for each name in :data:`PICTURES` (a row of `benchmarks.measured_scans` or a
scan of `benchmarks.defect_scans`, seed 0) and prints a table in Markdown. Columns of a picture are
reconstructions and the truth; its rows are modulus, phase, and the misfit of each detector pixel. Scores are
those of `benchmarks.measured_experiment`: a phase ramp, which a free probe leaves open, is taken off, and
what lies outside the outermost positions does not count.

Set ``OMP_NUM_THREADS=1`` where CPU seconds are to be compared. About three minutes.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from pinn_data.checks.verdict import judge
from pinn_data.files.atomic_write import atomic_write
from pinn_data.files.npz import read_scan
from pinn_data.metrics.scores import align
from pinn_data.solver import SolverSettings, solve
from pinn_data.solver.settings import AUTOMATIC, PARTS
from pinn_data.solver.solution import Solution
from pinn_dispatch.figures.panels import AMPLITUDE, DIFFERENCE, FAINT, INK, PHASE

from benchmarks.defect_scans import SPOILED
from benchmarks.measured_experiment import Scores, score
from benchmarks.measured_scans import ROWS, Row, make_scan
from benchmarks.reconstructors import State

__all__ = ["PICTURES", "Step", "draw", "reconstruct_step"]

_SEED = 0
_DPI = 70
_PANEL_IN, _TITLE_IN, _GAP_IN, _LEFT_IN = 3.0, 0.62, 0.1, 0.3
_MISFIT_REACH = 1.5  # log10
_LEFT_OUT = "#3c3c42"
_SHADES = 80  # of each scale: three of them fit into the 256 colours of a palette


@dataclass(frozen=True)
class Step:
    """One reconstruction.

    label : above its column
    settings : of the solver
    row : of the scan, where it is another than that of the picture
    """

    label: str
    settings: SolverSettings = field(default_factory=SolverSettings)
    row: Row | None = None


def _without(*parts: str) -> SolverSettings:
    return SolverSettings(AUTOMATIC - frozenset(parts))


_NONE = Step("before: the file's word", SolverSettings(frozenset()))
_DEFAULT = Step("after: the default")

PICTURES: dict[str, tuple[Step, ...]] = {
    "defocus-40": (_NONE, _DEFAULT),
    "modes-3": (Step("before: one mode"), Step("after: three modes", SolverSettings(modes=3))),
    "bad-pixels": (Step("before: all pixels are good", _without("bad-pixels")), _DEFAULT),
    "background": (Step("before: no background", SolverSettings(frozenset({"probe"}))), _DEFAULT),
    "positions-2": (Step("before: positions of the file", _without("positions")), _DEFAULT),
    "dose-1e3": (
        Step("1e3 counts, background 1", row=ROWS["dose-1e3-background"]),
        Step("1e3 counts, no background"),
        Step("1e4 counts, no background", row=Row(photons=1e4)),
    ),
    "all-at-once": (_NONE, _DEFAULT, Step("two modes", SolverSettings(modes=2))),
    "drift": (Step("before: all frames alike", _without("intensity")), _DEFAULT),
    "turned": (
        Step("before: the default"),
        Step("after: affine is searched for", SolverSettings(frozenset(PARTS))),
    ),
    "no-probe": (
        Step("before: a flat probe"),
        Step("after: a probe is guessed", SolverSettings(guess_probe=True)),
    ),
}
"""The scans that have a picture, each with its reconstructions."""


class Outcome(NamedTuple):
    """A reconstruction, how good it is, what the verdict says, and image and truth in the region scored."""

    step: Step
    solution: Solution
    scores: Scores
    verdict: str
    image: NDArray[np.complex128]
    truth: NDArray[np.complex128]

    def __str__(self) -> str:
        return f"{self.scores.amplitude:.3f} / {self.scores.phase:.3f}"


def reconstruct_step(name: str, step: Step, folder: Path) -> Outcome:
    """One reconstruction on NumPy; the scan is read from a file in `folder`, as a user's is."""
    spoil = SPOILED.get(name)
    entries, truth = make_scan(step.row or ("clean" if spoil else name), _SEED)
    if spoil:
        entries = spoil(entries)
    path = folder / "scan.npz"
    np.savez(path, **entries)
    scan = read_scan(path)
    began = time.process_time()
    solution = solve(scan, step.settings)
    spent = time.process_time() - began
    y, x = (float(v) for v in solution.canvas.origin)
    state = State(solution.object, (y, x), solution.probe, solution.positions, spent, (np.nan, np.nan))
    fit = align(solution.object, truth["object"], roi=truth["roi"], guess=(y, x), remove_ramp=True)
    return Outcome(step, solution, score(state, truth), judge(solution, scan).level, fit.recon, fit.truth)


def draw(path: Path, outcomes: list[Outcome]) -> None:
    """Write the picture of one row as a PNG with a palette."""
    columns = len(outcomes) + 1
    width = _LEFT_IN + columns * (_PANEL_IN + _GAP_IN)
    height = 3 * (_PANEL_IN + _TITLE_IN) + _GAP_IN
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def panel(row: int, column: int, title: str) -> Axes:
        left = _LEFT_IN + column * (_PANEL_IN + _GAP_IN)
        bottom = height - (row + 1) * (_PANEL_IN + _TITLE_IN)
        axes = figure.add_axes((left / width, bottom / height, _PANEL_IN / width, _PANEL_IN / height))
        axes.set_title(title, fontsize=12, color=INK, loc="left", pad=4)
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_visible(False)
        if column == 0:
            axes.set_ylabel(("modulus", "phase", "misfit per pixel")[row], fontsize=12, color=FAINT)
        return axes

    true = outcomes[0].truth
    modulus, phase = _limits(np.abs(true)), _limits(np.angle(true))
    for k, found in enumerate(outcomes):
        title = f"{found.step.label}\nSSIM {found.scores.amplitude:.3f}"
        _show(panel(0, k, title), _modulus(found), AMPLITUDE, modulus)
        title = f"SSIM {found.scores.phase:.3f}"
        _show(panel(1, k, title), np.angle(found.image), PHASE, phase)
        noise = found.solution.expected_residual
        title = f"R {found.solution.residual:.3f}\n({noise:.3f} for counting noise alone)"
        axes = panel(2, k, title)
        axes.set_facecolor(_LEFT_OUT)
        _show(axes, _misfit(found.solution), DIFFERENCE, (-_MISFIT_REACH, _MISFIT_REACH))
    _show(panel(0, columns - 1, "truth\n"), np.abs(true), AMPLITUDE, modulus)
    _show(panel(1, columns - 1, "truth"), np.angle(true), PHASE, phase)
    legend = panel(2, columns - 1, "")
    legend.set_facecolor("none")
    words = "white: counting noise\nred: more\nblue: less; dark blue: no counts\ngrey: left out"
    legend.text(0.04, 0.96, words, fontsize=12, color=INK, va="top", linespacing=1.6)
    _write(path, figure)


def _limits(image: NDArray[np.float64]) -> tuple[float, float]:
    """Those of the truth, with a little room for an image that goes beyond."""
    low, high = float(image.min()), float(image.max())
    room = 0.1 * (high - low)
    return low - room, high + room


def _modulus(found: Outcome) -> NDArray[np.float64]:
    """Scaled on moduli alone, as they are scored: an error of the phase shall not darken it."""
    image, true = np.abs(found.image), np.abs(found.truth)
    return image * (np.vdot(image, true) / np.vdot(image, image))


def _misfit(solution: Solution) -> NDArray[np.float64]:
    """Variance of each detector pixel over what photons make, log10; NaN where it was left out."""
    image, bad = solution.pixel_misfit.copy(), solution.bad_pixels
    if bad is not None:
        image[bad if bad.ndim == 2 else bad.all(axis=0)] = np.nan
    return np.log10(np.where(image > 0, image, np.nan))


def _show(axes: Axes, image: NDArray[Any], colours: str, limits: tuple[float, float]) -> None:
    scale = colormaps[colours].resampled(_SHADES)
    axes.imshow(image, cmap=scale, vmin=limits[0], vmax=limits[1], interpolation="nearest")


def _write(path: Path, figure: Figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    shades = [
        colormaps[name].resampled(_SHADES)(np.arange(_SHADES))[:, :3]
        for name in (AMPLITUDE, PHASE, DIFFERENCE)
    ]
    colours = np.concatenate([*shades, [to_rgb(_LEFT_OUT)]])
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.rint(255 * colours).astype(np.uint8).tobytes())
    # Without dither, which would look like noise in the images and takes twice the room.
    small = Image.open(buffer).convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    with atomic_write(path) as temporary:
        small.save(temporary, format="PNG", optimize=True)


def _table_row(name: str, found: Outcome) -> str:
    solution = found.solution
    cells = (
        name,
        found.step.label,
        str(found),
        f"{solution.residual:.3f}",
        f"{solution.expected_residual:.3f}",
        found.verdict,
        f"{found.scores.left_px:.2f}",
        f"{found.scores.cpu_s:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.defect_pictures", description="Pictures of what a defect does to an image."
    )
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("names", nargs="*", help="scans (all): " + ", ".join(PICTURES))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(PICTURES)
    if unknown:
        parser.error(f"unknown scans {', '.join(sorted(unknown))}: choose from {', '.join(PICTURES)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    print("| scan | what | SSIM amplitude / phase | R | R of noise | verdict | positions off, px | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="pinn-benchmark-") as folder:
        for name in arguments.names or PICTURES:
            outcomes = [reconstruct_step(name, step, Path(folder)) for step in PICTURES[name]]
            for found in outcomes:
                print(_table_row(name, found), flush=True)
            draw(arguments.output / f"{name}.png", outcomes)


if __name__ == "__main__":
    main()
