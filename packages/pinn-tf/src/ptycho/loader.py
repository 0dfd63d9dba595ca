"""Containers of grouped data under their historical names. See `pinn_tf.container` and `pinn_tf.loader`."""

from pinn_tf.container import PtychoDataContainer
from pinn_tf.loader import PtychoDataset, load

__all__ = ["PtychoDataContainer", "PtychoDataset", "load"]
