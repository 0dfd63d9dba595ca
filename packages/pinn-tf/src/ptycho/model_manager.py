"""Saving and opening models under their historical names. See `pinn_tf.historical.saved_models`."""

from pinn_tf.historical.saved_models import ModelManager, save

__all__ = ["ModelManager", "save"]
