"""The best image there is of a scan: the physics solver, from nothing or from a network's image.

From Python:

    found = solve(read_scan("scan.npz"), SolverSettings(modes=3))
    write_reconstruction(folder, found, scan)
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from pinn_dispatch.registry import row_of

if TYPE_CHECKING:
    from pinn_config import PyTorchExecutionConfig
    from pinn_data.npz import Scan
    from pinn_data.progress import Watcher
    from pinn_data.solver import Solution, SolverSettings
    from pinn_data.solver.journal import Preview
    from pinn_data.solver.operations import ArrayOperations

    from pinn_dispatch.backend import ReconstructionResult
    from pinn_dispatch.reconstruction import Reconstruction

__all__ = ["measures", "solve"]

_SAID_BY_ALL = ("R", "patterns", "N", "engine", "canvas_origin", "canvas_shape", "seconds_total")
"""What the metadata of every reconstruction tell."""


def solve(
    scan: Scan,
    settings: SolverSettings | None = None,
    *,
    engine: str | None = None,
    device: str = "auto",
    model: Path | None = None,
    network_image: ReconstructionResult | None = None,
    execution: PyTorchExecutionConfig | None = None,
    progress: Watcher | None = None,
    preview: Preview | None = None,
) -> Reconstruction:
    """The image of a scan, and everything that was refined with it.

    settings : default: everything may be refined
    engine : 'numpy', 'pytorch' or 'tensorflow'; None: where a network is run first its backend, else the
        fastest
    device : of the engine
    model : an archive whose network's image is the start
    network_image : the image of that network, where it has been made already
    execution : how that network runs
    progress : is told of each epoch (:mod:`pinn_data.progress`); one that cancels gets the image of the
        moment, and ``refined.facts['cancelled']`` says so
    preview : is given the image so far, (row, column) complex, every few seconds

    Raises what `solver_operations` raises, what reading the patterns raises, and with a model what
    `pinn_dispatch.dispatch.reconstruct` raises.
    """
    from pinn_data import provenance
    from pinn_data.solver import SolverSettings
    from pinn_data.solver import solve as run

    from pinn_dispatch.engines import solver_operations

    settings = SolverSettings() if settings is None else settings
    first = network_image
    if first is None and model is not None:
        first = _network_image(model, scan, execution, progress)
    if model is not None and network_image is None and engine is None:
        from pinn_dispatch.dispatch import backend_of

        engine = backend_of(model)
    operations = solver_operations(engine, device)
    origin = provenance.Origin(scan, model=model)
    solution = run(
        scan,
        settings,
        operations=operations,
        start=None if first is None else (first.object, first.canvas),
        watch=progress,
        preview=preview,
    )
    asked = attrs.asdict(settings) | {"refine": sorted(settings.refine), "engine": solution.engine}
    record = origin.solver_record(asked, _versions(solution.engine))
    if first is not None:
        before = dict(first.provenance)
        record |= {"seeds": before["seeds"], "frameworks": before["frameworks"] | record["frameworks"]}
        record["configuration"] = before["configuration"] | {"solver": record["configuration"]["solver"]}
    facts = measures(solution, scan) | {"verdict": _verdict(solution, scan, operations)}

    from pinn_dispatch.reconstruction import Reconstruction  # brings HDF5, for which no image need wait

    return Reconstruction.solved(
        solution,
        facts | {"sentences": list(solution.sentences), "history": list(solution.history)},
        {name: facts[name] for name in _SAID_BY_ALL} | {"provenance": provenance.without_times(record)},
    ).measured_in(scan.geometry)


def _verdict(solution: Solution, scan: Scan, operations: ArrayOperations) -> dict[str, Any]:
    """The verdict on a solution; where it is bad, and nobody is in a hurry, with what may be wrong with the
    scan under ``diagnosis``."""
    from pinn_data.verdict import judge

    verdict = judge(solution, scan)
    hurried = solution.cancelled or solution.out_of_time
    if verdict.level != "bad" or hurried:
        return verdict.metadata | {"diagnosis": []}
    from pinn_data.diagnosis import diagnose

    return verdict.metadata | {"diagnosis": diagnose(scan, solution, operations=operations)}


def measures(solution: Solution, scan: Scan) -> dict[str, Any]:
    """What can be said of a solution without a truth, in the types of JSON; None where it is not defined."""
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
    }


def _network_image(
    model: Path, scan: Scan, execution: PyTorchExecutionConfig | None, progress: Watcher | None
) -> ReconstructionResult:
    from pinn_config import InferenceConfig, ModelConfig

    from pinn_dispatch.dispatch import reconstruct

    config = InferenceConfig(ModelConfig(N=scan.N), model_path=model)
    return reconstruct(model, scan, config, execution, progress=progress)


def _versions(engine: str) -> dict[str, str]:
    names = ["scipy"] if engine == "numpy" else [row_of(engine).framework]
    return {name: metadata.version(name) for name in names}
