"""The probe of the parameters under its historical functions. See `pinn_tf.probe`."""

from pinn_tf.probe import get_default_probe, set_default_probe, set_probe_guess

__all__ = ["get_default_probe", "set_default_probe", "set_probe_guess"]
