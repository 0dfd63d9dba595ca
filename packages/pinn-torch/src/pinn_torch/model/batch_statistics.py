"""Mean and variance of a whole batch, of which every process of a team has a share."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor, nn

from pinn_torch.distributed.ranks import Team

__all__ = ["SharedStatistics", "share_statistics"]


@attrs.define
class SharedStatistics:
    """What batch normalisation asks for in training; learning passes through it to all processes.

    counts : whether this process' maps belong to the batch (`pinn_torch.distributed.batch_shares.Share`)
    """

    team: Team
    counts: bool = True

    def of(self, maps: Tensor) -> tuple[Tensor, Tensor, float]:
        """Mean and biased variance of each channel of maps (group, channel, row, column), and over how many
        pixels a channel.

        ``variance = mean((maps - mean)**2)``, both means over the groups of all processes.
        """
        share = float(self.counts)
        own = torch.tensor([share * maps.numel() / maps.shape[1]], dtype=torch.float64)
        pixels = float(self.team.sum(own))
        mean = self._sum(share * maps.sum((0, 2, 3))) / pixels
        variance = self._sum(share * ((maps - mean[:, None, None]) ** 2).sum((0, 2, 3))) / pixels
        return mean, variance, pixels

    def _sum(self, values: Tensor) -> Tensor:
        return _Sum.apply(values, self.team)


class _Sum(torch.autograd.Function):
    """The sum over the processes. Everyone's loss follows from it, so its gradient is their sum too."""

    @staticmethod
    def forward(context: Any, values: Tensor, team: Team) -> Tensor:
        context.team = team
        return team.sum(values.clone())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return context.team.sum(gradient.clone()), None


def share_statistics(module: nn.Module, statistics: SharedStatistics | None) -> None:
    """The batch normalisations of `module` take these, or with None those of this process' own maps."""
    layer: Any
    for layer in module.modules():
        if hasattr(layer, "shared_statistics"):
            layer.shared_statistics = statistics
