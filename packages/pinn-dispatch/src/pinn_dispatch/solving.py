"""The best image there is of a scan: the physics solver, from nothing or from a network's image.

From Python:

    found = solve(read_scan("scan.npz"), SolverSettings(modes=3))
    write_reconstruction(folder, found, scan)
"""

from __future__ import annotations

from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from pinn_dispatch.registry import row_of

if TYPE_CHECKING:
    from pinn_config import PyTorchExecutionConfig
    from pinn_data.progress.reports import Watcher
    from pinn_data.scan.scan import Scan
    from pinn_data.solver import SolverSettings
    from pinn_data.solver.journal import Preview

    from pinn_dispatch.backend import ReconstructionResult
    from pinn_dispatch.reconstruction import Reconstruction

__all__ = ["solve"]

_SAID_BY_ALL = ("R", "patterns", "N", "engine", "canvas_origin", "canvas_shape", "seconds_total")
"""What the metadata of every reconstruction tell."""


def solve(
    scan: Scan,
    settings: SolverSettings | None = None,
    *,
    engine: str | None = None,
    device: str = "auto",
    devices: int = 1,
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
    devices : processes that share the frames of the scan, one for each GPU; more than one with PyTorch
    model : an archive whose network's image is the start
    network_image : the image of that network, where it has been made already
    execution : how that network runs
    progress : is told of each epoch (:mod:`pinn_data.progress.reports`); one that cancels gets the image of
        the moment, and ``refined.facts['cancelled']`` says so
    preview : is given the image so far, (row, column) complex, every few seconds

    Raises what `solver_operations` raises, what reading the patterns raises, and with a model what
    `pinn_dispatch.dispatch.reconstruct` raises.
    """
    from pinn_data.run import run_record as provenance
    from pinn_data.solver import SolverSettings
    from pinn_data.solver import solve as run

    from pinn_dispatch.engines import shared_solve, solver_operations

    settings = SolverSettings() if settings is None else settings
    first = network_image
    if first is None and model is not None:
        first = _network_image(model, scan, execution, progress)
    if model is not None and network_image is None and engine is None:
        from pinn_dispatch.dispatch import backend_of

        engine = backend_of(model)
    shared = shared_solve(engine, devices, device)
    operations = solver_operations("pytorch" if shared is not None else engine, device)
    origin = provenance.Origin(scan, model=model)
    solution = (shared or partial(run, operations=operations))(
        scan,
        settings,
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
    from pinn_data.checks.solution_facts import refined_by

    from pinn_dispatch.reconstruction import Reconstruction  # brings HDF5, for which no image need wait

    refined = refined_by(solution, scan, operations)
    told = {name: refined.facts[name] for name in _SAID_BY_ALL}
    return Reconstruction.solved(
        solution, refined, told | {"provenance": provenance.without_times(record)}
    ).measured_in(scan.geometry)


def _network_image(
    model: Path, scan: Scan, execution: PyTorchExecutionConfig | None, progress: Watcher | None
) -> ReconstructionResult:
    from pinn_config import InferenceConfig, ModelConfig

    from pinn_dispatch.dispatch import reconstruct

    config = InferenceConfig(ModelConfig(N=scan.N), model_path=model, refine="none")
    return reconstruct(model, scan, config, execution, progress=progress)


def _versions(engine: str) -> dict[str, str]:
    names = ["scipy"] if engine == "numpy" else [row_of(engine).framework]
    return {name: metadata.version(name) for name in names}
