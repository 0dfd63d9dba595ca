"""What ptychodus' PtychoPINN-Torch library uses: configurations, data, model, trainer, inference.

Its names and call signatures are dictated by that client (ptychodus 1.7.0); `ptycho_torch.api.base_api`
re-exports them. What it does is `pinn_torch`: a training of the network ``refined`` and a reconstruction.

Laws, tested by replaying the client: nothing is written into the working directory; every error has a builtin
class that the client can catch without a framework; every setting takes effect or is refused
(`pinn_torch.config_support`).
"""
