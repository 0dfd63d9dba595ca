"""The solver on each framework: an epoch in CPU seconds, and on a GPU the share of its bandwidth."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np
from pinn_data.optics.probe import defocused_probe
from pinn_data.scan.scan import Scan
from pinn_data.simulation.simulate import jittered_raster, simulate_scan
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.steps.descent import Descent, descend
from pinn_data.solver.unknowns.moves import Moves
from pinn_dispatch.engines import solver_operations
from pinn_dispatch.registry import BACKENDS, ENGINES
from scipy import fft

from benchmarks.children import run_child
from benchmarks.clock import medians
from benchmarks.line import Line
from benchmarks.measured_scans import grains

__all__ = ["engines", "gpu", "import_and_epoch"]

_N, _FRAMES, _ROUNDS = 64, 400, 5
_GPU_N, _GPU_FRAMES, _GPU_EPOCHS = 128, 10_000, 10
_MOVED = 4 * 2 + 0.5
"""Complex numbers that must cross the memory for each pixel of a frame in an epoch with a free probe, however
much of the rest is fused: four transforms read and written, and the amplitude, which is real."""


def _scan(N: int, frames: int) -> Scan:
    rng = np.random.default_rng([N, frames])
    side = int(np.ceil(np.sqrt(frames)))
    size = (side - 1) * 6 + N + 8
    positions = jittered_raster((size, size), N, 6.0, 2.0, rng)[:frames]
    return simulate_scan(grains(size, rng), defocused_probe(N), positions, photons=1e5, rng=rng)


def _epochs(ops: Any, scan: Scan, epochs: int) -> Any:
    """A function that does so many epochs with a free probe."""
    problem = Problem(ops, scan, SolverSettings())
    known = Knowledge(
        fft.fft2(scan.probe[None].astype(np.complex128), norm="ortho"),
        Moves.none(scan.positions),
        0.0,
        np.zeros((scan.N, scan.N), bool),
    )
    frames = problem.frames(scan.N)
    start = problem.at_level(known, scan.N)
    return lambda: ops.numpy(descend(ops, start, frames, problem.subsets, Descent(epochs, 0)).object)


def import_and_epoch(folder: Path, engine: str) -> list[Line]:
    """CPU seconds until the engine is there, and of an epoch; NumPy's epoch in the same process."""
    began = time.process_time()
    ops = solver_operations(engine, "cpu")
    imports = time.process_time() - began
    scan = _scan(_N, _FRAMES)
    functions = {engine: _epochs(ops, scan, 1), "oracle": _epochs(solver_operations("numpy"), scan, 1)}
    spent = medians(functions, _ROUNDS, warm_up=1, clock=time.process_time)
    each = 1e6 * spent[engine] / _FRAMES
    return [
        Line(
            f"solver epoch by engine, {_FRAMES} frames of {_N} x {_N}: {engine}",
            f"{each:.0f} us a frame",
            spent[engine] / spent["oracle"],
            "NumPy",
            None,
            f"{imports:.1f} CPU s of imports",
            numbers={"seconds": spent, "imports_s": imports},
        )
    ]


def engines(folder: Path) -> list[Line]:
    """An epoch on each engine that is installed, each in a process of its own."""
    here = [
        name
        for name in ENGINES
        if name not in BACKENDS or importlib.util.find_spec(BACKENDS[name].framework) is not None
    ]
    function = "solver_engines:import_and_epoch"
    return [run_child(function, folder, {"engine": name})[0] for name in here]


def gpu(folder: Path) -> list[Line]:
    """Seconds of 1e4 patterns of 128 x 128 on a GPU that PyTorch sees, and the share of its bandwidth."""
    what = f"solver on a GPU, {_GPU_FRAMES:.0e} frames of {_GPU_N} x {_GPU_N}"
    ops: Any = solver_operations("pytorch")
    if not ops.on_gpu:
        return [Line(what, "there is no GPU here")]
    import torch

    scan = _scan(_GPU_N, _GPU_FRAMES)
    run = _epochs(ops, scan, _GPU_EPOCHS)
    run()  # reads the frames, plans the transforms
    began = time.perf_counter()
    run()
    epoch = (time.perf_counter() - began) / _GPU_EPOCHS
    moved = _MOVED * ops.complex.itemsize * _GPU_N**2 * _GPU_FRAMES / epoch
    bandwidth = _copy_rate(ops.device)
    return [
        Line(
            what,
            f"{epoch:.3f} s an epoch",
            moved / bandwidth,
            "the bandwidth of a copy",
            None,
            f"{torch.cuda.get_device_name(ops.device)}, {bandwidth / 1e9:.0f} GB/s",
            numbers={"epoch_s": epoch, "moved_bytes_per_s": moved, "copy_bytes_per_s": bandwidth},
        )
    ]


def _copy_rate(device: Any) -> float:
    """Bytes a second that a copy inside the device's memory reads and writes."""
    import torch

    source = torch.empty(1 << 28, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(5):
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * source.nbytes / best
