"""The network as data: the one place where a `ModelConfig` becomes layers.

A `Network` is a list of named layers in the order in which they run. Each backend has one builder that turns
a layer's *kind* into arithmetic, and the trained numbers have one canonical layout, `Network.parameters`, so
that what one backend trains another opens.

Values that flow between layers
    ``maps``     real (group, channel, N, N), or the same at a lower resolution; channel first
    ``object``   complex (group, channel, N, N): one patch for each pattern of a group
    ``canvas``   complex (group, M, M): the object under a whole group, M >= N; what every network returns

Kinds of layers (attributes in brackets)
    ``conv``      3 x 3 convolution with bias, same size [in_channels, out_channels, activation, start]
    ``max_pool``  2 x 2; ``upsample`` nearest, twice the size; ``concat`` along channels
    ``channels``  a range of channels [first, last]; ``add`` of two values
    ``pad``       a border of zeros [border]; ``border`` keeps only that border [border]
    ``polar``     amplitude and phase maps to object; ``cartesian`` real and imaginary maps added to an object
    ``estimate``  object from amplitude alone: the measured amplitude with the phase of the probe's own far
                  field, transformed back and divided by the probe with a floor [floor]
    ``estimate_maps`` real and imaginary part of that and the probe's amplitude, as maps
    ``merge``     object to canvas: the mean of overlapping patches by the probe's intensity [floor]
    ``first_canvas`` the estimate of all patterns of a group together, as a canvas [floor]
    ``either``    the one of two canvases that was made, where one is a first estimate's, one a known canvas'
    ``start``     that canvas, or in its place one that is known already, turned to its global phase
    ``steps``     preconditioned gradient descent on the amplitudes with momentum [steps, floor, momentum]
    ``features``  7 maps for a correction: canvas, first canvas, remaining gradient, coverage [floor]
    ``correct``   canvas plus maps as real and imaginary part

A layer with the attribute *when* = ``first`` takes part only on a first estimate, with ``known`` only where
the canvas to start from was known already; a step or a correction that takes no part hands its canvas on as
it is. Corrections are learned on first estimates, and on an image that the patterns have agreed on they let
slow phases drift (docs/training.md), so there only the physics moves it.

The convolutional network ``cnn`` is the specification's: encoder, two decoders, no skip connections (layer
table of PtychoPINN, Hoidn et al., Sci. Rep. 13, 22789 (2023)). ``unrolled`` follows the learned iterative
schemes of Adler and Oektem (Inverse Problems 33, 124007 (2017)): a few steps of the physics, then a learned
correction, repeated. ``refined`` lets the physics have the last word on what ``unet`` says of a group, and
takes known canvases as ``unrolled`` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from pinn_config.configs import ModelConfig
from pinn_config.errors import ConfigError

__all__ = ["ARCHITECTURES", "SIZES", "Layer", "Network", "network"]

ARCHITECTURES = ("cnn", "unet", "refined", "unrolled")
"""cnn: the specification's network. unet: real-space front end and skip connections. refined: unet, then a
few steps of the physics. unrolled: physics and corrections in turn."""

SIZES = (64, 128, 256)
"""Pattern sizes N that have a network."""

ESTIMATE_FLOOR = 0.05
"""Floor of a division by the probe's intensity, as a fraction of its maximum."""

MERGE_FLOOR = 1e-3
"""Weight of the background in a mean of patches, as a fraction of the probe's maximal intensity."""

# Of `unrolled`, measured in docs/training.md. Few steps before each correction: that leaves something to
# learn, and a step costs as much as its correction.
_STAGES = 3
_STEPS, _MOMENTUM = 2, 0.85
# Of `refined`, after its network.
_REFINED_STEPS = 4
# On a known canvas: one long descent, for momentum that starts anew every few steps never gets going.
_REFINE_STEPS, _REFINE_MOMENTUM = 16, 0.9


@attrs.frozen
class Layer:
    """One operation: `kind` on the values named in `inputs`, under the name `name`."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = attrs.field(factory=dict)

    def takes_part(self, known: bool) -> bool:
        """Whether the layer acts where the canvas to start from is known already, or is not."""
        return self.attributes.get("when", "") in ("", "known" if known else "first")

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes of this layer's trained arrays: kernels are (out, in, row, column)."""
        a = self.attributes
        if self.kind == "conv":
            return {"kernel": (a["out_channels"], a["in_channels"], 3, 3), "bias": (a["out_channels"],)}
        if self.kind == "steps":
            return {"step": (a["steps"],), "momentum": (a["steps"] - 1,)}
        return {}


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

    def flops(self, canvas: int | None = None) -> int:
        """Floating-point operations of the convolutions for one group on a first estimate, forward; an
        addition and a product are two.

        canvas : pixels along one side of the group's canvas, default N
        """
        size = {"amplitude": self.N}
        total = 0
        for layer in self.layers:
            here = size.get(layer.inputs[0], self.N) if layer.inputs else self.N
            if layer.kind in ("first_canvas", "either", "start", "steps", "features", "correct", "merge"):
                here = canvas or self.N
            if layer.kind == "conv" and layer.takes_part(known=False):
                total += 2 * math.prod(layer.parameters()["kernel"]) * here * here
            here = here // 2 if layer.kind == "max_pool" else 2 * here if layer.kind == "upsample" else here
            size[layer.name] = here + 2 * layer.attributes["border"] if layer.kind == "pad" else here
        return total


def network(model: ModelConfig) -> Network:
    """The network of this configuration.

    Raises
    ------
    ConfigError
        An N without a network, an unknown architecture, or a gridsize or n_filters_scale below 1.
    """
    if model.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"architecture={model.architecture!r} is unknown: choose one of {', '.join(ARCHITECTURES)}"
        )
    if model.N not in SIZES:
        raise ConfigError(
            f"N={model.N} has no network: crop or pad the patterns to one of {', '.join(map(str, SIZES))}"
        )
    if model.gridsize < 1 or model.n_filters_scale < 1:
        raise ConfigError(
            f"gridsize={model.gridsize} and n_filters_scale={model.n_filters_scale} were given, "
            "but both must be at least 1"
        )
    layers = {"cnn": _cnn, "unet": _unet, "refined": _refined, "unrolled": _unrolled}[model.architecture](
        model
    )
    return Network(model.architecture, model.N, model.gridsize**2, tuple(layers))


class _Chain:
    """Layers that follow one another; `last` is the name of the newest value."""

    def __init__(self, layers: list[Layer], last: str, width: int) -> None:
        self.layers, self.last, self.width = layers, last, width

    def add(self, name: str, kind: str, *inputs: str, **attributes: Any) -> str:
        self.layers.append(Layer(name, kind, inputs or (self.last,), attributes))
        self.last = name
        return name

    def conv(
        self, name: str, out: int, activation: str = "relu", start: str = "glorot", **attributes: Any
    ) -> str:
        attributes |= {
            "in_channels": self.width,
            "out_channels": out,
            "activation": activation,
            "start": start,
        }
        self.add(name, "conv", **attributes)
        self.width = out
        return name

    def descent(self, name: str, steps: int, momentum: float, **attributes: Any) -> str:
        return self.add(name, "steps", steps=steps, floor=ESTIMATE_FLOOR, momentum=momentum, **attributes)

    def block(self, name: str, filters: int) -> str:
        self.conv(f"{name}/conv1", filters)
        return self.conv(f"{name}/conv2", filters)


def _encoder_filters(model: ModelConfig) -> list[int]:
    return [
        model.n_filters_scale * f
        for f in {64: (32, 64, 128), 128: (16, 32, 64, 128), 256: (8, 16, 32, 64, 128)}[model.N]
    ]


def _cnn(model: ModelConfig) -> list[Layer]:
    layers: list[Layer] = []
    channels = model.gridsize**2
    encoder = _Chain(layers, "amplitude", channels)
    filters = _encoder_filters(model)
    for i, width in enumerate(filters):
        encoder.block(f"encoder{i}", width)
        encoder.add(f"encoder{i}/pool", "max_pool")
    maps = channels if model.object_big else 1
    ends = []
    for part, activation in (("amplitude", model.amp_activation), ("phase", "pi_tanh")):
        decoder = _Chain(layers, encoder.last, encoder.width)
        # Back up to N/2, widths falling to 32 n_filters_scale.
        for i, width in enumerate(reversed(_decoder_filters(model))):
            decoder.block(f"{part}{i}", width)
            decoder.add(f"{part}{i}/up", "upsample")
        ends.append(_head(model, decoder, part, maps, activation))
    layers.append(Layer("object", "polar", tuple(ends)))
    layers.append(Layer("canvas", "merge", ("object",), {"floor": MERGE_FLOOR}))
    return layers


def _decoder_filters(model: ModelConfig) -> list[int]:
    return [
        model.n_filters_scale * f
        for f in {64: (32, 64), 128: (32, 64, 128), 256: (32, 64, 128, 256)}[model.N]
    ]


def _head(model: ModelConfig, decoder: _Chain, part: str, maps: int, activation: str) -> str:
    layers, features, width, border = decoder.layers, decoder.last, decoder.width, model.N // 4
    outer = model.n_filters_scale * max(1, 2048 // model.N)
    if not model.pad_object:
        whole = _Chain(layers, features, width)
        whole.block(f"{part}/full", outer)
        whole.add(f"{part}/full/up", "upsample")
        return whole.conv(f"{part}/full/out", maps, activation)
    if not model.probe_big:
        centre = _Chain(layers, features, width)
        centre.conv(f"{part}/centre", maps, activation)
        return centre.add(f"{part}/centre/pad", "pad", border=border)
    centre = _Chain(layers, features, width)
    centre.add(f"{part}/centre/in", "channels", first=0, last=width - 4)
    centre.width = width - 4
    centre.conv(f"{part}/centre", maps, activation)
    centre.add(f"{part}/centre/pad", "pad", border=border)
    ring = _Chain(layers, features, width)
    ring.add(f"{part}/ring/in", "channels", first=width - 4, last=width)
    ring.width = 4
    ring.block(f"{part}/ring", outer)
    ring.add(f"{part}/ring/up", "upsample")
    # The ring has the centre's activation: an unbounded one there lets amplitude and phase escape.
    ring.conv(f"{part}/ring/out", maps, activation)
    ring.add(f"{part}/ring/border", "border", border=border)
    return ring.add(f"{part}/sum", "add", centre.last, ring.last)


def _unet(model: ModelConfig) -> list[Layer]:
    channels = model.gridsize**2
    layers = [
        Layer("estimate", "estimate", ("amplitude",), {"floor": ESTIMATE_FLOOR}),
        Layer("front", "estimate_maps", ("estimate",)),
    ]
    chain = _Chain(layers, "front", 3 * channels)
    skips = []
    filters = _encoder_filters(model)
    for i, width in enumerate(filters):
        skips.append((chain.block(f"encoder{i}", width), width))
        chain.add(f"encoder{i}/pool", "max_pool")
    chain.block("bottom", filters[-1])
    for i, (skip, width) in reversed(list(enumerate(skips))):
        chain.add(f"decoder{i}/up", "upsample")
        chain.add(f"decoder{i}/skip", "concat", chain.last, skip)
        chain.width += width
        chain.block(f"decoder{i}", width)
    chain.conv("correction", 2 * channels, "linear", start="zero")
    layers.append(Layer("object", "cartesian", ("estimate", "correction")))
    layers.append(Layer("canvas", "merge", ("object",), {"floor": MERGE_FLOOR}))
    return layers


def _refined(model: ModelConfig) -> list[Layer]:
    # A known canvas needs no network; only its global phase is compared with that of a first estimate.
    layers = [attrs.evolve(x, attributes={**x.attributes, "when": "first"}) for x in _unet(model)]
    chain = _Chain(layers, "amplitude", 0)
    chain.add("canvas0", "first_canvas", floor=ESTIMATE_FLOOR, when="known")
    chain.add("either", "either", "canvas", "canvas0")
    chain.add("start", "start")
    chain.descent("steps", _REFINED_STEPS, _MOMENTUM, when="first")
    chain.descent("refine", _REFINE_STEPS, _REFINE_MOMENTUM, when="known")
    return layers


def _unrolled(model: ModelConfig) -> list[Layer]:
    filters = 16 * model.n_filters_scale
    layers = [
        Layer("canvas0", "first_canvas", ("amplitude",), {"floor": ESTIMATE_FLOOR}),
        Layer("start", "start", ("canvas0",)),
    ]
    state = "start"
    for i in range(_STAGES):
        chain = _Chain(layers, state, 0)
        moved = chain.descent(f"stage{i}/steps", _STEPS, _MOMENTUM, when="first")
        chain.add(f"stage{i}/features", "features", moved, "canvas0", floor=ESTIMATE_FLOOR, when="first")
        chain.width = 7
        chain.conv(f"stage{i}/conv1", filters, when="first")
        chain.conv(f"stage{i}/conv2", filters, when="first")
        # Starts at zero: before any training the network is the plain physics, which already converges.
        chain.conv(f"stage{i}/conv3", 2, "linear", start="zero", when="first")
        state = chain.add(f"stage{i}", "correct", moved, chain.last, when="first")
    _Chain(layers, state, 0).descent("refine", _REFINE_STEPS, _REFINE_MOMENTUM, when="known")
    return layers
