"""The processes that do one run together: which of them this one is, and how they share what each has.

Every process of a team runs the same program on the same arguments. Collective calls (`sum`, `first`, `all`,
`barrier`) must be made by all of them in the same order.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from pinn_data.command.processes import LaunchedProcess
from torch import Tensor

__all__ = ["ALONE", "PATIENCE", "Team", "backend_for", "joined", "with_threads"]

PATIENCE = timedelta(hours=2)
"""How long a process waits for another one in one collective call: as long as a file takes to be written, at
most."""


@attrs.frozen
class Team:
    """The place of this process among `size` equal ones, `local_size` of them on each machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def nodes(self) -> int:
        """Number of machines."""
        return self.size // self.local_size

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and talks to people."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """The numbers 0 to count - 1 that are this process': consecutive, as even as can be, maybe none.

        The parts of all ranks, one after the other, are ``range(count)``.
        """
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def device(self, kind: torch.device) -> torch.device:
        """The device of this kind that is this process' own."""
        if kind.type != "cuda" or self.size == 1:
            return kind
        own = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(own)
        return own

    def sum(self, values: Tensor) -> Tensor:
        """`values` summed over the processes, in place; the same bits everywhere."""
        if self.size > 1:
            # Not every backend adds complex numbers; the real view shares their memory.
            dist.all_reduce(torch.view_as_real(values) if values.is_complex() else values)
        return values

    def first(self, value: Any) -> Any:
        """The value that the first process has."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def all(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def add_up(self, values: NDArray[Any]) -> NDArray[Any]:
        """`sum` of an array in the memory of the CPU, in place."""
        self.sum(torch.from_numpy(values))
        return values

    def gather(self, part: NDArray[Any], count: int) -> NDArray[Any] | None:
        """Rows (count, ...) of which each process has its `part(count)`; None except in the first process."""
        if self.size == 1:
            return part
        whole = self._gathered(torch.from_numpy(np.ascontiguousarray(part)), count)
        return None if whole is None else whole.numpy()

    def _gathered(self, part: Tensor, count: int) -> Tensor | None:
        real = torch.view_as_real(part) if part.is_complex() else part
        if not self.is_first:
            if len(real):
                dist.send(real, dst=0)
            return None
        whole = torch.empty((count, *part.shape[1:]), dtype=part.dtype)
        for rank in range(self.size):
            place = whole[attrs.evolve(self, rank=rank).part(count)]
            if rank == 0:
                place.copy_(part)
            elif len(place):
                dist.recv(torch.view_as_real(place) if place.is_complex() else place, src=rank)
        return whole

    def barrier(self) -> None:
        """Returns when every process has come here."""
        self.sum(torch.zeros(1))


ALONE = Team()
"""A run in one process."""


def backend_for(device: torch.device) -> str:
    """What carries tensors between processes, for the CPU and for this device."""
    return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"


@contextmanager
def joined(launched: LaunchedProcess, device: torch.device) -> Iterator[Team]:
    """The team of processes that torchrun or srun started.

    They meet at the first call and stay together until they end, so that a program may train and then
    reconstruct; a program that has met already (``torch.distributed`` is initialised) is taken as it is.
    """
    if not dist.is_initialized():
        options: dict[str, Any] = {"init_method": "env://"}
        if launched.launcher == "srun":
            options = {
                "init_method": f"tcp://{_meeting_point(os.environ)}",
                "rank": launched.rank,
                "world_size": launched.size,
            }
        # The program may use the GPU in one call and the CPU in the next.
        kind = torch.device("cuda") if torch.cuda.is_available() else device
        dist.init_process_group(backend_for(kind), timeout=PATIENCE, **options)
        atexit.register(_leave)
    with with_threads(torch.get_num_threads()), _silent(launched.rank > 0):
        yield Team(launched.rank, launched.size, launched.local_rank, launched.local_size)


@contextmanager
def _silent(silent: bool) -> Iterator[None]:
    """The first process says everything that there is to say."""
    before = logging.root.manager.disable
    if silent:
        logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _meeting_point(variables: Mapping[str, str]) -> str:
    """host:port of the first process of a job step: ``MASTER_ADDR`` and ``MASTER_PORT`` where they are set,
    else the step's first machine and a port that follows from the numbers of job and step."""
    # Here, because a helper of `pinn_torch.distributed.spawn` may have no need of Lightning.
    from lightning.fabric.plugins.environments import SLURMEnvironment

    nodes = variables.get("SLURM_STEP_NODELIST") or variables.get("SLURM_JOB_NODELIST") or "127.0.0.1"
    host = variables.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
    job, step = (int(variables.get(name) or 0) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return f"{host}:{variables.get('MASTER_PORT') or 15000 + (job + 97 * step) % 10000}"


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """This process computes with `count` threads; Lightning, which goes by the environment, leaves it so."""
    variable, before = os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if variable is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = variable
