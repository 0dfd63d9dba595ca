"""The solver's operations: extract and place are adjoint, float32 is float64, kept frames are read ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.solver.operations import NumpyOperations
from pinn_data.solver.problem import Problem
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.testing import everything_computed, scan_with_everything, worst_difference


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_place_is_the_adjoint_of_extract(seed, count):
    ops, rng, size = NumpyOperations(double=True), np.random.default_rng(seed), 6
    canvas, patches = (
        rng.normal(size=shape) + 1j * rng.normal(size=shape) for shape in ((11, 14), (count, size, size))
    )
    corners = rng.integers(0, [6, 9], size=(count, 2))
    placed = ops.place(ops.empty_sum(canvas.shape), patches, corners)
    np.testing.assert_allclose(
        np.vdot(ops.extract(canvas, corners, size), patches), np.vdot(canvas, placed), rtol=1e-12
    )


def test_float32_is_float64_within_its_rounding():
    scan = scan_with_everything()
    single, double = (everything_computed(NumpyOperations(double=d), scan) for d in (False, True))
    assert single["object"].dtype == np.complex64 and double["object"].dtype == np.complex128
    off, part = worst_difference(single, double)
    assert off <= 1e-3, part


@pytest.mark.parametrize("single_frames", [True, False])
def test_frames_that_are_not_kept_are_read_alike(single_frames):
    scan, seen = scan_with_everything(), []
    for kept_bytes in (0, 1 << 28):
        ops = NumpyOperations(double=True)
        ops.kept_bytes = kept_bytes
        if single_frames:
            ops.block_bytes = 1
        seen.append(everything_computed(ops, scan))
    off, part = worst_difference(*seen)
    assert off <= 1e-12, part


def test_what_is_not_kept_leaves_no_memory_behind():
    scan, ops = scan_with_everything(), NumpyOperations()
    ops.kept_bytes = 0
    frames = Problem(ops, scan, SolverSettings()).frames(scan.N)
    list(frames.blocks(np.arange(len(scan))))
    assert "_kept" not in vars(frames)
    ops.kept_bytes = 1 << 28
    frames = Problem(ops, scan, SolverSettings()).frames(scan.N)
    blocks = list(frames.blocks(np.arange(len(scan))))
    assert sum(len(numbers) for numbers, _, _ in blocks) == len(scan) and "_kept" in vars(frames)
