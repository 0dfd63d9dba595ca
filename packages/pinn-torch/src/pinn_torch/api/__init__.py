"""What ptychodus' PtychoPINN-Torch library uses: configurations, data, model, trainer, inference.

Its names and call signatures are dictated by that client (ptychodus 1.7.0); `ptycho_torch.api.base_api`
re-exports them. What it does is `pinn_torch`: a training of the network ``refined`` and a reconstruction.

Laws, tested by replaying the client: nothing is written into the working directory; every error has a builtin
class that the client can catch without a framework; every setting takes effect or is refused
(`pinn_torch.settings.config_support`).

Raises TorchMissingError (a RuntimeError) on import where PyTorch is missing, broken or too old.
"""

from pinn_torch.runtime.requirements import require_torch

require_torch()  # before any module below imports it and fails with an error that says nothing of a remedy
