"""One function in several processes: the caller's own, which is the first, and helpers beside it.

Lightning's `ddp` starts the caller's script again and its `ddp_spawn` imports it; both go wrong when `train`
is called from a notebook, a program without ``if __name__ == '__main__'``, or a child process of another
program. The helpers here are fresh interpreters that import pinn_torch and nothing of the caller's, so
results, callbacks and exceptions of the first process are those of a plain function call. What cannot work
is a program that has no Python interpreter to start (``multiprocessing.set_executable`` names one).
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from pinn_data.command.processes import launched_process
from pinn_data.progress.reports import CancelledError

import pinn_torch.errors as errors
from pinn_torch.distributed.ranks import ALONE, PATIENCE, Team, backend_for, joined, with_threads
from pinn_torch.errors import RunError, WorkerError

__all__ = ["run_on_all_ranks"]

T = TypeVar("T")

_LARGE_BYTES = 1 << 20
_LOOK_EVERY_SECONDS = 0.05
_LAST_WORDS_SECONDS = 5.0  # for a helper that failed to say why
_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from pinn_torch.distributed.worker import main; main(*sys.argv[2:])"
)
_OURS = (*(getattr(errors, name) for name in errors.__all__), CancelledError)


def run_on_all_ranks(
    function: Callable[..., T],
    shared: Mapping[str, Any],
    own: Mapping[str, Any] | None = None,
    *,
    processes: int,
    device: torch.device,
) -> T:
    """``function(team, **shared, **own)`` of this process, while every other process of the team runs
    ``function(team, **shared)``.

    function : of a module of pinn_torch
    shared : goes to the helpers by pickle, large arrays through files that all of them map
    own : what stays in this process, a callback for example
    processes : on this machine; where a launcher (torchrun, srun) started this process it has started the
        others too, and each of them gives its own arguments

    Raises
    ------
    WorkerError
        A helper failed; the message says which, and why.
    """
    own = own or {}
    launched = launched_process()
    if launched is not None:
        with joined(launched, device) as team:
            return function(team, **shared, **own)
    if processes == 1:
        return function(ALONE, **shared, **own)
    with _helpers(function, shared, processes, device) as team:
        return function(team, **shared, **own)


@contextmanager
def _helpers(
    function: Callable[..., Any], shared: Mapping[str, Any], processes: int, device: torch.device
) -> Iterator[Team]:
    """Helpers that run the function, until the block ends; they are gone then, however it ends."""
    if dist.is_initialized():
        raise RunError(
            f"{processes} processes were requested, but this process already belongs to a torch.distributed "
            "group: start all processes with torchrun or srun, or leave the group first"
        )
    threads = max(1, torch.get_num_threads() // processes)
    with (
        tempfile.TemporaryDirectory(prefix="pinn-torch-", ignore_cleanup_errors=True) as name,
        with_threads(threads),
    ):
        folder = Path(name)
        store = dist.TCPStore(
            "127.0.0.1", 0, processes, is_master=True, wait_for_workers=False, timeout=PATIENCE
        )
        content = {"function": function, "shared": dict(shared), "device": device.type, "port": store.port}
        with (folder / "run.pickle").open("wb") as file:
            _Packer(file, folder).dump(content)
        helpers: list[_Helper] = []
        try:
            for rank in range(1, processes):
                helpers.append(_Helper(rank, processes, folder, threads))
            _wait_for_all(helpers, store)
            for array in folder.glob("*.npy"):
                array.unlink()  # every helper has mapped it, and a kill must not leave gigabytes behind
            dist.init_process_group(
                backend_for(device), store=store, rank=0, world_size=processes, timeout=PATIENCE
            )
            done = threading.Event()
            watch = threading.Thread(target=_watch, args=(helpers, done), daemon=True)
            watch.start()
            try:
                yield Team(0, processes, 0, processes)
            finally:
                done.set()
                watch.join()
        except _OURS:
            raise
        except Exception as error:
            # torch.distributed tells of a lost helper with a RuntimeError.
            patience = _LAST_WORDS_SECONDS if isinstance(error, RuntimeError) else 0.0
            failed = _failed(helpers, patience)
            if failed is None:
                raise
            raise failed.error() from error
        finally:
            for helper in helpers:
                helper.end()
            if dist.is_initialized():
                dist.destroy_process_group()


class _Helper:
    """A process of the team, its log, and what it says when it fails."""

    def __init__(self, rank: int, size: int, folder: Path, threads: int) -> None:
        self.rank, self.size = rank, size
        self._log, self._reason = folder / f"log-{rank}", folder / f"failed-{rank}.json"
        where = json.dumps([str(entry) for entry in sys.path])
        with self._log.open("wb") as log:
            # It ends when its standard input does, so also when this process is killed.
            self.process = subprocess.Popen(
                [get_executable(), "-c", _CODE, where, str(folder), str(rank), str(size)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            )

    @property
    def has_failed(self) -> bool:
        return self.process.poll() not in (None, 0)

    @property
    def failed_at(self) -> float:
        return self._reason.stat().st_mtime if self._reason.exists() else time.time()

    def error(self) -> WorkerError:
        """What it failed with, for a caller."""
        who = f"process {self.rank + 1} of {self.size}"
        if self._reason.exists():
            reason = json.loads(self._reason.read_text())
            error = WorkerError(f"{who} failed with {reason['kind']}: {reason['message']}")
            error.add_note(reason["traceback"])
            return error
        code = self.process.returncode
        how = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        error = WorkerError(
            f"{who} {how}: it may have run out of memory, so use fewer processes or a smaller batch_size"
        )
        error.add_note(self._log.read_text(errors="replace")[-4000:])
        return error

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _wait_for_all(helpers: list[_Helper], store: dist.TCPStore) -> None:
    while store.add("here", 0) < len(helpers):
        failed = _failed(helpers, 0.0)
        if failed is not None:
            raise failed.error()
        time.sleep(_LOOK_EVERY_SECONDS)


def _failed(helpers: list[_Helper], wait_seconds: float) -> _Helper | None:
    """The helper that failed first; None if none did within this time."""
    until = time.monotonic() + wait_seconds
    while True:
        failed = [helper for helper in helpers if helper.has_failed]
        if failed or time.monotonic() >= until:
            return min(failed, key=lambda helper: helper.failed_at, default=None)
        time.sleep(_LOOK_EVERY_SECONDS)


def _watch(helpers: list[_Helper], done: threading.Event) -> None:
    """Ends the calls in which this process waits for a helper that is gone.

    gloo notices by itself; NCCL would wait for its time-out and then end the whole process.
    """
    while not done.wait(_LOOK_EVERY_SECONDS):
        if any(helper.has_failed for helper in helpers):
            abort = getattr(dist.distributed_c10d, "_abort_process_group", None)
            if abort is not None and "nccl" in dist.get_backend():
                abort()
            return


class _Packer(pickle.Pickler):
    """Pickles, with large arrays in files of their own beside the pickle."""

    def __init__(self, file: Any, folder: Path) -> None:
        super().__init__(file, protocol=5)
        self.folder, self.count = folder, 0

    def persistent_id(self, value: Any) -> str | None:
        if type(value) not in (np.ndarray, np.memmap) or value.dtype.hasobject or value.nbytes < _LARGE_BYTES:
            return None
        name = f"array-{self.count}.npy"
        self.count += 1
        np.save(self.folder / name, value, allow_pickle=False)
        return name
