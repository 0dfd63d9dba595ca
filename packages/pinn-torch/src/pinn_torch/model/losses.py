"""The loss functions (`pinn_data.learning.loss_functions`) on PyTorch."""

from __future__ import annotations

import torch
from pinn_data.learning.loss_functions import LossFunctions
from torch import Tensor

__all__ = ["LOSSES"]


class _Operations:
    real = staticmethod(torch.real)
    imag = staticmethod(torch.imag)
    conj = staticmethod(torch.conj)
    unit = staticmethod(torch.sgn)
    weighted = staticmethod(torch.mul)
    abs = staticmethod(torch.abs)
    sqrt = staticmethod(torch.sqrt)
    xlogy = staticmethod(torch.special.xlogy)
    arctan2 = staticmethod(torch.atan2)
    smaller = staticmethod(torch.minimum)
    ones_like = staticmethod(torch.ones_like)
    mean = staticmethod(torch.mean)

    def at_least(self, x: Tensor, number: float) -> Tensor:
        return x.clamp_min(number)

    def where(self, condition: Tensor, one: Tensor, other: Tensor) -> Tensor:
        return torch.where(condition, one, other)

    def sum(self, values: Tensor, axes: tuple[int, ...] | None = None, *, keep: bool = False) -> Tensor:
        return values.sum() if axes is None else values.sum(axes, keepdim=keep)

    def flat(self, values: Tensor) -> Tensor:
        return values.flatten(1)

    def join(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts, 1)

    def tiny(self, x: Tensor) -> float:
        return torch.finfo(x.dtype).tiny


LOSSES = LossFunctions(_Operations())
