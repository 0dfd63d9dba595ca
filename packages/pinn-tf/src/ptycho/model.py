"""The parameters of the model in use under their historical name; loads no framework.

``params()['intensity_scale']`` is there after a training and after a model was opened. See
`pinn_config.legacy`.
"""

from pinn_config.legacy import params

__all__ = ["params"]
