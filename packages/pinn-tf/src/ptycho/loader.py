"""Containers of grouped data under their historical names. See `pinn_tf.historical.container` and
`pinn_tf.historical.loader`."""

from pinn_tf.historical.container import PtychoDataContainer
from pinn_tf.historical.loader import PtychoDataset, load

__all__ = ["PtychoDataContainer", "PtychoDataset", "load"]
