"""A function of batches is made anew where it must be, and not for another number of groups."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from pinn_tf.model.tracing import BatchFunction


@pytest.mark.parametrize("compiled", [False, True])
def test_a_graph_is_made_once_for_all_numbers_of_groups(compiled):
    made = []

    def scaled(factor, batch, rate):
        made.append(factor)
        return {name: factor * rate * value for name, value in batch.items()}

    function = BatchFunction(scaled, compiled=compiled)
    for groups in (3, 1, 3, 2):
        x = np.arange(2.0 * groups, dtype=np.float32).reshape(groups, 2)
        result = function((2,), {"x": tf.constant(x)}, tf.constant(0.5))
        np.testing.assert_array_equal(result["x"].numpy(), x)
    assert made == [2]
    function((4,), {"x": tf.constant(x)}, tf.constant(0.5))
    function((2,), {"x": tf.zeros((2, 3))}, tf.constant(0.5))
    function((2,), {"x": tf.zeros((2, 3), tf.float64)}, tf.constant(0.5, tf.float64))
    assert made == [2, 4, 2, 2]
