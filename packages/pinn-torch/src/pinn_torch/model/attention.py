"""Attention and normalisation of feature maps: the kinds of layers that only this backend has.

Each is the formula of `pinn_config.layers` on maps (group, channel, row, column), and says what of the maps
matters: every attention multiplies them by numbers between 0 and 1.
"""

from __future__ import annotations

import torch
from pinn_config.layers import Layer
from torch import Tensor, nn
from torch.nn import functional

from pinn_torch.model.activations import ACTIVATIONS
from pinn_torch.model.batch_statistics import SharedStatistics

__all__ = ["BatchNorm", "ChannelAttention", "EfficientChannelAttention", "SpatialAttention"]

# What the newest batch weighs in the mean and variance that are used after the training.
_NEWEST = 0.1


class BatchNorm(nn.Module):
    """Kind ``batch_norm``: in training the statistics are the batch's own, in evaluation those that were
    gathered, so that a group's result does not depend on its company."""

    mean: Tensor
    variance: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        a = layer.attributes
        self.scale = nn.Parameter(torch.ones(a["channels"]))
        self.offset = nn.Parameter(torch.zeros(a["channels"]))
        self.register_buffer("mean", torch.zeros(a["channels"]))
        self.register_buffer("variance", torch.ones(a["channels"]))
        self.activation, self.epsilon = ACTIVATIONS[a["activation"]], a["epsilon"]
        # In a training of several processes: the batch is all of theirs.
        self.shared_statistics: SharedStatistics | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.shared_statistics is not None:
            mean, variance, pixels = self.shared_statistics.of(x.float())
            with torch.no_grad():
                self.mean.lerp_(mean, _NEWEST)
                self.variance.lerp_(variance * (pixels / max(1.0, pixels - 1)), _NEWEST)
            x = (x - mean[:, None, None]) * torch.rsqrt(variance + self.epsilon)[:, None, None]
            return self.activation(x * self.scale[:, None, None] + self.offset[:, None, None])
        x = functional.batch_norm(
            x, self.mean, self.variance, self.scale, self.offset, self.training, _NEWEST, self.epsilon
        )
        return self.activation(x)


class ChannelAttention(nn.Module):
    """Kind ``channel_attention``, the first half of CBAM."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        shapes = layer.parameters()
        self.squeeze = nn.Parameter(torch.empty(shapes["squeeze"]))
        self.excite = nn.Parameter(torch.empty(shapes["excite"]))
        # What comes in was rectified. With weights of one sign no hidden unit starts dead; with Glorot's a
        # half of them would, and there are only two in a narrow block.
        with torch.no_grad():
            nn.init.xavier_uniform_(self.squeeze).abs_()
            nn.init.xavier_uniform_(self.excite)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.stack([x.mean((-2, -1)), x.amax((-2, -1))])
        hidden = functional.relu(functional.linear(pooled, self.squeeze))
        gate = torch.sigmoid(functional.linear(hidden, self.excite).sum(0))
        return x * gate[:, :, None, None]


class SpatialAttention(nn.Module):
    """Kind ``spatial_attention``, the second half of CBAM."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(layer.parameters()["kernel"]))
        nn.init.xavier_uniform_(self.kernel)

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(functional.conv2d(maps, self.kernel, padding="same"))


class EfficientChannelAttention(nn.Module):
    """Kind ``eca``: neighbouring channels decide on a channel, with one short kernel for all."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(layer.parameters()["kernel"]))
        with torch.no_grad():
            nn.init.xavier_uniform_(self.kernel[None, None])

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((-2, -1))[:, None]
        gate = torch.sigmoid(functional.conv1d(pooled, self.kernel[None, None], padding="same"))
        return x * gate[:, 0, :, None, None]
