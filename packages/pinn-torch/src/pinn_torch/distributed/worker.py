"""A helper process of `pinn_torch.distributed.spawn`: does its share of one run, and ends."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from pinn_torch.distributed.ranks import PATIENCE, Team, backend_for, with_threads

__all__ = ["main"]


class _Unpacker(pickle.Unpickler):
    """Arrays in files of their own are mapped, not read."""

    def __init__(self, file: Any, folder: Path) -> None:
        super().__init__(file)
        self.folder = folder

    def persistent_load(self, name: str) -> np.ndarray:
        return np.load(self.folder / name, mmap_mode="r", allow_pickle=False)


def main(folder_name: str, rank_text: str, size_text: str) -> None:
    """Run what lies packed in the folder; leave why it failed there if it does."""
    folder, rank, size = Path(folder_name), int(rank_text), int(size_text)
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    # A person's Ctrl-C is for the first process, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["LOCAL_RANK"] = str(rank)  # for Lightning, until it has a strategy to ask
    # The first process says everything that there is to say.
    logging.disable(logging.WARNING)
    try:
        _run(folder, rank, size)
    except BaseException as error:
        reason = {
            "kind": type(error).__name__,
            "message": " ".join(str(error).split()),
            "traceback": traceback.format_exc(),
        }
        partial = folder / f"failed-{rank}.part"
        partial.write_text(json.dumps(reason))
        partial.replace(folder / f"failed-{rank}.json")
        _leave(1)
    _leave(0)


def _run(folder: Path, rank: int, size: int) -> None:
    # The folder is private to the user who called, and written by the process that started this one.
    with (folder / "run.pickle").open("rb") as file:
        content = _Unpacker(file, folder).load()
    device = torch.device(content["device"])
    store = dist.TCPStore("127.0.0.1", content["port"], size, is_master=False, timeout=PATIENCE)
    store.add("here", 1)
    dist.init_process_group(backend_for(device), store=store, rank=rank, world_size=size, timeout=PATIENCE)
    with with_threads(torch.get_num_threads()):
        content["function"](Team(rank, size, rank, size), **content["shared"])


def _end_with_the_caller() -> None:
    sys.stdin.buffer.read()
    _leave(1)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what waits in a collective call cannot be asked to stop
