"""What follows the convolutions of a network, by the names in its description."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ACTIVATIONS"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    "swish": functional.silu,  # the public PyTorch implementation says silu
    "softplus": functional.softplus,
    "pi_tanh": lambda x: math.pi * torch.tanh(x),
}
