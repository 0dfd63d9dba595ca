"""The vocabulary of a network as data: layers, what they hold that is trained, and a list of them.

Values that flow between layers
    ``maps``     real (group, channel, N, N), or the same at a lower resolution; channel first
    ``object``   complex (group, channel, N, N): one patch for each pattern of a group
    ``canvas``   complex (group, M, M): the object under a whole group, M >= N; what every network returns

Kinds of layers (attributes in brackets)
    ``conv``      3 x 3 convolution, same size [in_channels, out_channels, activation, start of the kernel,
                  its gain: 1 where it is absent, bias, bias_start: 0 where it is absent]
    ``max_pool``  2 x 2; ``upsample`` nearest, twice the size; ``concat`` along channels
    ``channels``  a range of channels [first, last]; ``add`` of two values
    ``pad``       a border of zeros [border]; ``border`` keeps only that border [border]
    ``polar``     amplitude and phase maps to object, where one amplitude map may be that of all patterns;
                  ``cartesian`` real and imaginary maps added to an object
    ``estimate``  object from amplitude alone: the measured amplitude with the phase of the probe's own far
                  field, transformed back and divided by the probe with a floor [floor]
    ``estimate_maps`` real and imaginary part of that and the probe's amplitude, as maps
    ``merge``     object to canvas: the mean of overlapping patches by the probe's intensity [floor]
    ``first_canvas`` the estimate of all patterns of a group together, as a canvas [floor]
    ``steps``     preconditioned gradient descent on the amplitudes with momentum [steps, floor, momentum]
    ``features``  7 maps for a correction: canvas, first canvas, remaining gradient, coverage [floor]
    ``correct``   canvas plus maps as real and imaginary part

Kinds that the PyTorch backend alone has (`Network.torch_only`); x is what comes in
    ``batch_norm``  each channel with mean 0 and variance 1 over the batch in training, over all batches so
                  far afterwards, then scaled, moved and activated [channels, activation, epsilon]: Ioffe and
                  Szegedy, ICML 2015
    ``channel_attention``  x * sigmoid(m(mean over pixels) + m(maximum over pixels)) with
                  m(v) = excite @ relu(squeeze @ v) [channels, hidden]
    ``spatial_attention``  x * sigmoid(k x k convolution of x's mean and maximum over channels) [size]; these
                  two in turn are CBAM: Woo et al., ECCV 2018, arXiv:1807.06521, equations 2 and 3
    ``eca``       x * sigmoid(convolution of x's mean over pixels along the channels) [channels, taps]:
                  Wang et al., CVPR 2020, arXiv:1910.03151
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["TORCH_ONLY_KINDS", "Layer", "Network"]

TORCH_ONLY_KINDS = ("batch_norm", "channel_attention", "spatial_attention", "eca")
"""Kinds of layers that no other backend has to build."""

_CANVAS_KINDS = ("first_canvas", "steps", "features", "correct", "merge")


@attrs.frozen
class Layer:
    """One operation: `kind` on the values named in `inputs`, under the name `name`."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = attrs.field(factory=dict)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes of this layer's trained arrays: kernels are (out, in, row, column), matrices (out, in).

        The mean and the variance of ``batch_norm`` are not optimised, but they move in training too.
        """
        a = self.attributes
        match self.kind:
            case "conv":
                kernel: dict[str, tuple[int, ...]] = {"kernel": (a["out_channels"], a["in_channels"], 3, 3)}
                return kernel | {"bias": (a["out_channels"],)} if a["bias"] else kernel
            case "steps":
                return {"step": (a["steps"],), "momentum": (a["steps"] - 1,)}
            case "batch_norm":
                return dict.fromkeys(("scale", "offset", "mean", "variance"), (a["channels"],))
            case "channel_attention":
                return {
                    "squeeze": (a["hidden"], a["channels"]),
                    "excite": (a["channels"], a["hidden"]),
                }
            case "spatial_attention":
                return {"kernel": (1, 2, a["size"], a["size"])}
            case "eca":
                return {"kernel": (a["taps"],)}
        return {}

    def products(self, side: int) -> int:
        """Products of one group's convolutions and matrices on maps of side x side pixels."""
        shapes = self.parameters()
        match self.kind:
            case "conv" | "spatial_attention":
                return math.prod(shapes["kernel"]) * side * side
            case "channel_attention":  # of the mean and of the maximum
                return 2 * sum(map(math.prod, shapes.values()))
            case "eca":
                return math.prod(shapes["kernel"]) * self.attributes["channels"]
        return 0


@attrs.frozen
class Network:
    """Layers in running order; the last one gives the canvas.

    channels : patterns in a group, gridsize**2
    """

    architecture: str
    N: int
    channels: int
    layers: tuple[Layer, ...]

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Canonical name ``layer/parameter`` and shape of every trained array, in running order."""
        return {
            f"{layer.name}/{key}": shape for layer in self.layers for key, shape in layer.parameters().items()
        }

    @property
    def sees_probe(self) -> bool:
        """Whether the network is given the probe, and so can take the sub-pixel shift that is put on it."""
        return self.architecture != "cnn"

    @property
    def torch_only(self) -> tuple[Layer, ...]:
        """The layers that exist in PyTorch alone; another backend refuses a network that has any, by name."""
        return tuple(layer for layer in self.layers if layer.kind in TORCH_ONLY_KINDS)

    def flops(self, canvas: int | None = None) -> int:
        """Floating-point operations of the convolutions and matrices for one group, forward; an addition and
        a product are two.

        canvas : pixels along one side of the group's canvas, default N
        """
        size = {"amplitude": self.N}
        total = 0
        for layer in self.layers:
            here = size.get(layer.inputs[0], self.N) if layer.inputs else self.N
            if layer.kind in _CANVAS_KINDS:
                here = canvas or self.N
            total += 2 * layer.products(here)
            here = here // 2 if layer.kind == "max_pool" else 2 * here if layer.kind == "upsample" else here
            size[layer.name] = here + 2 * layer.attributes["border"] if layer.kind == "pad" else here
        return total
