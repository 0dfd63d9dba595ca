"""Losses between predicted and measured patterns: means over all pixels, the same numbers as in every other
backend."""

from __future__ import annotations

import torch
from pinn_data.forward_model import RATE_FLOOR
from torch import Tensor

__all__ = ["amplitude_mae", "poisson_deviance", "poisson_nll"]


def poisson_nll(rate: Tensor, counts: Tensor) -> Tensor:
    """Mean of ``rate - counts * log(max(rate, RATE_FLOOR))``: the Poisson negative log-likelihood without
    ``log(counts!)``.

    The number of `pinn_data.forward_model.poisson_nll`, of the same shapes: photons in a pixel. It is worked
    out as half the deviance plus a constant of the data, which keeps float32 exact where counts are large.
    """
    return poisson_deviance(rate, counts) + (counts - torch.special.xlogy(counts, counts)).mean()


def poisson_deviance(rate: Tensor, counts: Tensor) -> Tensor:
    """Mean of ``rate - counts - counts * log(rate / counts)``, half the deviance: 0 for a perfect fit, about
    1/2 where noise is all that is left of large counts."""
    ratio = rate.clamp_min(RATE_FLOOR) / counts.clamp_min(torch.finfo(counts.dtype).tiny)
    return (rate - counts - torch.special.xlogy(counts, ratio)).mean()


def amplitude_mae(rate: Tensor, counts: Tensor) -> Tensor:
    """Mean absolute difference of the amplitudes, in sqrt(photons)."""
    return (torch.sqrt(rate.clamp_min(RATE_FLOOR)) - torch.sqrt(counts)).abs().mean()
