"""Patches of a canvas and back: an adjoint pair, sample by sample, with the pixels of
`pinn_data.optics.patches`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.optics import patches as oracle
from pinn_torch.optics.patches import extract, patch_indices, place

SEEDS = st.integers(0, 2**32 - 1)
SIZE = 8


def _draw(seed, samples, patches, canvas):
    rng = np.random.default_rng(seed)
    corners = torch.from_numpy(rng.integers(0, canvas - SIZE + 1, size=(samples, patches, 2)))
    objects = rng.normal(size=(2, samples, canvas, canvas))
    stack = rng.normal(size=(2, samples, patches, SIZE, SIZE))
    return corners, torch.from_numpy(objects[0] + 1j * objects[1]), torch.from_numpy(stack[0] + 1j * stack[1])


# The canvas of a single pattern has its size, and takes a path of its own.
@pytest.mark.parametrize(("patches", "canvas"), [(1, SIZE), (1, 13), (3, SIZE), (4, 13)])
@given(seed=SEEDS)
def test_place_is_the_adjoint_of_extract(patches, canvas, seed):
    corners, objects, stack = _draw(seed, 2, patches, canvas)
    indices = patch_indices(corners, SIZE, canvas)
    left = torch.vdot(extract(objects, indices, SIZE).flatten(), stack.flatten())
    right = torch.vdot(objects.flatten(), place(stack, indices, canvas).flatten())
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("patches", "canvas"), [(1, SIZE), (4, 13)])
@given(seed=SEEDS)
def test_every_sample_equals_the_numpy_oracle(patches, canvas, seed):
    corners, objects, stack = _draw(seed, 3, patches, canvas)
    indices = patch_indices(corners, SIZE, canvas)
    cut, placed = extract(objects, indices, SIZE), place(stack, indices, canvas)
    for b in range(3):
        positions = corners[b].numpy() + SIZE / 2
        np.testing.assert_array_equal(cut[b].numpy(), oracle.extract(objects[b].numpy(), positions, SIZE))
        expected = oracle.place(stack[b].numpy(), positions, (canvas, canvas))
        np.testing.assert_allclose(placed[b].numpy(), expected, atol=1e-13)


@given(SEEDS)
def test_patches_that_do_not_overlap_come_back(seed):
    _, _, stack = _draw(seed, 2, 2, 20)
    corners = torch.tensor([[[0, 3], [9, 11]], [[12, 0], [1, 12]]])
    indices = patch_indices(corners, SIZE, 20)
    assert torch.equal(extract(place(stack, indices, 20), indices, SIZE), stack)
