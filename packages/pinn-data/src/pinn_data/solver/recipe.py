"""The recipe: in which order the solver finds what, coarse to fine.

1. Statistics of the pixels: suspects are left out, the background begins at a low quantile, the probe is
   scaled so that a flat object explains the counts (or is made from the patterns).
2. Coarse levels, from the central part of each pattern: descent with a free probe; then, where much is left
   unexplained, the same with positions that move, and the better of both by the held-out frames.
3. The whole patterns: pixels that the model cannot explain are left out; descent until the held-out frames
   are predicted no better; intensities and positions are tried where something is left unexplained.
4. The polish: full passes with Poisson weights and the penalty, until the held-out frames are predicted no
   better; the last steps see all frames.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.progress.reports import Watcher
from pinn_data.scan.positions import Canvas, canvas_for
from pinn_data.scan.scan import Scan
from pinn_data.solver.estimate import Estimate, light_on_canvas
from pinn_data.solver.held_out import explains_enough, held_out_gain, held_out_misfit, noise_of_held_out
from pinn_data.solver.journal import Journal, Preview
from pinn_data.solver.operations import ArrayOperations, NumpyOperations
from pinn_data.solver.problem import Knowledge, Placed, Problem
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.solution import Solution
from pinn_data.solver.stages.affine import describe_map, find_affine_map
from pinn_data.solver.stages.finish import finish
from pinn_data.solver.stages.first_probe import scan_defocus
from pinn_data.solver.stages.stage import Stage, positions_are_doubtful, run_stage, without_bad_pixels
from pinn_data.solver.steps.gauge import relative_slope, slope_factor
from pinn_data.solver.steps.sweep import sweep
from pinn_data.solver.unknowns.bad_pixels import suspect_pixels
from pinn_data.solver.unknowns.intensity import intensity_is_doubtful
from pinn_data.solver.unknowns.modes import add_modes, orthogonal_modes
from pinn_data.solver.unknowns.moves import Moves

__all__ = ["solve"]

_SMALLEST_LEVEL = 16
_LIGHT_OF_A_LEVEL = 0.85
_BACKGROUND_QUANTILE = 0.01
_GAIN, _GAIN_COARSE, _GAIN_OF_REST = 0.04, 0.3, 0.33
"""Shares of the held-out misfit, or of what is left of it besides noise, that are enough to keep an optional
part (:func:`explains_enough`): less is what any freedom gains while an image is unfinished."""
_GAIN_OF_A_MAP = 0.06
"""Share of the held-out misfit that an affine map must explain: a free probe hides a scale, nearly."""
_OWN_PARAMETERS = {"positions": 2, "intensity": 1}
_PROBE_FROM = 8
"""Epochs of a flat object before the probe is freed."""
_LEAST_FINE, _LEAST_FOR_A_MODE = 6, 8
"""Epochs of the fine stage: what held-out frames tell of its first ones is their noise."""
_CAREFUL = 0.7
"""Momentum where positions or intensities may move."""
_FINE_GAIN = 0.3
"""See :func:`enough_gain`: of two epochs."""
_FAINT = 1e-3
"""Share of the largest coverage below which nothing is shown."""


def solve(
    scan: Scan,
    settings: SolverSettings | None = None,
    *,
    operations: ArrayOperations | None = None,
    start: tuple[NDArray[np.complexfloating], Canvas] | None = None,
    watch: Watcher | None = None,
    preview: Preview | None = None,
) -> Solution:
    """The object of a scan, its probe, and what else the settings free.

    settings : default: everything may be refined
    operations : of the engine; default NumPy's
    start : an image of the same scan, and where it lies, to begin with; pixels of 0 begin flat
    watch : is told of each epoch, and may cancel (:mod:`pinn_data.progress.reports`)
    preview : is given the image so far every few seconds

    Raises what reading the frames raises; a scan that explains nothing is told by its residuals, not by an
    error.
    """
    ops = NumpyOperations() if operations is None else operations
    settings = SolverSettings() if settings is None else settings
    journal = Journal(ops, seconds=settings.seconds, watch=watch, preview=preview)
    problem = Problem(ops, scan, settings)
    known = _begin(problem, journal, start)
    known, size = _coarse(problem, known, journal)
    if size == problem.N:
        known = _begun_fine(problem, known, journal)
    if problem.frees("positions") and size < problem.N:
        journal.part(0.4)
        known = _try(problem, known, size, journal, epochs=16)
    if problem.frees("affine"):
        known = _try_affine(problem, known, journal)
    known = _fine(problem, known, size, journal)
    return _finished(problem, *finish(problem, known, journal), journal)


def _begin(
    problem: Problem, journal: Journal, start: tuple[NDArray[np.complexfloating], Canvas] | None
) -> Knowledge:
    scan, statistics = problem.scan, problem.statistics
    bad = (
        suspect_pixels(statistics) if problem.frees("bad-pixels") else np.zeros((problem.N, problem.N), bool)
    )
    good = problem.measured(problem.N, bad) & (statistics.frames > 0)
    journal.energy = problem.energy(bad)
    background = 0.0
    if problem.frees("background") and scan.background is None and good.any():
        background = float(np.quantile(statistics.mean[good], _BACKGROUND_QUANTILE))
    probe = scan.probe if scan.probe.ndim == 3 else scan.probe[None]
    known = Knowledge(
        fft.fft2(problem.gain * probe.astype(np.complex128), norm="ortho"),
        Moves.none(scan.positions),
        background,
        bad,
    )
    if problem.settings.guess_probe:
        journal.part(0.1)
        known = attrs.evolve(known, spectrum=scan_defocus(problem, known, journal))
    modes = add_modes(fft.ifft2(known.spectrum, norm="ortho"), problem.modes)
    spectrum = fft.fft2(modes, norm="ortho")
    counts = np.maximum(statistics.mean - problem.background_of_file - background, 0.0) * good
    light = np.square(np.abs(spectrum)).sum(axis=0) * good
    spectrum *= math.sqrt(counts.sum() / max(light.sum(), 1e-300))
    return attrs.evolve(known, spectrum=spectrum, placed=_placed(scan, start))


def _placed(scan: Scan, start: tuple[NDArray[np.complexfloating], Canvas] | None) -> Placed | None:
    """The image to begin with, of transmission 1 on average as the flat one is."""
    if start is None:
        return None
    image, canvas = np.asarray(start[0], np.complex128), start[1]
    lit = image != 0
    if not lit.any():
        return None
    level = np.sqrt(np.mean(np.abs(image[lit]) ** 2))
    return Placed(np.where(lit, image / level, 1.0), 1.0, canvas.origin)


def _coarse(problem: Problem, known: Knowledge, journal: Journal) -> tuple[Knowledge, int]:
    """What the coarse levels tell, and the size of the last; N where the light is too wide for any."""
    sizes = [2 * round(problem.N / k / 2) for k in (8, 4, 2)]
    wanted = [
        s for s in sizes if s >= _SMALLEST_LEVEL and problem.light_within(s, known) >= _LIGHT_OF_A_LEVEL
    ]
    known = _started(problem, known, wanted[0] if wanted else problem.N, journal)
    probe_from = _PROBE_FROM if known.placed is None else 2
    for k, size in enumerate(wanted):
        journal.part(0.1 + 0.2 * (k + 1) / len(wanted))
        epochs = 96 if k == len(wanted) - 1 else 16
        stage = Stage(f"coarse {size}", epochs, check=3, gain=0.02, probe_from=probe_from)
        known = run_stage(problem, known, size, stage, journal)
        probe_from = 0
        if k < len(wanted) - 1:
            problem.forget_level(size)
    return known, wanted[-1] if wanted else problem.N


def _begun_fine(problem: Problem, known: Knowledge, journal: Journal) -> Knowledge:
    """First epochs, with the probe as it is, where there is no coarse level: while the object is flat a free
    probe takes what belongs to the object, and the steps diverge."""
    journal.part(0.3)
    epochs = _PROBE_FROM if known.placed is None else 2
    return run_stage(problem, known, problem.N, Stage("fine", epochs, probe_from=epochs), journal)


def _started(problem: Problem, known: Knowledge, size: int, journal: Journal) -> Knowledge:
    """The same without its first image, if that explains the patterns no better than a flat object does."""
    if known.placed is None:
        return known
    flat = attrs.evolve(known, placed=None)
    some = problem.sample
    image, nothing = (
        sweep(problem.ops, problem.at_level(one, size), problem.frames(size), some).misfit.sum()
        for one in (known, flat)
    )
    if image < nothing:
        return known
    journal.say("the starting image explains the patterns no better than a flat object, so it was not used")
    return flat


def _fine(problem: Problem, known: Knowledge, coarse: int, journal: Journal) -> Knowledge:
    N = problem.N
    moving = "positions" in known.kept
    journal.part(0.75)
    least = _LEAST_FINE + _LEAST_FOR_A_MODE * (problem.modes - 1)
    stage = Stage(
        "fine",
        24,
        check=2,
        absolute=_FINE_GAIN,
        least=least,
        probe_every=2 if coarse < N else 1,  # a coarse level has found the probe, nearly
        looking=True,
        moving=moving,
    )
    known = run_stage(problem, known, N, stage, journal)
    if journal.ended:
        return known
    known = _try(problem, known, N, journal, epochs=6)
    if not moving and "positions" in known.kept:
        known = run_stage(problem, known, N, Stage("moving", 12, moving=True), journal)
    return without_bad_pixels(problem, known, journal, problem.at_level(known, N))


def _doubtful_parts(problem: Problem, known: Knowledge, size: int) -> list[str]:
    """Optional parts whose freedom may explain what is left unexplained."""
    parts = []
    if size == problem.N and problem.frees("intensity"):
        some = problem.sample
        sums = sweep(problem.ops, problem.at_level(known, size), problem.frames(size), some, noise=True)
        if intensity_is_doubtful(sums, some):
            parts.append("intensity")
    if problem.frees("positions") and positions_are_doubtful(problem, known, size):
        parts.append("positions")
    return parts


def _try(problem: Problem, known: Knowledge, size: int, journal: Journal, epochs: int) -> Knowledge:
    """Where much is unexplained, epochs without and with each optional part that may explain it; and of all
    these what predicts the held-out frames best."""
    if journal.ended or journal.hurried or not len(problem.held) or not _doubtful_parts(problem, known, size):
        return known
    # All with one momentum: one that suits an unfinished probe better would look like a gain of its part.
    usual = Stage("as it was", epochs, check=epochs, moving="positions" in known.kept, momentum=_CAREFUL)
    best = run_stage(problem, known, size, usual, journal)
    left = problem.at_level(best, size)
    least = before = held_out_misfit(problem, left)
    noise = noise_of_held_out(problem, left)
    enough = _GAIN if size == problem.N else _GAIN_COARSE
    # Once more: what is left unexplained may have been only that the image was not finished.
    parts = [] if journal.ended else _doubtful_parts(problem, best, size)
    for part in parts:
        stage = attrs.evolve(
            usual,
            name=part,
            moving=usual.moving or part == "positions",
            brightening=part == "intensity",
        )
        found = run_stage(problem, known, size, stage, journal)
        after = held_out_misfit(problem, problem.at_level(found, size), _OWN_PARAMETERS[part])
        keep = after < least and explains_enough(
            problem, before, after, noise, of_all=enough, of_rest=_GAIN_OF_REST
        )
        journal.say(
            f"{_described(part, found)}: held-out misfit {before:.4g} without, {after:.4g} with, "
            f"{'kept' if keep else 'not kept'}"
        )
        if keep:
            best, least = attrs.evolve(found, kept=known.kept | {part}), after
    return best


def _try_affine(problem: Problem, known: Knowledge, journal: Journal) -> Knowledge:
    """The positions under an affine map, where held-out frames are predicted clearly better."""
    if journal.ended or not len(problem.held):
        return known
    matrix, size = find_affine_map(problem, known, journal)
    middle = known.moves.positions.mean(axis=0)
    epochs = Stage("affine", 32, probe_from=_PROBE_FROM, moving="positions" in known.kept)
    # Both from a flat object: an image that was made with other positions would hold the map back.
    usual, mapped = (
        run_stage(problem, attrs.evolve(known, moves=moves, placed=None), size, epochs, journal)
        for moves in (known.moves, known.moves.mapped(matrix, middle))
    )
    before, after = (held_out_misfit(problem, problem.at_level(one, size)) for one in (usual, mapped))
    keep = after < (1 - _GAIN_OF_A_MAP) * before
    journal.say(
        f"affine map of the positions ({describe_map(matrix)}): held-out misfit {before:.4g} without, "
        f"{after:.4g} with, {'kept' if keep else 'not kept'}"
    )
    return attrs.evolve(mapped, kept=known.kept | {"affine"}) if keep else known


def _described(part: str, known: Knowledge) -> str:
    if part == "intensity":
        assert known.intensity is not None
        return f"intensity of the frames varies by {100 * known.intensity.std():.1f} %"
    moved = math.sqrt(np.square(known.moves.moves).sum(axis=1).mean())
    return f"positions moved by {moved:.2f} px (root mean square)"


def _finished(
    problem: Problem, known: Knowledge, unseen: Estimate, end: Estimate, journal: Journal
) -> Solution:
    ops, N = problem.ops, problem.N
    frames = problem.frames(N)
    if known.bad_pixels.any():
        journal.say(f"{int(known.bad_pixels.sum())} bad pixels were found and left out")
    found_background = known.background / problem.gain**2
    if found_background:
        unit = "counts" if problem.counts else "(in the unit of the intensities)"
        journal.say(f"a background of {found_background:.3g} {unit} per pixel was found")
    sums = sweep(ops, end, frames, problem.order, pixels=True, noise=True)
    assert sums.pixels is not None
    energy = max(float(sums.measured_counts.sum()), 1e-300)
    held = sweep(ops, unseen, frames, problem.held, noise=True)
    gain, gain_error = held_out_gain(problem, held.deviance, known.bad_pixels)
    held_energy = float(held.measured_counts.sum())
    undefined = math.nan
    counts = problem.counts
    noise = sums.noise if counts else np.full(problem.n, sums.misfit.mean())
    probe, shares = orthogonal_modes(fft.ifft2(ops.numpy(end.spectrum), norm="ortho"))
    image, coverage, canvas, factor = _cut_image(problem, end)
    if problem.frees("probe") and not problem.settings.guess_probe:
        told_probe = problem.scan.probe if problem.scan.probe.ndim == 2 else problem.scan.probe[0]
        slope = relative_slope(told_probe.astype(np.complex128), probe[0])
        probe = probe * slope_factor(-slope, (N, N), (-N // 2, -N // 2))
        image = (image * slope_factor(slope, canvas.shape, canvas.origin)).astype(np.complex64)
    residual = math.sqrt(sums.misfit.sum() / energy)
    pixel = np.divide(
        sums.pixels.residual,
        sums.pixels.expected,
        out=np.full((N, N), np.nan),
        where=(sums.pixels.frames > 0) & (sums.pixels.expected > 0),
    )
    background = problem.scan.background
    told = np.zeros(()) if background is None else background
    found = fft.fftshift(known.bad_pixels)
    journal.finish(residual)
    return Solution(
        object=image,
        coverage=coverage,
        canvas=canvas,
        probe=np.asarray((probe if len(probe) > 1 else probe[0]) / (factor * problem.gain), np.complex64),
        mode_shares=shares,
        positions=end.positions,
        positions_start=problem.scan.positions,
        background=np.asarray(told + found_background, np.float64),
        bad_pixels=_all_bad(problem.scan.bad_pixels, found),
        found_bad_pixels=int(found.sum()),
        frame_intensity=known.intensity,
        residual=residual,
        expected_residual=math.sqrt(sums.noise.sum() / energy) if counts else undefined,
        held_out_residual=math.sqrt(held.misfit.sum() / held_energy) if held_energy else undefined,
        held_out_expected=math.sqrt(held.noise.sum() / held_energy) if held_energy and counts else undefined,
        held_out_gain=gain,
        held_out_gain_error=gain_error,
        frame_misfit=sums.misfit / np.maximum(noise, 1e-12),
        pixel_misfit=fft.fftshift(pixel),
        kept=known.kept,
        sentences=tuple(journal.sentences),
        history=tuple(journal.rows),
        seconds=journal.seconds,
        engine=ops.name,
        cancelled=journal.cancelled,
        out_of_time=journal.out_of_time,
    )


def _all_bad(told: NDArray[np.bool_] | None, found: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    if told is None:
        return found if found.any() else None
    return told | found


def _cut_image(
    problem: Problem, end: Estimate
) -> tuple[NDArray[np.complex64], NDArray[np.float32], Canvas, float]:
    """The image on the canvas of its positions, its coverage, and what it was multiplied with.

    Where the scan's probe has about the energy that the light must have, the image keeps its scale: its
    modulus then is a transmission. Elsewhere the mean transmission is 1.
    """
    ops = problem.ops
    light = light_on_canvas(ops, end, problem.order)
    canvas = canvas_for(end.positions, problem.N)
    image = ops.numpy(end.object)
    offset = np.asarray(canvas.origin) - np.asarray(end.origin)
    rows, columns = (slice(max(o, 0), max(o, 0) + n) for o, n in zip(offset, canvas.shape, strict=True))
    cut, share = image[rows, columns], light[rows, columns] / light.max()
    shown = share > _FAINT
    now = float(np.square(np.abs(ops.numpy(end.spectrum))).sum())
    told = float(np.square(np.abs(problem.gain * problem.scan.probe.astype(np.complex128))).sum())
    factor = math.sqrt(now / told) if 0.7 * now < told < 10 * now else 1.0
    canvas = Canvas(canvas.origin, (int(cut.shape[0]), int(cut.shape[1])))
    return (
        np.where(shown, cut * factor, 0.0).astype(np.complex64),
        np.where(shown, share, 0.0).astype(np.float32),
        canvas,
        factor,
    )
