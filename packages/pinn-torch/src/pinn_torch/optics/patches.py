"""Patches of a canvas and back: an exact adjoint pair, strictly per sample.

``<extract(o), p> = <o, place(p)>`` for complex o and p, and ``extract(place(p)) = p`` where patches do not
overlap.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["extract", "patch_indices", "place"]


def patch_indices(corners: Tensor, size: int, canvas: int) -> Tensor:
    """Flat canvas indices of each patch's pixels.

    corners : (sample, patch, 2) int64, (row, column) of patch pixel (0, 0) on the canvas; every patch lies
        inside
    size, canvas : pixels along one side of a patch and of the canvas

    Returns (sample, patch * size * size) int64.
    """
    steps = torch.arange(size, device=corners.device)
    rows = (corners[..., 0, None] + steps) * canvas
    columns = corners[..., 1, None] + steps
    return (rows[..., :, None] + columns[..., None, :]).flatten(1)


def extract(canvas: Tensor, indices: Tensor, size: int) -> Tensor:
    """The patches (sample, patch, size, size) of each sample's canvas (sample, M, M)."""
    if indices.shape[1] == size * size and canvas.shape[-1] == size:
        return canvas[:, None]
    return torch.gather(canvas.flatten(1), 1, indices).view(len(canvas), -1, size, size)


def place(patches: Tensor, indices: Tensor, canvas: int) -> Tensor:
    """The sum of each sample's patches (sample, patch, N, N) on its canvas: (sample, M, M). The adjoint of
    `extract`."""
    if patches.shape[1] == 1 and patches.shape[-1] == canvas:
        return patches[:, 0]
    empty = patches.new_zeros((len(patches), canvas * canvas))
    return empty.scatter_add(1, indices, patches.flatten(1)).view(-1, canvas, canvas)
