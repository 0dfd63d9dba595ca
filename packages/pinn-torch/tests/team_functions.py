"""Functions that the tests of `pinn_torch.distributed.spawn` run in several processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import torch
from pinn_data.scan.scan import Scan
from pinn_data.solver.testing import everything_computed
from pinn_torch.distributed.ranks import Team
from pinn_torch.errors import RunError


def exchange(team: Team, numbers: np.ndarray, told: list[str] | None = None) -> dict[str, Any]:
    """Every way in which processes share what they have."""
    own = np.array(numbers[team.part(len(numbers))])
    whole = team.gather(own, len(numbers))
    if told is not None:
        told.append("here")
    return {
        "pid": os.getpid(),
        "pids": team.all(os.getpid()),
        "threads": team.all(torch.get_num_threads()),
        "sum": team.add_up(own.sum(0)),
        "whole": whole,
        "first": team.first(f"from {team.rank}"),
        "mapped": team.all(isinstance(numbers, np.memmap)),
        "told": team.all(told is not None),
    }


def fail(team: Team, where: int, how: str) -> None:
    """One process fails while the others wait for it."""
    if team.rank == where:
        if how == "raise":
            raise MemoryError("no room\nfor this")
        if how == "refuse":
            raise RunError("this does not fit: give less")
        os.kill(os.getpid(), signal.SIGKILL)
    team.barrier()


def wait_for_ever(team: Team, folder: str) -> None:
    """Leaves its number in the folder and waits."""
    with open(f"{folder}/{team.rank}.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{folder}/{team.rank}.tmp", f"{folder}/{team.rank}.pid")
    while threading.active_count():
        time.sleep(0.05)


def solver_sums(team: Team, scan: Scan) -> dict[str, np.ndarray]:
    """What the solver computes of a scan whose frames the processes share."""
    from pinn_torch.solver import operations

    ops = operations("cpu", double=True)
    assert ops.share == (team.rank, team.size)
    return everything_computed(ops, scan)
