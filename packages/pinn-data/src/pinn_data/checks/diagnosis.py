"""Why a scan does not fit: usual mistakes of its file, each tried by the solver on some hundred frames.

Two mistakes are one to the physics where the probe is symmetric: patterns turned by half a turn are those of
the conjugated probe, and positions whose axes are negated those of its mirror image. What cannot be told
apart is named together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.scan.scan import Scan
from pinn_data.solver.frames import even_order
from pinn_data.solver.operations import ArrayOperations, NumpyOperations
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.solution import Solution
from pinn_data.solver.trial import compact_frames, trial_size, try_out
from pinn_data.solver.unknowns.moves import Moves

__all__ = ["diagnose"]

_FEWEST = 16
_QUICK, _LONG = (10, 5), (24, 6)  # epochs, and the first that frees the probe
_FINALISTS = 4
_FITS = 0.8  # of the misfit of the scan as it is
_ALIKE = 1.2  # of the least, after so few epochs
_AT_ONCE = 1.15  # of what fits best while the probe is that of the file
_RANDOM = 0.93

Positions = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Images = Callable[[NDArray[Any]], NDArray[Any]]


def _as_they_are(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _mirrored(*axes: int) -> Images:
    """Patterns (..., N, N) whose frequencies have the other sign along some axes: N/2 stays in its place."""
    return lambda images: np.roll(np.flip(images, axes), 1, axes)


def _turned(images: NDArray[Any]) -> NDArray[Any]:
    return np.swapaxes(images, -1, -2)


@attrs.frozen
class _Mistake:
    """What may be wrong, and what puts it right.

    sentence : with what to do
    positions : of (n, 2), in the order of the frames
    images : of the patterns and masks (..., N, N)
    """

    sentence: str
    positions: Positions = _as_they_are
    images: Images = _as_they_are


_NONE = _Mistake("")
_MISTAKES = (
    _Mistake(
        "x and y of the positions are swapped: swap xcoords and ycoords (pinn convert --swap-xy)",
        lambda p: p[:, ::-1],
    ),
    _Mistake("y of the positions has the wrong sign: negate ycoords (--negate-y)", lambda p: p * [-1, 1]),
    _Mistake("x of the positions has the wrong sign: negate xcoords (--negate-x)", lambda p: p * [1, -1]),
    _Mistake(
        "both axes of the positions have the wrong sign: negate xcoords and ycoords (--sample-motion or "
        "--probe-motion)",
        lambda p: -p,
    ),
    _Mistake(
        "x and y of the positions are swapped, and one has the wrong sign: take ycoords for x and -xcoords "
        "for y (--swap-xy --negate-y)",
        lambda p: p[:, ::-1] * [-1, 1],
    ),
    _Mistake(
        "x and y of the positions are swapped, and one has the wrong sign: take -ycoords for x and xcoords "
        "for y (--swap-xy --negate-x)",
        lambda p: p[:, ::-1] * [1, -1],
    ),
    _Mistake(
        "x and y of the positions are swapped, and both have the wrong sign (--swap-xy --negate-x "
        "--negate-y)",
        lambda p: -p[:, ::-1],
    ),
    _Mistake("the patterns are transposed: swap their rows and columns", images=_turned),
    _Mistake("the patterns are upside down: flip their rows", images=_mirrored(-2)),
    _Mistake("the patterns are mirrored: flip their columns", images=_mirrored(-1)),
    _Mistake(
        "the patterns are rotated by 180 degrees, or the probe is conjugated, which is equivalent: "
        "conjugate probeGuess",
        images=_mirrored(-2, -1),
    ),
    _Mistake("the patterns are rotated by 90 degrees", images=lambda i: _mirrored(-1)(_turned(i))),
    _Mistake("the patterns are rotated by 90 degrees", images=lambda i: _mirrored(-2)(_turned(i))),
    _Mistake(
        "the patterns are transposed along the other diagonal",
        images=lambda i: _mirrored(-2, -1)(_turned(i)),
    ),
    _Mistake("the frames are in reverse order: reverse the positions", lambda p: p[::-1]),
    _Mistake("the positions come one frame late: move them up by one", lambda p: np.roll(p, -1, 0)),
    _Mistake("the positions come one frame early: move them down by one", lambda p: np.roll(p, 1, 0)),
)


def diagnose(scan: Scan, solution: Solution, *, operations: ArrayOperations | None = None) -> list[str]:
    """Sentences on what would make a scan fit whose verdict is bad, for a person to read.

    solution : whose background and bad pixels are taken for what they are

    Each mistake is tried with the probe of the scan, which is then freed; a scan of fewer than 16 frames does
    not tell.
    """
    if len(scan) < _FEWEST:
        return [f"{len(scan)} frames are too few to find out what is wrong with the scan."]
    ops = NumpyOperations() if operations is None else operations

    def misfit(mistake: _Mistake, plan: tuple[int, int]) -> float:
        return _misfit_of(ops, scan, solution, mistake, *plan)

    quick = {mistake: misfit(mistake, _QUICK) for mistake in _MISTAKES}
    first = sorted(quick, key=quick.__getitem__)[:_FINALISTS]
    found = {mistake: misfit(mistake, _LONG) for mistake in first}
    now = misfit(_NONE, _LONG)
    least = min(found.values())
    if not least < _FITS * now:
        order = np.random.default_rng(0).permutation(len(scan))
        by_chance = misfit(_Mistake("", lambda positions: positions[order]), _LONG)
        if now > _RANDOM * by_chance:
            return [
                "The patterns fit their positions no better than in a random order, and no swapped or "
                "negated axis, transposed or flipped pattern or shifted frame explains it: check that the "
                "positions belong to these frames, their unit and the probe. With few photons this test is "
                "inconclusive."
            ]
        return [
            "None of the usual mistakes (swapped or negated axes, transposed or flipped patterns, a "
            "conjugated probe, frames in another order) fits better: try --modes 3, --guess-probe, and a "
            "mask."
        ]
    fitting = [mistake for mistake in first if found[mistake] < min(_ALIKE * least, _FITS * now)]
    likely = [mistake for mistake in fitting if quick[mistake] < _AT_ONCE * quick[fitting[0]]]
    sentences = [f"On a sample of the frames R falls from {now:.3f} to {least:.3f} if {_either(likely)}."]
    if len(likely) > 1:
        sentences.append(
            "These cannot be distinguished: their images differ only by a rotation or a reflection."
        )
    if len(likely) < len(fitting):
        others = _either([mistake for mistake in fitting if mistake not in likely])
        sentences.append(f"With a probe other than the one in the file, the same would be true if {others}.")
    return sentences


def _either(mistakes: list[_Mistake]) -> str:
    return "; or ".join(dict.fromkeys(mistake.sentence for mistake in mistakes))


def _misfit_of(
    ops: ArrayOperations, scan: Scan, solution: Solution, mistake: _Mistake, epochs: int, probe_from: int
) -> float:
    """R of a compact part of the scan with a mistake put right, after some epochs."""
    positions = np.ascontiguousarray(mistake.positions(scan.positions))
    numbers = compact_frames(positions)
    bad = solution.bad_pixels
    if bad is not None:
        bad = mistake.images(bad if bad.ndim == 2 else bad[numbers])
    background = solution.background
    part = Scan(
        diffraction=np.ascontiguousarray(mistake.images(np.asarray(scan.diffraction[numbers]))),
        unit=scan.unit,
        positions=positions[numbers],
        probe=scan.probe,
        bad_pixels=bad,
        background=background if background.ndim == 0 else mistake.images(background),
    )
    problem = Problem(ops, part, SolverSettings())
    known = _begun(problem)
    every = even_order(part.positions)
    return try_out(problem, known, trial_size(problem, known), every, epochs, probe_from)[0]


def _begun(problem: Problem) -> Knowledge:
    """The probe of the scan, scaled so that a flat object explains the counts."""
    scan, N = problem.scan, problem.N
    none = np.zeros((N, N), bool)
    good = problem.measured(N, none) & (problem.statistics.frames > 0)
    counts = np.maximum(problem.statistics.mean - problem.background_of_file, 0.0) * good
    probe = scan.probe if scan.probe.ndim == 3 else scan.probe[None]
    spectrum = fft.fft2(probe.astype(np.complex128), norm="ortho")
    light = np.square(np.abs(spectrum)).sum(axis=0) * good
    spectrum *= math.sqrt(counts.sum() / max(light.sum(), 1e-300))
    return Knowledge(spectrum, Moves.none(scan.positions), 0.0, none)
