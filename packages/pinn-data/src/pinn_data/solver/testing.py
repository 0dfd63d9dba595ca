"""What every engine is held against NumPy with: all that the solver computes, every part switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan
from pinn_data.solver.held_out import held_out_gain, held_out_misfits
from pinn_data.solver.operations import ArrayOperations
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.steps.descent import Descent, descend
from pinn_data.solver.steps.polish import Polish, Polished, polish
from pinn_data.solver.steps.sweep import sweep
from pinn_data.solver.unknowns.moves import Moves
from pinn_data.testing import two_modes

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

__all__ = ["everything_computed", "scan_with_everything", "worst_difference"]

_N, _FRAMES = 16, 60


def scan_with_everything() -> Scan:
    """60 frames of counts of two modes, a mask of each frame's own and a map of background."""
    rng = np.random.default_rng(7)
    positions = jittered_raster((80, 80), _N, 4.0, 1.0, rng)[:_FRAMES]
    clean = simulate_scan(
        picture_object("camera", "moon", 80), two_modes(_N), positions, photons=1e4, rng=rng
    )
    bad = rng.random((_FRAMES, _N, _N)) < 0.03
    bad[:, 3, 4] = True
    return attrs.evolve(clean, bad_pixels=bad, background=rng.random((_N, _N)))


def everything_computed(ops: ArrayOperations, scan: Scan, epochs: int = 3) -> dict[str, NDArray[Any]]:
    """What an engine has after some epochs and steps of the polish, by name, as NumPy has it: object, probe,
    every sum of a sweep, and what the held-out frames tell."""
    N, rng = scan.N, np.random.default_rng(8)
    problem = Problem(ops, scan, SolverSettings())
    modes = scan.probe if scan.probe.ndim == 3 else scan.probe[None]
    known = Knowledge(
        fft.fft2(modes.astype(np.complex128), norm="ortho"),
        Moves.none(scan.positions),
        0.5,
        rng.random((N, N)) < 0.02,
        intensity=1 + 0.1 * rng.random(len(scan)),
    )
    frames = problem.frames(N)
    estimate = problem.at_level(known, N)
    estimate = descend(ops, estimate, frames, problem.subsets, Descent(epochs, 1, likelihood="poisson"))
    told = {"object": ops.numpy(estimate.object), "probe": ops.numpy(estimate.spectrum)}
    sums = sweep(
        ops, estimate, frames, problem.fitted, object=True, probe=True, moves=True, pixels=True, noise=True
    )
    assert sums.moves is not None and sums.pixels is not None
    for name in ("misfit", "measured_counts", "expected_counts", "deviance", "noise"):
        told[name] = getattr(sums, name)
    told |= {"descent of the object": ops.numpy(sums.object), "descent of the probe": ops.numpy(sums.probe)}
    told |= {"moves, matrix": sums.moves.matrix, "moves, right": sums.moves.right}
    told |= {f"pixels, {name}": values for name, values in attrs.asdict(sums.pixels).items()}
    polished = polish(ops, Polished(estimate, estimate), frames, problem.fitted, Polish(2)).estimate
    told["polished object"] = ops.numpy(polished.object)
    if len(problem.held):  # none of a scan of few frames
        told["held-out misfits"] = held_out_misfits(problem, polished, own_parameters=2)
        held = sweep(ops, polished, frames, problem.held)
        told["held-out gain"] = np.array(held_out_gain(problem, held.deviance, known.bad_pixels))
    return told


def worst_difference(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> tuple[float, str]:
    """The largest ``|one - other| / |other|`` of all parts, in norm, and of which."""
    assert one.keys() == other.keys()
    return max(
        (float(np.linalg.norm(one[name] - other[name]) / np.linalg.norm(other[name])), name) for name in one
    )
