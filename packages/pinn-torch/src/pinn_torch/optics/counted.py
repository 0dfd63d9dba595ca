"""How much the pixels of a group's canvas count in the image."""

from __future__ import annotations

import torch
from pinn_data.stitching.counting import Counting
from torch import Tensor

from pinn_torch.optics.patches import place
from pinn_torch.optics.physics import GroupOptics

__all__ = ["counted"]


def counted(counting: Counting, optics: GroupOptics) -> Tensor:
    """(group, M, M): the sum of the weights of a group's patches on its canvas."""
    if counting.is_plain:
        return optics.coverage
    light = optics.relative_intensity
    each = torch.ones_like(light) if counting.weighting == "uniform" else light
    mask = torch.from_numpy(counting.mask).to(light.device)
    return place(each * mask, optics.indices, optics.canvas)
