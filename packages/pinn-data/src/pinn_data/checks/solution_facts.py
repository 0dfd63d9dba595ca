"""What can be said of a solution without a truth, for files, metrics, figures and people."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn_data.checks.verdict import judge
from pinn_data.scan.refined import Refined
from pinn_data.scan.scan import Scan
from pinn_data.solver.operations import ArrayOperations
from pinn_data.solver.solution import Solution

__all__ = ["facts_of", "in_words", "refined_by"]

_HIDING_PX = 1.0
_MUCH_LEFT = 1.5


def refined_by(solution: Solution, scan: Scan, operations: ArrayOperations) -> Refined:
    """All that a solution holds besides the image, with `facts_of` it, its decisions and its course."""
    facts = facts_of(solution, scan, operations)
    return Refined(
        solution.positions_start,
        solution.mode_shares,
        solution.background,
        solution.bad_pixels,
        solution.frame_intensity,
        solution.frame_misfit,
        solution.pixel_misfit,
        facts | {"sentences": list(solution.sentences), "history": list(solution.history)},
    )


def facts_of(solution: Solution, scan: Scan, operations: ArrayOperations) -> dict[str, Any]:
    """Numbers, the verdict and, where that is bad, what may be wrong with the scan, in the types of JSON;
    None: not defined.

    operations : of the engine, for trying what may be wrong
    """
    moved = np.sqrt(np.square(solution.positions - solution.positions_start).sum(axis=1))
    bad = solution.bad_pixels
    told = {
        "R": solution.residual,
        "R_of_noise": solution.expected_residual,
        "R_held_out": solution.held_out_residual,
        "R_held_out_of_noise": solution.held_out_expected,
    }
    return {
        **{name: None if np.isnan(value) else float(value) for name, value in told.items()},
        "patterns": len(scan),
        "N": scan.N,
        "engine": solution.engine,
        "kept": sorted(solution.kept),
        "mode_shares": [float(share) for share in solution.mode_shares],
        "moved_px_rms": float(np.sqrt(np.square(moved).mean())),
        "moved_px_most": float(moved.max()),
        "background": float(solution.background.mean()),
        "bad_pixels": 0 if bad is None else int(bad.sum() if bad.ndim == 2 else bad.all(axis=0).sum()),
        "found_bad_pixels": solution.found_bad_pixels,
        "canvas_origin": [int(v) for v in solution.canvas.origin],
        "canvas_shape": [int(v) for v in solution.canvas.shape],
        "seconds_total": float(solution.seconds),
        "cancelled": solution.cancelled,
        "out_of_time": solution.out_of_time,
        "verdict": _verdict(solution, scan, operations),
    }


def in_words(refined: Refined) -> dict[str, str]:
    """The rows that a person asks for first: R beside that of counting noise, and the verdict."""
    facts = refined.facts
    noise = facts["R_of_noise"]
    beside = "" if noise is None else f" ({noise:.4f} for counting noise alone)"
    rows = {"residual R": f"{facts['R']:.4f}{beside}"}
    if facts["R_held_out"] is not None:
        rows["of held-out frames"] = f"{facts['R_held_out']:.4f}"
    verdict = facts["verdict"]
    more = [*verdict["advice"], *verdict["diagnosis"]]
    return rows | {"verdict": verdict["sentence"]} | {f"advice {k}": text for k, text in enumerate(more, 1)}


def _verdict(solution: Solution, scan: Scan, operations: ArrayOperations) -> dict[str, Any]:
    """The verdict on a solution, and under ``diagnosis`` what may be wrong with the scan: tried where the
    verdict is bad, or doubtful with much that is unexplained or was hidden, and nobody is in a hurry."""
    verdict = judge(solution, scan)
    hurried = solution.cancelled or solution.out_of_time
    # Positions and a probe that are free hide a part of what exchanged or negated axes do.
    moved = np.square(solution.positions - solution.positions_start).sum(axis=1).mean()
    much_left = solution.residual > _MUCH_LEFT * solution.expected_residual
    hidden = verdict.level == "doubtful" and (moved > _HIDING_PX**2 or much_left)
    if hurried or not (hidden or verdict.level == "bad"):
        return verdict.metadata | {"diagnosis": []}
    from pinn_data.checks.diagnosis import diagnose

    return verdict.metadata | {"diagnosis": diagnose(scan, solution, operations=operations)}
