"""Which process of a run this is, where a launcher started several: torchrun, or srun of SLURM.

Read from the environment alone, so that a command line knows without a framework that only the first process
writes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pinn_config.errors import ConfigError

__all__ = ["LaunchedProcess", "is_first_process", "launched_process"]


@dataclass(frozen=True)
class LaunchedProcess:
    """One of `size` equal processes, `local_size` of them on each machine.

    launcher : 'torchrun' or 'srun'
    rank : 0 to size - 1, in the order of the machines
    local_rank : 0 to local_size - 1, on this machine
    """

    launcher: str
    rank: int
    size: int
    local_rank: int
    local_size: int

    @property
    def nodes(self) -> int:
        """Number of machines."""
        return self.size // self.local_size


def launched_process(environment: Mapping[str, str] | None = None) -> LaunchedProcess | None:
    """The place of this process among those that were launched together; None if it runs alone.

    torchrun: ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``LOCAL_WORLD_SIZE``; without the last two, one
    process a machine. srun: ``SLURM_PROCID``, ``SLURM_STEP_NUM_TASKS``, ``SLURM_LOCALID``,
    ``SLURM_STEP_NUM_NODES``. A batch script that starts Python without srun has no step, so it runs alone,
    however many tasks the job has.

    Raises
    ------
    ConfigError
        The numbers do not fit together: the machines run different numbers of processes, or in another order.
    """
    variables = os.environ if environment is None else environment
    if "RANK" in variables and "WORLD_SIZE" in variables:
        rank, size = _number(variables, "RANK"), _number(variables, "WORLD_SIZE")
        local_rank = _number(variables, "LOCAL_RANK", 0)
        everywhere = size if "LOCAL_RANK" in variables else 1
        found = LaunchedProcess(
            "torchrun", rank, size, local_rank, _number(variables, "LOCAL_WORLD_SIZE", everywhere)
        )
    elif "SLURM_PROCID" in variables and "SLURM_STEP_NUM_TASKS" in variables:
        rank, size = _number(variables, "SLURM_PROCID"), _number(variables, "SLURM_STEP_NUM_TASKS")
        nodes = max(1, _number(variables, "SLURM_STEP_NUM_NODES", 1))
        found = LaunchedProcess(
            "srun", rank, size, _number(variables, "SLURM_LOCALID", 0), max(1, -(-size // nodes))
        )
    else:
        return None
    if found.size == 1:
        return None
    machine, place = divmod(found.rank, max(1, found.local_size))
    if place != found.local_rank or not 0 <= machine < found.nodes or found.size % found.local_size:
        raise ConfigError(
            f"{found.launcher} started process {found.rank} of {found.size} as number {found.local_rank} of "
            f"{found.local_size} on its machine, but every machine must run the same number, numbered "
            "machine by machine: start them with torchrun, or with srun --ntasks-per-node and "
            "--distribution=block"
        )
    return found


def is_first_process(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process is the one that writes files: it runs alone, or has rank 0."""
    found = launched_process(environment)
    return found is None or found.rank == 0


def _number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = variables.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.strip().isdigit():
        raise ConfigError(
            f"the environment variable {name} is {text!r}, but a whole number is needed: start the processes "
            "with torchrun or srun, or unset it"
        )
    return int(text)
