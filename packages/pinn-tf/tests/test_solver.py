"""The solver on TensorFlow is NumPy's to rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.solver.operations import NumpyOperations
from pinn_data.solver.testing import everything_computed, scan_with_everything, worst_difference
from pinn_tf.errors import RunError
from pinn_tf.solver import operations


@pytest.mark.parametrize(("double", "bound"), [(False, 1e-3), (True, 1e-9)])
def test_everything_computed_is_what_numpy_computes(double, bound):
    scan = scan_with_everything()
    ours = everything_computed(operations("cpu", double=double), scan)
    assert ours["object"].dtype == (np.complex128 if double else np.complex64)
    off, part = worst_difference(ours, everything_computed(NumpyOperations(double=True), scan))
    assert off <= bound, part


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_place_is_the_adjoint_of_extract(seed, count):
    ops, rng, size = operations("cpu", double=True), np.random.default_rng(seed), 6
    canvas, patches = (
        ops.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))
        for shape in ((11, 14), (count, size, size))
    )
    corners = rng.integers(0, [6, 9], size=(count, 2))
    placed = ops.place(ops.empty_sum((11, 14)), patches, corners)
    np.testing.assert_allclose(
        np.vdot(ops.extract(canvas, corners, size), patches), np.vdot(canvas, placed), rtol=1e-12
    )


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(RunError, match="choose 'cpu' or 'auto'"):
        operations("a device of another kind")
