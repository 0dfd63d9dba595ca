"""The physics solver on PyTorch: its operations by name, and one scan shared by several processes.

Importing this module loads no framework; no network and no Lightning is needed for anything here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pinn_data import solver
from pinn_data.command.processes import launched_process
from pinn_data.progress.reports import Watcher
from pinn_data.scan.positions import Canvas
from pinn_data.scan.scan import Scan
from pinn_data.solver import Solution, SolverSettings
from pinn_data.solver.journal import Preview

from pinn_torch.runtime.requirements import require_torch

if TYPE_CHECKING:
    from pinn_torch.distributed.ranks import Team
    from pinn_torch.solver.array_operations import TorchOperations

__all__ = ["operations", "solve"]


def operations(device: str | None = None, *, double: bool = False) -> TorchOperations:
    """The operations on a device: 'cpu', 'cuda', 'mps' or 'gpu'; None: on a GPU that torch sees, else on the
    CPU. Of processes that a launcher started, each has a GPU of its own.

    double : float64 in place of float32

    Raises TorchMissingError, and RunError for a device that this machine does not have.
    """
    torch = require_torch()
    from pinn_torch.runtime.devices import device_of
    from pinn_torch.solver.array_operations import TorchOperations, has_complex_numbers

    kind = device_of("auto" if device is None else device)
    if device is None and kind.type == "mps" and (double or not has_complex_numbers(kind)):
        kind = torch.device("cpu")
    launched = launched_process()
    if kind.type == "cuda" and launched is not None:
        kind = torch.device("cuda", launched.local_rank)
    return TorchOperations(kind, double=double)


def solve(
    scan: Scan,
    settings: SolverSettings | None = None,
    *,
    device: str | None = None,
    processes: int = 1,
    double: bool = False,
    start: tuple[NDArray[np.complexfloating], Canvas] | None = None,
    watch: Watcher | None = None,
    preview: Preview | None = None,
) -> Solution:
    """What `pinn_data.solver.solve` finds, by several processes that share the frames of the scan.

    device, double : see `operations`
    processes : on this machine, one for each GPU; where torchrun or srun started this process, those that it
        started take part, each with arguments of its own

    The image is that of one process, but for the order in which sums are rounded.

    Raises what `operations` and `pinn_data.solver.solve` raise; WorkerError where another process failed.
    """
    require_torch()
    from pinn_torch.distributed.spawn import run_on_all_ranks
    from pinn_torch.runtime.devices import device_of

    shared: dict[str, Any] = {
        "scan": scan,
        "settings": settings,
        "device": device,
        "double": double,
        "start": start,
    }
    own = {"watch": watch, "preview": preview}
    kind = device_of("auto" if device is None else device)
    return run_on_all_ranks(_solve, shared, own, processes=processes, device=kind)


def _solve(
    team: Team,
    scan: Scan,
    settings: SolverSettings | None,
    device: str | None,
    double: bool,
    start: tuple[NDArray[np.complexfloating], Canvas] | None,
    watch: Watcher | None = None,
    preview: Preview | None = None,
) -> Solution:
    from pinn_torch.solver.array_operations import TorchOperations

    ops = operations(device, double=double)
    if ops.device.type == "cuda":
        ops = TorchOperations(team.device(ops.device), double=double)
    return solver.solve(scan, settings, operations=ops, start=start, watch=watch, preview=preview)
