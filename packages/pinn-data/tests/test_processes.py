"""Which process this is, from what torchrun and srun leave in the environment."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import ConfigError
from pinn_data.command.processes import LaunchedProcess, is_first_process, launched_process


def _torchrun(rank: int, nodes: int, local: int) -> dict[str, str]:
    values = {
        "RANK": rank,
        "WORLD_SIZE": nodes * local,
        "LOCAL_RANK": rank % local,
        "LOCAL_WORLD_SIZE": local,
    }
    return {name: str(value) for name, value in values.items()}


def _srun(rank: int, nodes: int, local: int) -> dict[str, str]:
    values = {
        "SLURM_PROCID": rank,
        "SLURM_STEP_NUM_TASKS": nodes * local,
        "SLURM_LOCALID": rank % local,
        "SLURM_STEP_NUM_NODES": nodes,
    }
    return {name: str(value) for name, value in values.items()}


@given(st.integers(1, 4), st.integers(1, 4), st.data())
@pytest.mark.parametrize(("launcher", "variables"), [("torchrun", _torchrun), ("srun", _srun)])
def test_both_launchers_tell_the_same(launcher, variables, nodes, local, data):
    rank = data.draw(st.integers(0, nodes * local - 1))
    environment = variables(rank, nodes, local)
    found = launched_process(environment)
    if nodes * local == 1:
        assert found is None
    else:
        assert found == LaunchedProcess(launcher, rank, nodes * local, rank % local, local)
        assert found.nodes == nodes
    assert is_first_process(environment) == (rank == 0)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "0"},
        # A batch script that does not use srun, in a job with four tasks.
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7"},
    ],
)
def test_without_a_launcher_a_process_runs_alone(environment):
    assert launched_process(environment) is None and is_first_process(environment)


def test_without_local_numbers_there_is_one_process_a_machine():
    found = launched_process({"RANK": "2", "WORLD_SIZE": "3"})
    assert found == LaunchedProcess("torchrun", 2, 3, 0, 1) and found.nodes == 3


def test_without_the_local_number_of_processes_there_is_one_machine():
    found = launched_process({"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "1"})
    assert found == LaunchedProcess("torchrun", 1, 3, 1, 3) and found.nodes == 1


@pytest.mark.parametrize(
    "environment",
    [
        _srun(1, 2, 2) | {"SLURM_LOCALID": "0"},  # --distribution=cyclic
        _srun(2, 2, 2) | {"SLURM_STEP_NUM_TASKS": "3"},  # two tasks here and one there
        _torchrun(3, 1, 2),
    ],
)
def test_machines_that_run_other_numbers_of_processes_are_refused_in_one_sentence(environment):
    with pytest.raises(ConfigError, match="every machine must run the same number") as caught:
        launched_process(environment)
    assert "\n" not in str(caught.value)


def test_what_is_no_number_is_refused_by_name():
    with pytest.raises(ConfigError, match="WORLD_SIZE is 'two'"):
        launched_process({"RANK": "0", "WORLD_SIZE": "two"})


def test_asking_loads_no_framework():
    code = "import sys, pinn_data.command.processes; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
