"""The probe of the parameters under its historical functions. See `pinn_tf.historical.probe`."""

from pinn_tf.historical.probe import get_default_probe, set_default_probe, set_probe_guess

__all__ = ["get_default_probe", "set_default_probe", "set_probe_guess"]
