"""Saving and opening models under their historical names. See `pinn_tf.saved_models`."""

from pinn_tf.saved_models import ModelManager, save

__all__ = ["ModelManager", "save"]
