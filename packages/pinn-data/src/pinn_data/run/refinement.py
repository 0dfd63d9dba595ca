"""The solver before and after a network: a scan put right before it is learned, and an image made better.

Written once for both backends: each gives the network's image and a function that solves a scan.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_config.configs import InferenceConfig, TrainingConfig
from pinn_config.refining import parse_parts
from pinn_config.validation import validate

from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import Cancel, CancelledError, Progress, Watcher
from pinn_data.run.results import Reconstruction
from pinn_data.scan.positions import Canvas
from pinn_data.scan.scan import Scan
from pinn_data.solver.operations import ArrayOperations
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.solution import Solution
from pinn_data.stitching.cropping import cut_to, without_border

__all__ = ["Solve", "corrected_scans", "parts_after_network", "refine_image"]

_LOG = logging.getLogger(__name__)

_NETWORK = 0.3
"""Share of a reconstruction's progress that the network has, where the solver follows it."""


class Solve(Protocol):
    """`pinn_data.solver.solve` on the engine of a backend."""

    def __call__(
        self,
        scan: Scan,
        settings: SolverSettings | None = None,
        *,
        start: tuple[NDArray[np.complexfloating], Canvas] | None = None,
        watch: Watcher | None = None,
    ) -> Solution: ...


def parts_after_network(config: InferenceConfig | None) -> frozenset[str] | None:
    """What the solver may find after the network: as `config` says, where it does not say so everything that
    'auto' means; None: the image is to be the network's own.

    Raises ConfigError.
    """
    text = "auto" if config is None or config.refine is None else config.refine
    return parse_parts(text) or None


def refine_image(
    network: Callable[[Watcher | None], Reconstruction],
    scan: Scan,
    parts: frozenset[str],
    solve: Solve,
    operations: Callable[[], ArrayOperations],
    *,
    border_px: int = 0,
    bar: bool = False,
    progress: Watcher | None = None,
) -> Reconstruction:
    """The image that the solver makes of the network's, of all frames of the scan.

    network : makes the network's image, and tells the watcher that it is given how far it is
    parts : what the solver may find besides the object
    operations : of its engine, asked for where the image is bad, to find out why
    border_px : pixels that are cut off all around the image
    bar : whether a bar shows how far the solver is
    progress : sees one run, of the network and the solver

    Raises CancelledError where `progress` stops it, ShapeError where nothing is left within the border, and
    what the two functions raise.
    """
    began = time.perf_counter()
    first = network(_share(progress, began, 0.0, _NETWORK))
    with progress_bar(bar) as shown:
        told = _share(progress, began, _NETWORK, 1.0)
        solution = solve(
            scan,
            SolverSettings(parts),
            start=(first.object, first.canvas),
            watch=_both(_named(shown, "solver"), told),
        )
    if solution.cancelled:
        raise CancelledError("the reconstruction was cancelled before it was done, so there is no image")
    from pinn_data.checks.solution_facts import refined_by

    refined = refined_by(solution, scan, operations())
    inner = without_border(solution.canvas, border_px)
    seconds = first.seconds | {
        "solver": solution.seconds,
        "total": first.seconds["total"] + solution.seconds,
    }
    return attrs.evolve(
        first,
        object=cut_to(solution.object, solution.canvas, inner),
        coverage=cut_to(solution.coverage, solution.canvas, inner),
        canvas=inner,
        positions=solution.positions,
        residual=solution.residual,
        probe=solution.probe,
        seconds=seconds,
        smoothing_sigma=0.0,
        refined=refined,
    )


def corrected_scans(
    scan: Scan,
    validation: Scan | None,
    config: TrainingConfig,
    solve: Solve,
    *,
    bar: bool = False,
    progress: Watcher | None = None,
) -> tuple[Scan, Scan | None]:
    """The scans of a training with the probe, positions, background and bad pixels that the solver found in
    each; what it decided is logged.

    A scan that the solver cannot explain stays as it is, with a warning. Where ``config.refine`` is None or
    'none' nothing is done.

    progress : sees a training that has not begun yet, and may stop it

    Raises CancelledError, ConfigError, and what `solve` raises.
    """
    parts = parse_parts(config.refine) if config.refine is not None else frozenset()
    if not parts:
        return scan, validation
    validate(config)  # before seconds are spent on the scan

    def corrected(which: str, given: Scan) -> Scan:
        with progress_bar(bar) as shown:
            watch = _both(_named(shown, f"solving the {which}"), _before(progress))
            return _corrected(which, given, solve(given, SolverSettings(parts), watch=watch))

    # The validation is of the same beamline, so what is wrong with the one is wrong with the other.
    return corrected("scan", scan), None if validation is None else corrected("validation scan", validation)


def _corrected(which: str, scan: Scan, solution: Solution) -> Scan:
    from pinn_data.checks.verdict import judge

    if solution.cancelled:
        raise CancelledError("the training was cancelled before its first step, so nothing was learned")
    verdict = judge(solution, scan)
    if verdict.level == "bad":
        _LOG.warning(
            "the solver does not explain the %s, so its own probe and positions are learned with: %s",
            which,
            verdict.sentence,
        )
        return scan
    _LOG.info("the %s was solved before it is learned: R %.4f", which, solution.residual)
    return attrs.evolve(
        scan,
        probe=solution.probe,
        positions=solution.positions,
        positions_start=scan.positions_start,
        background=solution.background if np.any(solution.background) else None,
        bad_pixels=solution.bad_pixels,
    )


def _both(*watchers: Watcher | None) -> Watcher | None:
    told = [watcher for watcher in watchers if watcher is not None]
    if not told:
        return None

    def watch(progress: Progress) -> object:
        answers = [watcher(progress) for watcher in told]
        return next((a for a in answers if a is Cancel or isinstance(a, Cancel)), None)

    return watch


def _share(watcher: Watcher | None, began: float, first: float, last: float) -> Watcher | None:
    """Told of a part of a run that began at this time (of `time.perf_counter`), it tells of the whole run."""
    if watcher is None:
        return None

    def watch(progress: Progress) -> object:
        if (progress.finished and last < 1) or (progress.fraction == 0 and first > 0):
            return None  # what ends one part, or begins the next, is told once
        done, seconds = first + (last - first) * progress.fraction, time.perf_counter() - began
        left = seconds * (1 - done) / done if done > 0 else None
        return watcher(attrs.evolve(progress, fraction=done, seconds=seconds, seconds_left=left))

    return watch


def _named(watcher: Watcher | None, stage: str) -> Watcher | None:
    return None if watcher is None else lambda progress: watcher(attrs.evolve(progress, stage=stage))


def _before(watcher: Watcher | None) -> Watcher | None:
    if watcher is None:
        return None
    return lambda progress: watcher(Progress("training", 0.0, progress.seconds))
