"""Patches of a canvas and back: an adjoint pair, sample by sample, with the pixels of
`pinn_data.optics.patches`."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.optics import patches as oracle
from pinn_tf.optics.patches import extract, patch_indices, place

SEEDS = st.integers(0, 2**32 - 1)
SIZE = 8


def _draw(seed, samples, patches, canvas):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, canvas - SIZE + 1, size=(samples, patches, 2))
    objects = rng.normal(size=(2, samples, canvas, canvas))
    stack = rng.normal(size=(2, samples, patches, SIZE, SIZE))
    return corners, tf.constant(objects[0] + 1j * objects[1]), tf.constant(stack[0] + 1j * stack[1])


# The canvas of a single pattern has its size, and takes a path of its own.
_SHAPES = pytest.mark.parametrize(("patches", "canvas"), [(1, SIZE), (1, 13), (3, SIZE), (4, 13)])


@_SHAPES
@given(seed=SEEDS)
def test_place_is_the_adjoint_of_extract(patches, canvas, seed):
    corners, objects, stack = _draw(seed, 2, patches, canvas)
    indices = patch_indices(corners, SIZE, canvas)
    left = np.vdot(extract(objects, indices), stack)
    np.testing.assert_allclose(left, np.vdot(objects, place(stack, indices, canvas)), rtol=1e-12, atol=1e-12)


@_SHAPES
@given(seed=SEEDS)
def test_the_derivative_of_each_is_the_other(patches, canvas, seed):
    corners, objects, stack = _draw(seed, 2, patches, canvas)
    indices = patch_indices(corners, SIZE, canvas)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([objects, stack])
        cut, placed = extract(objects, indices), place(stack, indices, canvas)
    by_object = tape.gradient(cut, objects, output_gradients=stack)
    by_patches = tape.gradient(placed, stack, output_gradients=objects)
    np.testing.assert_allclose(by_object, placed, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(by_patches, cut, rtol=1e-12, atol=1e-12)


@_SHAPES
@given(seed=SEEDS)
def test_every_sample_equals_the_numpy_oracle(patches, canvas, seed):
    corners, objects, stack = _draw(seed, 3, patches, canvas)
    indices = patch_indices(corners, SIZE, canvas)
    cut, placed = extract(objects, indices), place(stack, indices, canvas)
    assert cut.shape == stack.shape and placed.shape == objects.shape
    for b in range(3):
        positions = corners[b] + SIZE / 2
        np.testing.assert_array_equal(cut[b], oracle.extract(objects[b].numpy(), positions, SIZE))
        expected = oracle.place(stack[b].numpy(), positions, (canvas, canvas))
        np.testing.assert_allclose(placed[b], expected, atol=1e-13)


@given(SEEDS)
def test_patches_that_do_not_overlap_come_back(seed):
    _, _, stack = _draw(seed, 2, 2, 20)
    corners = np.array([[[0, 3], [9, 11]], [[12, 0], [1, 12]]])
    indices = patch_indices(corners, SIZE, 20)
    np.testing.assert_array_equal(extract(place(stack, indices, 20), indices), stack)


def test_a_canvas_whose_size_only_the_graph_knows():
    """As in a model whose canvas follows from its inputs; batch and positions are not known either."""
    corners, objects, stack = _draw(0, 3, 2, 13)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2, 2], tf.int64),
            tf.TensorSpec([None, None, None], tf.complex128),
            tf.TensorSpec([None, 2, SIZE, SIZE], tf.complex128),
        ]
    )
    def both(corners, objects, stack):
        side = tf.reduce_max(corners, [0, 1, 2]) * 0 + 13
        indices = patch_indices(corners, SIZE, tf.cast(side, tf.int32))
        return extract(objects, indices), place(stack, indices, tf.cast(side, tf.int32))

    indices = patch_indices(corners, SIZE, 13)
    for ours, known in zip(
        both(corners, objects, stack), (extract(objects, indices), place(stack, indices, 13)), strict=True
    ):
        np.testing.assert_array_equal(ours, known)


def test_they_compile():
    corners, objects, stack = _draw(0, 2, 2, 13)
    indices = patch_indices(corners, SIZE, 13)

    @tf.function(jit_compile=True)
    def both(objects, stack):
        return extract(objects, indices), place(stack, indices, 13)

    cut, placed = both(objects, stack)
    np.testing.assert_array_equal(cut, extract(objects, indices))
    np.testing.assert_allclose(placed, place(stack, indices, 13), atol=1e-13)
