"""The network of `pinn_config.architecture` as a torch module: one short function for each kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pinn_config.architecture import Layer, Network
from pinn_config.superseded import current_parameters
from torch import Tensor, nn
from torch.nn import functional

from pinn_torch.errors import ModelArchiveError
from pinn_torch.model.activations import ACTIVATIONS
from pinn_torch.model.attention import (
    BatchNorm,
    ChannelAttention,
    EfficientChannelAttention,
    SpatialAttention,
)
from pinn_torch.optics.patches import patch_indices, place
from pinn_torch.optics.physics import GroupOptics

__all__ = ["PtychoNetwork", "read_weights", "write_weights"]

Values = dict[str, Tensor]

# Convolutions with at most so many outputs are computed before the upsampling of their input: `_doubled`.
_FEW_CHANNELS = 4


def _doubled(kernel: Tensor) -> Tensor:
    """Kernels (4 * out, in, 3, 3) of the four pixels that ``conv(upsample(x), kernel)`` has for one of x.

    ``conv(upsample(x), kernel) = pixel_shuffle(conv(x, _doubled(kernel)), 2)``: of the three rows under an
    output pixel nearest upsampling made two equal, so their weights add up.
    """
    for axis in (-2, -1):
        first, middle, last = kernel.unbind(axis)
        none = torch.zeros_like(first)
        even = torch.stack([first, middle + last, none], axis)
        odd = torch.stack([none, first + middle, last], axis)
        kernel = torch.stack([even, odd], 1).flatten(0, 1)
    return kernel.contiguous(memory_format=torch.channels_last)


class _Convolution(nn.Module):
    """A convolution and its activation, with a neighbour that is cheaper inside (`_inside_convolutions`).

    doubles : the input is upsampled first, nearest, to twice its size
    halves : the output is max-pooled, 2 x 2
    """

    def __init__(self, layer: Layer, *, doubles: bool, halves: bool) -> None:
        super().__init__()
        a = layer.attributes
        shape = layer.parameters()["kernel"]
        self.kernel = nn.Parameter(torch.empty(shape).contiguous(memory_format=torch.channels_last))
        bias = torch.full((a["out_channels"],), float(a.get("bias_start", 0)))
        self.bias = nn.Parameter(bias) if a["bias"] else None
        if a["start"] == "zero":
            nn.init.zeros_(self.kernel)
        else:
            nn.init.xavier_uniform_(self.kernel, a.get("gain", 1.0))
        self.activation = a["activation"]
        self.doubles, self.halves = doubles, halves

    def forward(self, x: Tensor) -> Tensor:
        if self.doubles:
            bias = None if self.bias is None else self.bias.repeat_interleave(4)
            x = functional.pixel_shuffle(functional.conv2d(x, _doubled(self.kernel), bias, padding=1), 2)
        else:
            x = functional.conv2d(x, self.kernel, self.bias, padding=1)
        if self.halves:  # before the activation, which rises and so commutes, on a quarter of the pixels
            x = functional.max_pool2d(x, 2)
        if self.activation == "relu":
            return functional.relu_(x)  # in place: nothing above needs its output for the backward pass
        if self.bias is None:
            return x  # no head: the kind that follows has the bias and the activation
        # Heads are float32 even under autocast: a phase in bfloat16 has steps of one percent.
        return ACTIVATIONS[self.activation](x.float())


class _Steps(nn.Module):
    """Gradient descent with momentum; sizes of steps and momenta are learned."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        a = layer.attributes
        self.step = nn.Parameter(torch.ones(a["steps"]))
        self.momentum = nn.Parameter(torch.full((a["steps"] - 1,), float(a["momentum"])))
        self.floor = a["floor"]

    def forward(self, canvas: Tensor, optics: GroupOptics) -> Tensor:
        velocity = self.step[0] * optics.gradient_step(canvas, self.floor)
        canvas = canvas + velocity
        for step, momentum in zip(self.step[1:], self.momentum, strict=True):
            velocity = momentum * velocity + step * optics.gradient_step(canvas, self.floor)
            canvas = canvas + velocity
        return canvas


def _maps(*objects: Tensor) -> Tensor:
    """Real and imaginary parts of complex (group, M, M) or (group, channel, N, N) as channels."""
    parts = []
    for o in objects:
        o = o[:, None] if o.ndim == 3 else o
        parts += [o.real, o.imag]
    return torch.cat(parts, 1)


def _features(canvas: Tensor, first: Tensor, optics: GroupOptics, floor: float) -> Tensor:
    remaining = optics.gradient_step(canvas, floor)
    maps = _maps(canvas - optics.background, remaining, first - optics.background)
    return torch.cat([maps, _amplitude(optics.coverage)[:, None]], 1)


def _amplitude(intensity: Tensor) -> Tensor:
    """The square root as a map to look at: where it is dark its slope is infinite, so a probe that is trained
    does not learn through it."""
    return torch.sqrt(intensity.detach())


def _cartesian(start: Tensor, maps: Tensor) -> Tensor:
    real, imaginary = maps.float().chunk(2, dim=1)
    return start + torch.complex(real.contiguous(), imaginary.contiguous())


def _merge(patches: Tensor, optics: GroupOptics, floor: float) -> Tensor:
    wanted = optics.relative_intensity.shape[1]
    # One map for the whole group (object_big false): every pattern is cut from it, so it lies at the group's
    # middle.
    if patches.shape[1] != wanted:
        indices = patch_indices(optics.middle, patches.shape[-1], optics.canvas)
        return place(patches - optics.background, indices, optics.canvas) + optics.background
    return optics.merge(patches, floor)


def _polar(amplitude: Tensor, phase: Tensor) -> Tensor:
    return torch.polar(torch.relu(amplitude.float()).expand_as(phase), phase.float())


_TRAINED: dict[str, Callable[[Layer], nn.Module]] = {
    "steps": _Steps,
    "batch_norm": BatchNorm,
    "channel_attention": ChannelAttention,
    "spatial_attention": SpatialAttention,
    "eca": EfficientChannelAttention,
}


_KINDS: dict[str, Callable[[Layer, list[Tensor], GroupOptics], Tensor]] = {
    "max_pool": lambda layer, x, optics: functional.max_pool2d(x[0], 2),
    "upsample": lambda layer, x, optics: functional.interpolate(x[0], scale_factor=2, mode="nearest"),
    "concat": lambda layer, x, optics: torch.cat(x, 1),
    "channels": lambda layer, x, optics: x[0][:, layer.attributes["first"] : layer.attributes["last"]],
    "add": lambda layer, x, optics: x[0] + x[1],
    "pad": lambda layer, x, optics: functional.pad(x[0], (layer.attributes["border"],) * 4),
    "border": lambda layer, x, optics: x[0] * _ring(x[0], layer.attributes["border"]),
    "polar": lambda layer, x, optics: _polar(x[0], x[1]),
    "cartesian": lambda layer, x, optics: _cartesian(x[0], x[1]),
    "estimate": lambda layer, x, optics: optics.patch_estimate(layer.attributes["floor"]),
    "estimate_maps": lambda layer, x, optics: torch.cat(
        [_maps(x[0] - optics.background), _amplitude(optics.relative_intensity)], 1
    ).contiguous(memory_format=torch.channels_last),
    "merge": lambda layer, x, optics: _merge(x[0], optics, layer.attributes["floor"]),
    "first_canvas": lambda layer, x, optics: optics.canvas_estimate(layer.attributes["floor"]),
    "features": lambda layer, x, optics: _features(x[0], x[1], optics, layer.attributes["floor"]).contiguous(
        memory_format=torch.channels_last
    ),
    "correct": lambda layer, x, optics: _cartesian(x[0][:, None], x[1])[:, 0],
}


def _ring(like: Tensor, border: int) -> Tensor:
    ring = torch.ones(like.shape[-2:], dtype=like.dtype, device=like.device)
    ring[border:-border, border:-border] = 0
    return ring


class PtychoNetwork(nn.Module):
    """A `pinn_config.architecture.Network` that runs.

    ``network(amplitude, optics)`` gives the canvas (group, M, M) complex64 of each group from its measured
    amplitudes (group, pattern, N, N) float32, scaled to a mean energy of (N/2)**2, and its `GroupOptics`.
    """

    def __init__(self, description: Network) -> None:
        super().__init__()
        self.description = description
        self.trained = nn.ModuleDict()
        self._inside = _inside_convolutions(description)
        inside = [layer for layer in description.layers if layer.name in self._inside]
        before = {layer.name for layer in inside if layer.kind == "upsample"}
        after = {layer.inputs[0] for layer in inside if layer.kind == "max_pool"}
        for layer in description.layers:
            if layer.kind == "conv":
                self.trained[layer.name] = _Convolution(
                    layer, doubles=layer.inputs[0] in before, halves=layer.name in after
                )
            elif layer.kind in _TRAINED:
                self.trained[layer.name] = _TRAINED[layer.kind](layer)
        last_use = {name: layer.name for layer in description.layers for name in layer.inputs}
        self._dead_after: dict[str, list[str]] = {}
        for name, user in last_use.items():
            self._dead_after.setdefault(user, []).append(name)

    def forward(self, amplitude: Tensor, optics: GroupOptics) -> Tensor:
        # A copy, not `contiguous`: that keeps the strides of a single channel, and with them torch takes the
        # slower convolutions of channels-first arrays, to the end of the network.
        values: Values = {"amplitude": amplitude.clone(memory_format=torch.channels_last)}
        for layer in self.description.layers:
            inputs = [values[name] for name in layer.inputs]
            if layer.kind == "steps":
                result = self.trained[layer.name](inputs[0], optics)
            elif layer.name in self.trained:
                result = self.trained[layer.name](inputs[0])
            elif layer.name in self._inside:
                result = inputs[0]
            else:
                result = _KINDS[layer.kind](layer, inputs, optics)
            values[layer.name] = result
            for name in self._dead_after.get(layer.name, ()):
                values.pop(name, None)
        return values[self.description.layers[-1].name]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *options: Any) -> None:
        current = current_parameters(state_dict, lambda name: f"{prefix}trained.{_state_name(name)}")
        for name in state_dict.keys() - current.keys():
            del state_dict[name]  # from here torch takes what it gives to the modules below
        super()._load_from_state_dict(state_dict, prefix, *options)


def _inside_convolutions(description: Network) -> frozenset[str]:
    """Upsamplings and poolings that the convolution beside them does itself, with the same result.

    Upsamplings before convolutions with few outputs: the widest maps of a decoder, for its least work.
    Poolings of a convolution that nothing else uses.
    """
    by_name = {layer.name: layer for layer in description.layers}
    users: dict[str, list[Layer]] = {}
    for layer in description.layers:
        for name in layer.inputs:
            users.setdefault(name, []).append(layer)

    def is_head(layer: Layer) -> bool:
        return layer.kind == "conv" and layer.attributes["out_channels"] <= _FEW_CHANNELS

    def belongs(layer: Layer) -> bool:
        if layer.kind == "upsample":
            return all(map(is_head, users[layer.name]))
        source = by_name.get(layer.inputs[0]) if layer.kind == "max_pool" else None
        if source is None or source.kind != "conv" or users[source.name] != [layer]:
            return False
        return source.attributes["activation"] == "relu"

    return frozenset(layer.name for layer in description.layers if belongs(layer))


def _state_name(name: str) -> str:
    """torch's name of a canonical parameter: the last slash is torch's dot."""
    return ".".join(name.rsplit("/", 1))


def write_weights(network: PtychoNetwork) -> dict[str, NDArray[np.float32]]:
    """The trained arrays under their canonical names (`Network.parameters`), float32 copies on the CPU."""
    state = network.trained.state_dict()
    return {
        name: state[_state_name(name)].detach().to("cpu", torch.float32).contiguous().numpy().copy()
        for name in network.description.parameters()
    }


def read_weights(network: PtychoNetwork, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Give the network these arrays: ``write_weights(read_weights(w)) == w``. Those of former versions
    (`pinn_config.superseded`) are left out.

    Raises
    ------
    ModelArchiveError
        A name is missing or unknown, or a shape differs; the network is then unchanged.
    """
    weights = current_parameters(weights)
    wanted = network.description.parameters()
    missing, unknown = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    shapes = [
        f"{n} is {weights[n].shape}, not {s}"
        for n, s in wanted.items()
        if n in weights and tuple(weights[n].shape) != s
    ]
    if missing or unknown or shapes:
        raise ModelArchiveError(
            f"the weights do not fit the network {network.description.architecture} at "
            f"N={network.description.N}: "
            f"missing {missing[:3]}, unknown {unknown[:3]}, wrong shapes {shapes[:3]}: open the "
            "archive with the version that wrote it"
        )
    network.trained.load_state_dict(
        {_state_name(name): torch.from_numpy(np.array(weights[name], np.float32)) for name in wanted},
        strict=True,
    )
