"""The flat dictionary of parameters under its historical name; loads no framework.

See `pinn_config.legacy`.
"""

from pinn_config.legacy import cfg, get, params, set, validate  # noqa: A004 (the historical name)

__all__ = ["cfg", "get", "params", "set", "validate"]
