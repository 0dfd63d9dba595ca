"""One function in several processes: started from anywhere, always ended, a failure told in one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import team_functions
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_torch.distributed.ranks import Team
from pinn_torch.distributed.spawn import run_on_all_ranks
from pinn_torch.errors import RunError, WorkerError

pytestmark = pytest.mark.processes

_CPU = torch.device("cpu")


def _numbers(count: int = 7, width: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(count, width)) + 1j * rng.normal(size=(count, width))).astype(np.complex64)


@given(st.integers(1, 9), st.integers(0, 40))
def test_parts_are_consecutive_even_and_all_there_is(size, count):
    parts = [Team(rank, size).part(count) for rank in range(size)]
    assert [n for part in parts for n in range(count)[part]] == list(range(count))
    lengths = [len(range(count)[part]) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(("processes", "count"), [(1, 7), (2, 7), (3, 2)])
def test_processes_share_what_they_have(processes, count):
    numbers, told = _numbers(count), []
    threads = torch.get_num_threads()
    found = run_on_all_ranks(
        team_functions.exchange, {"numbers": numbers}, {"told": told}, processes=processes, device=_CPU
    )
    assert found["pid"] == found["pids"][0] == os.getpid() and len(set(found["pids"])) == processes
    np.testing.assert_allclose(found["sum"], numbers.sum(0), rtol=1e-5)
    np.testing.assert_array_equal(found["whole"], numbers)
    assert found["first"] == "from 0"
    assert found["told"] == [True] + [False] * (processes - 1) and told == ["here"]
    assert sum(found["threads"]) <= max(threads, processes) and torch.get_num_threads() == threads
    assert not torch.distributed.is_initialized()


def test_a_large_array_is_mapped_by_the_helpers_and_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    numbers = _numbers(200, 2000)
    found = run_on_all_ranks(team_functions.exchange, {"numbers": numbers}, processes=2, device=_CPU)
    assert found["mapped"] == [False, True]
    np.testing.assert_array_equal(found["whole"], numbers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("how", "where", "error", "message"),
    [
        ("raise", 1, WorkerError, r"process 2 of 2 failed with MemoryError: no room for this"),
        (
            "kill",
            1,
            WorkerError,
            "process 2 of 2 was ended by signal SIGKILL: it may have run out of",
        ),
        ("raise", 0, MemoryError, "no room"),
        ("refuse", 0, RunError, "this does not fit: give less"),
    ],
)
def test_whoever_fails_all_end_and_one_sentence_says_why(how, where, error, message):
    with pytest.raises(error, match=message):
        run_on_all_ranks(team_functions.fail, {"where": where, "how": how}, processes=2, device=_CPU)
    assert not torch.distributed.is_initialized()


def test_a_helper_that_cannot_start_is_told(monkeypatch):
    monkeypatch.setattr("pinn_torch.distributed.spawn._CODE", "raise SystemExit(7)")
    with pytest.raises(WorkerError, match="process 2 of 2 ended with code 7"):
        run_on_all_ranks(team_functions.exchange, {"numbers": _numbers()}, processes=2, device=_CPU)


# Tests that were started in the background ignore SIGINT, and so would what they start.
_WAITS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:] = {path!r}
import team_functions, torch
from pinn_torch.distributed.spawn import run_on_all_ranks
cpu = torch.device("cpu")
run_on_all_ranks(team_functions.wait_for_ever, {{"folder": sys.argv[1]}}, processes=3, device=cpu)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_helpers_end_with_the_caller(tmp_path, how):
    process = subprocess.Popen([sys.executable, "-c", _WAITS.format(path=sys.path), str(tmp_path)])
    try:
        pids = [_pid(tmp_path / f"{rank}.pid") for rank in range(3)]
    finally:
        process.send_signal(how)
        process.wait(60)
    assert pids[0] == process.pid
    deadline = time.monotonic() + 60
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_lives(pid) for pid in pids)


def _pid(path: Path) -> int:
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(path.read_text())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # What nobody has waited for is dead nevertheless.
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


_UNGUARDED = """
import sys
sys.path[:] = {path!r}
import numpy as np, team_functions, torch
from pinn_torch.distributed.spawn import run_on_all_ranks
def call():
    numbers = {{"numbers": np.ones((4, 2), np.complex64)}}
    found = run_on_all_ranks(team_functions.exchange, numbers, processes=2, device=torch.device("cpu"))
    print("sum", found["sum"].real.tolist(), flush=True)
"""
_CHILD = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=call, daemon=True)
child.start()
child.join()
"""


@pytest.mark.parametrize("last", ["call()\n", _CHILD], ids=["plain", "daemonic child"])
def test_a_program_needs_no_guard_and_no_file_and_may_be_a_child(last):
    """It may come from standard input, as in a notebook."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=_UNGUARDED.format(path=sys.path) + last,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split("\n") == ["sum [4.0, 4.0]", ""], done.stderr
