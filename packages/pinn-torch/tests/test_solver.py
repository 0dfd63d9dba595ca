"""The solver on PyTorch is NumPy's to rounding, in one process or several, and needs no Lightning."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import team_functions
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.progress.reports import Cancel
from pinn_data.solver import SolverSettings
from pinn_data.solver import solve as solve_by_numpy
from pinn_data.solver.operations import NumpyOperations
from pinn_data.solver.testing import everything_computed, scan_with_everything, worst_difference
from pinn_data.testing import small_scan
from pinn_torch.distributed.spawn import run_on_all_ranks
from pinn_torch.errors import RunError
from pinn_torch.solver import operations, solve
from pinn_torch.solver.array_operations import TorchOperations


def _as_on_a_gpu(double: bool) -> TorchOperations:
    """The path of a GPU (indices in place of slices), on the CPU."""
    ops = TorchOperations("cpu", double=double)
    ops.on_gpu = True
    return ops


@pytest.mark.parametrize("make", [lambda double: operations("cpu", double=double), _as_on_a_gpu])
@pytest.mark.parametrize(("double", "bound"), [(False, 1e-3), (True, 1e-9)])
def test_everything_computed_is_what_numpy_computes(make, double, bound):
    scan = scan_with_everything()
    ours = everything_computed(make(double), scan)
    assert ours["object"].dtype == (np.complex128 if double else np.complex64)
    off, part = worst_difference(ours, everything_computed(NumpyOperations(double=True), scan))
    assert off <= bound, part


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
@pytest.mark.parametrize(("double", "bound"), [(False, 1e-3), (True, 1e-9)])
def test_everything_computed_on_a_gpu_is_what_numpy_computes(double, bound):
    scan, ops = scan_with_everything(), operations(double=double)
    assert ops.on_gpu
    off, part = worst_difference(
        everything_computed(ops, scan), everything_computed(NumpyOperations(double=True), scan)
    )
    assert off <= bound, part


@pytest.mark.parametrize("on_gpu", [False, True])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_place_is_the_adjoint_of_extract(on_gpu, seed, count):
    ops, rng, size = TorchOperations(double=True), np.random.default_rng(seed), 6
    ops.on_gpu = on_gpu
    canvas, patches = (
        ops.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))
        for shape in ((11, 14), (count, size, size))
    )
    corners = rng.integers(0, [6, 9], size=(count, 2))
    placed = ops.place(ops.empty_sum((11, 14)), patches, corners)
    np.testing.assert_allclose(
        np.vdot(ops.extract(canvas, corners, size).numpy(), patches.numpy()),
        np.vdot(canvas.numpy(), placed.numpy()),
        rtol=1e-12,
    )


@pytest.mark.processes
@pytest.mark.parametrize(("processes", "frames"), [(2, 60), (3, 10)])
def test_processes_that_share_a_scan_have_the_sums_of_one(processes, frames):
    """Of 10 frames in 4 subsets, one of three processes has none of two subsets."""
    scan = scan_with_everything().select(np.arange(frames))
    shared = run_on_all_ranks(
        team_functions.solver_sums, {"scan": scan}, processes=processes, device=torch.device("cpu")
    )
    off, part = worst_difference(shared, everything_computed(NumpyOperations(double=True), scan))
    assert off <= 1e-9, part


@pytest.mark.processes
def test_processes_that_share_a_scan_solve_it_and_stop_together():
    """Were the others not told that somebody stopped the first, they would wait for it for ever."""
    scan, settings, told = small_scan(16, rows=5, columns=4), SolverSettings(frozenset({"probe"})), []

    def watch(report):
        told.append(report)
        return Cancel if len(told) >= 6 else None

    alone = solve_by_numpy(scan, settings, operations=NumpyOperations(double=True), watch=watch)
    told.clear()
    shared = solve(scan, settings, device="cpu", processes=2, double=True, watch=watch)
    assert shared.cancelled and alone.cancelled and shared.engine == "pytorch"
    np.testing.assert_allclose(shared.object, alone.object, atol=1e-5 * abs(alone.object).max())
    assert shared.residual == pytest.approx(alone.residual, rel=1e-6)


def test_a_device_that_is_not_there_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(RunError, match="this machine has none: choose 'cpu' or 'auto'"):
            operations("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(RunError, match=r"'mps'.*: choose 'cpu'"):
            TorchOperations("mps", double=True)


@pytest.mark.processes
def test_the_solver_imports_no_lightning():
    code = """
import sys
from pinn_torch import solver
print(sorted({"torch", "lightning", "numpy"} & set(sys.modules)))
solver.operations("cpu")
solver.solve
import pinn_torch.distributed.spawn
print(sorted({"torch", "lightning", "pytorch_lightning"} & set(sys.modules)))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == ["['numpy']", "['torch']"], done.stderr
