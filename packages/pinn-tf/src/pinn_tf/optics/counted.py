"""How much the pixels of a group's canvas count in the image."""

from __future__ import annotations

import tensorflow as tf
from pinn_data.stitching.counting import Counting

from pinn_tf.optics.patches import place
from pinn_tf.optics.physics import GroupOptics

__all__ = ["counted"]


def counted(counting: Counting, optics: GroupOptics) -> tf.Tensor:
    """(group, M, M): the sum of the weights of a group's patches on its canvas."""
    if counting.is_plain:
        return optics.coverage
    light = optics.relative_intensity
    each = tf.ones_like(light) if counting.weighting == "uniform" else light
    return place(each * counting.mask, optics.indices, optics.canvas)
