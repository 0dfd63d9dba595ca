"""The engine that the solver runs on: NumPy, or the framework of a backend, loaded when it is asked for.

On one thread of a CPU NumPy and PyTorch take about the same time for an epoch and TensorFlow about twice as
long, and NumPy is there without seconds of imports (``python -m benchmarks solver-engines``); so PyTorch is
taken by itself only for the sake of a GPU.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from ctypes.util import find_library
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pinn_data.command.processes import launched_process
from pinn_data.solver.operations import ArrayOperations, NumpyOperations

from pinn_dispatch.errors import UsageError
from pinn_dispatch.registry import ENGINE_POINTS, ENGINES, installed_backends, load_engine_module

__all__ = ["shared_solve", "solver_operations"]

if TYPE_CHECKING:
    from pinn_data.solver import Solution

_LOG = logging.getLogger(__name__)

_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What Linux has where there is a GPU of NVIDIA or AMD, and under Windows."""


def solver_operations(engine: str | None = None, device: str | None = None) -> ArrayOperations:
    """The array operations of an engine, for ``pinn_data.solver.solve(scan, operations=...)``.

    engine : one of :data:`pinn_dispatch.registry.ENGINES`; None: PyTorch where it is
        installed and sees a GPU, else NumPy
    device : 'cpu', 'gpu', 'cuda' or 'mps'; None and 'auto': a GPU where the engine sees one

    Raises
    ------
    UsageError (a ValueError)
        No engine has that name, or NumPy was to run on a GPU.
    BackendUnavailableError (a RuntimeError)
        The engine is not installed.
    ValueError, RuntimeError
        The engine has no such device on this machine.
    """
    device = None if device == "auto" else device
    if engine is None:
        return _fastest(device)
    if engine not in ENGINES:
        raise UsageError(
            f"engine {engine!r} is unknown: choose {', '.join(map(repr, ENGINES[:-1]))} or {ENGINES[-1]!r}"
        )
    if engine != "numpy":
        return load_engine_module(engine).operations(device)
    if device not in (None, "cpu"):
        raise UsageError(
            f"engine 'numpy' was asked for on {device!r}, but it runs on the CPU alone: choose 'pytorch' or "
            "'tensorflow', or leave the device out"
        )
    return NumpyOperations()


def shared_solve(
    engine: str | None, devices: int, device: str | None = None
) -> Callable[..., Solution] | None:
    """`pinn_data.solver.solve` by so many processes that share the frames of a scan; None: one is enough.

    devices : processes on this machine, one for each GPU; where torchrun or srun started this process, those
        that it started

    Raises UsageError (another engine than PyTorch for several) and what `solver_operations` raises.
    """
    if devices == 1 and (launched_process() is None or engine != "pytorch"):
        return None
    if engine not in (None, "pytorch"):
        raise UsageError(
            f"--devices {devices} was given with the engine {engine!r}, but only 'pytorch' shares a scan "
            "between processes: choose it, or leave --devices out"
        )
    solve = load_engine_module("pytorch").solve
    return partial(solve, device=None if device == "auto" else device, processes=devices)


def _fastest(device: str | None) -> ArrayOperations:
    wanted = device not in (None, "cpu")
    if device != "cpu" and (wanted or (_may_have_gpu() and "pytorch" in installed_backends(ENGINE_POINTS))):
        try:
            found = load_engine_module("pytorch").operations(device)
        except RuntimeError as error:  # not installed, too old, broken
            if wanted:
                raise
            _LOG.warning("%s; the solver runs on NumPy", error)
            return NumpyOperations()
        if wanted or found.on_gpu:
            return found
    return NumpyOperations()


def _may_have_gpu() -> bool:
    """Whether it is worth the seconds of importing PyTorch to ask."""
    system = platform.system()
    if system == "Darwin":
        return platform.machine() == "arm64"
    if system == "Windows":
        return find_library("nvcuda") is not None
    return any(Path(name).exists() for name in _GPU_FILES)
