"""The network as data: the one place where a `ModelConfig` becomes layers.

A `Network` is a list of named layers in the order in which they run. Each backend has one builder that turns
a layer's *kind* into arithmetic, and the trained numbers have one canonical layout, `Network.parameters`, so
that what one backend trains another opens.

The convolutional network ``cnn`` is the specification's: encoder, two decoders, no skip connections (layer
table of PtychoPINN, Hoidn et al., Sci. Rep. 13, 22789 (2023)). ``unrolled`` follows the learned iterative
schemes of Adler and Oektem (Inverse Problems 33, 124007 (2017)): a few steps of the physics, then a learned
correction, repeated. ``refined`` is the specification's encoder, decoders and heads on the real-space maps of
``unet``, and the physics has the last word: every setting acts in it.

Attention and normalisation, where the configuration switches them on, come after both convolutions of a block
of the encoder or decoder, before its pooling or upsampling: ``eca``, then ``channel_attention`` and
``spatial_attention`` (CBAM), then a decoder's own ``spatial_attention``. Heads have none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import attrs

from pinn_config.configs import ModelConfig
from pinn_config.errors import ConfigError
from pinn_config.layers import Layer, Network

__all__ = ["ARCHITECTURES", "BACKGROUND", "SIZES", "Layer", "Network", "network"]

ARCHITECTURES = ("cnn", "unet", "refined", "unrolled")
"""cnn: the specification's network. unet: real-space front end and skip connections. refined: the
specification's network behind a real-space front end, then a few steps of the physics; the default, for after
few epochs it is far ahead (docs/ptychodus.md). unrolled: physics and corrections in turn."""

SIZES = (64, 128, 256)
"""Pattern sizes N that have a network."""

BACKGROUND = math.sqrt(0.5)
"""Transmission of an empty object in the network's units, so that an amplitude below 1 has room above the
mean."""

# The inputs with which the amplitude's activations give that.
_EMPTY = {
    "sigmoid": math.log(BACKGROUND / (1 - BACKGROUND)),
    "swish": 0.9740701679461269,  # no closed form
    "softplus": math.log(math.expm1(BACKGROUND)),
    "relu": BACKGROUND,
}

ESTIMATE_FLOOR = 0.05
"""Floor of a division by the probe's intensity, as a fraction of its maximum."""

MERGE_FLOOR = 1e-3
"""Weight of the background in a mean of patches, as a fraction of the probe's maximal intensity."""

_OUTER_FEATURES = 4
_CBAM_REDUCTION, _CBAM_KERNEL = 16, 7  # of Woo et al.
_NORM_EPSILON = 1e-5
_GATES = ("channel_attention", "spatial_attention", "eca")

# Settings of ModelConfig that only some architectures have a place for.
_ATTENTION = (
    "cbam_encoder",
    "cbam_bottleneck",
    "cbam_decoder",
    "eca_encoder",
    "eca_decoder",
    "spatial_decoder",
    "decoder_spatial_kernel",
    "batch_norm",
)
_HEADS = (
    "amp_activation",
    "object_big",
    "probe_big",
    "pad_object",
    "use_shared_decoder",
    "decoder_last_c_outer_fraction",
    "decoder_last_amp_channels",
)
_NO_PLACE: dict[str, tuple[tuple[str, ...], str]] = {
    "cnn": ((), ""),
    "unet": (_HEADS, "one decoder and no heads for amplitude and phase"),
    "refined": ((), ""),
    "unrolled": (_ATTENTION + _HEADS, "neither encoder nor decoder"),
}

# Of `unrolled`, measured in docs/training.md. Few steps before each correction: that leaves something to
# learn, and a step costs as much as its correction.
_STAGES = 3
_STEPS, _MOMENTUM = 2, 0.85
# Of `refined`, after its network.
_REFINED_STEPS = 6


def network(model: ModelConfig) -> Network:
    """The network of this configuration.

    Raises
    ------
    ConfigError
        An N without a network, an unknown architecture, a gridsize or n_filters_scale below 1, or a setting
        that this architecture has no place for.
    """
    if model.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"architecture={model.architecture!r} is unknown: choose one of {', '.join(ARCHITECTURES)}"
        )
    if model.N not in SIZES:
        raise ConfigError(
            f"N={model.N} is not supported: crop or pad the patterns to one of {', '.join(map(str, SIZES))}"
        )
    if model.gridsize < 1 or model.n_filters_scale < 1:
        raise ConfigError(
            f"gridsize={model.gridsize} and n_filters_scale={model.n_filters_scale} were given, "
            "but both must be at least 1"
        )
    _refuse_what_has_no_place(model)
    build = {"cnn": _cnn, "unet": _unet, "refined": _refined, "unrolled": _unrolled}[model.architecture]
    layers = _with_gains(build(model))
    return Network(model.architecture, model.N, model.gridsize**2, layers)


def _refuse_what_has_no_place(model: ModelConfig) -> None:
    names, has = _NO_PLACE[model.architecture]
    defaults = {item.name: item.default for item in fields(ModelConfig)}
    # As many amplitude maps as patterns is what an architecture without heads gives anyway.
    natural = defaults | {"decoder_last_amp_channels": model.gridsize**2}
    asked = [name for name in names if getattr(model, name) not in (defaults[name], natural[name])]
    if asked:
        others = [repr(other) for other, (lacking, _) in _NO_PLACE.items() if not set(asked) & set(lacking)]
        raise ConfigError(
            f"{', '.join(f'{name}={getattr(model, name)!r}' for name in asked)} was given, but the "
            f"architecture {model.architecture!r} has {has}: leave it out, or choose {' or '.join(others)}"
        )
    maps = model.decoder_last_amp_channels
    if not model.object_big and maps not in (None, 1):
        raise ConfigError(
            f"decoder_last_amp_channels={maps} was given, but without object_big a group has one map: "
            "leave it out, or set object_big"
        )


def _with_gains(layers: list[Layer]) -> tuple[Layer, ...]:
    """The layers, convolutions behind attention with a `gain`.

    Every attention starts by halving what goes through it, so a network would start almost blind: three
    blocks with CBAM leave a 64th. The convolution behind makes up for it (measured: with every attention the
    misfit of a short training falls by a fifth to a half).
    """
    gates: dict[str, int] = {}
    result = []
    for layer in layers:
        before = max((gates.get(name, 0) for name in layer.inputs), default=0)
        if layer.kind == "conv":
            if before and layer.attributes["start"] != "zero":
                layer = attrs.evolve(layer, attributes={**layer.attributes, "gain": 2.0**before})
        else:
            gates[layer.name] = before + (layer.kind in _GATES)
        result.append(layer)
    return tuple(result)


class _Chain:
    """Layers that follow one another; `last` is the name of the newest value."""

    def __init__(self, layers: list[Layer], last: str, width: int) -> None:
        self.layers, self.last, self.width = layers, last, width

    def add(self, name: str, kind: str, *inputs: str, **attributes: Any) -> str:
        self.layers.append(Layer(name, kind, inputs or (self.last,), attributes))
        self.last = name
        return name

    def conv(
        self,
        name: str,
        out: int,
        activation: str = "relu",
        start: str = "glorot",
        bias: bool = True,
        **attributes: Any,
    ) -> str:
        attributes |= {
            "in_channels": self.width,
            "out_channels": out,
            "activation": activation,
            "start": start,
            "bias": bias,
        }
        self.add(name, "conv", **attributes)
        self.width = out
        return name

    def descent(self, name: str, steps: int) -> str:
        return self.add(name, "steps", steps=steps, floor=ESTIMATE_FLOOR, momentum=_MOMENTUM)

    def block(self, name: str, filters: int, normalised: bool) -> str:
        for i in (1, 2):
            if normalised:  # which takes the mean away, and with it any bias
                self.conv(f"{name}/conv{i}", filters, "linear", bias=False)
                self.add(
                    f"{name}/norm{i}",
                    "batch_norm",
                    channels=filters,
                    activation="relu",
                    epsilon=_NORM_EPSILON,
                )
            else:
                self.conv(f"{name}/conv{i}", filters)
        return self.last

    def cbam(self, name: str) -> str:
        hidden = max(1, self.width // _CBAM_REDUCTION)
        self.add(f"{name}/cbam/channel", "channel_attention", channels=self.width, hidden=hidden)
        return self.add(f"{name}/cbam/spatial", "spatial_attention", size=_CBAM_KERNEL)

    def eca(self, name: str) -> str:
        # The odd number at or above (log2(channels) + 1) / 2, rounded down: Wang et al., equation 12.
        taps = int((math.log2(self.width) + 1) / 2)
        return self.add(f"{name}/eca", "eca", channels=self.width, taps=taps + (taps + 1) % 2)

    def encoder_block(self, model: ModelConfig, name: str, filters: int) -> str:
        self.block(name, filters, model.batch_norm)
        if model.eca_encoder:
            self.eca(name)
        if model.cbam_encoder:
            self.cbam(name)
        return self.last

    def decoder_block(self, model: ModelConfig, name: str, filters: int) -> str:
        self.block(name, filters, model.batch_norm)
        if model.eca_decoder:
            self.eca(name)
        if model.cbam_decoder:
            self.cbam(name)
        if model.spatial_decoder:
            self.add(f"{name}/spatial", "spatial_attention", size=model.decoder_spatial_kernel)
        return self.last


def _encoder_filters(model: ModelConfig) -> list[int]:
    return [
        model.n_filters_scale * f
        for f in {64: (32, 64, 128), 128: (16, 32, 64, 128), 256: (8, 16, 32, 64, 128)}[model.N]
    ]


def _cnn(model: ModelConfig) -> list[Layer]:
    return _encoder_decoder(model, [], "amplitude", model.gridsize**2, {}, {})


def _encoder_decoder(
    model: ModelConfig,
    layers: list[Layer],
    source: str,
    width: int,
    amplitude_start: Mapping[str, Any],
    phase_start: Mapping[str, Any],
) -> list[Layer]:
    """From so many maps to a canvas, behind what `layers` holds. The last convolutions start as said."""
    encoder = _Chain(layers, source, width)
    for i, width in enumerate(_encoder_filters(model)):
        encoder.encoder_block(model, f"encoder{i}", width)
        encoder.add(f"encoder{i}/pool", "max_pool")
    if model.cbam_bottleneck:
        encoder.cbam("bottom")
    maps = model.gridsize**2 if model.object_big else 1
    amplitudes = model.decoder_last_amp_channels or maps
    heads = (
        ("amplitude", amplitudes, {"activation": model.amp_activation, **amplitude_start}),
        ("phase", maps, {"activation": "pi_tanh", **phase_start}),
    )
    shared = _decoder(model, encoder, "decoder") if model.use_shared_decoder else None
    ends = [
        _head(model, shared or _decoder(model, encoder, part), part, maps, last) for part, maps, last in heads
    ]
    layers.append(Layer("object", "polar", tuple(ends)))
    layers.append(Layer("canvas", "merge", ("object",), {"floor": MERGE_FLOOR}))
    return layers


def _decoder(model: ModelConfig, encoder: _Chain, part: str) -> _Chain:
    """Back up to N/2, widths falling to 32 n_filters_scale."""
    decoder = _Chain(encoder.layers, encoder.last, encoder.width)
    for i, width in enumerate(reversed(_decoder_filters(model))):
        decoder.decoder_block(model, f"{part}{i}", width)
        decoder.add(f"{part}{i}/up", "upsample")
    return decoder


def _decoder_filters(model: ModelConfig) -> list[int]:
    return [
        model.n_filters_scale * f
        for f in {64: (32, 64), 128: (32, 64, 128), 256: (32, 64, 128, 256)}[model.N]
    ]


def _head(model: ModelConfig, decoder: _Chain, part: str, maps: int, last: Mapping[str, Any]) -> str:
    """Maps of N x N pixels from those of a decoder; `last` holds attributes of the last convolutions."""
    layers, features, width, border = decoder.layers, decoder.last, decoder.width, model.N // 4
    outer = model.n_filters_scale * max(1, 2048 // model.N)
    if not model.pad_object:
        whole = _Chain(layers, features, width)
        whole.block(f"{part}/full", outer, model.batch_norm)
        whole.add(f"{part}/full/up", "upsample")
        return whole.conv(f"{part}/full/out", maps, **last)
    if not model.probe_big:
        centre = _Chain(layers, features, width)
        centre.conv(f"{part}/centre", maps, **last)
        return centre.add(f"{part}/centre/pad", "pad", border=border)
    fraction = model.decoder_last_c_outer_fraction
    outside = _OUTER_FEATURES if fraction is None else max(1, int(fraction * width))
    if outside >= width:
        raise ConfigError(
            f"decoder_last_c_outer_fraction={fraction} leaves none of the decoder's {width} features for the "
            "centre of a patch: choose a smaller one"
        )
    centre = _Chain(layers, features, width)
    centre.add(f"{part}/centre/in", "channels", first=0, last=width - outside)
    centre.width = width - outside
    centre.conv(f"{part}/centre", maps, **last)
    centre.add(f"{part}/centre/pad", "pad", border=border)
    ring = _Chain(layers, features, width)
    ring.add(f"{part}/ring/in", "channels", first=width - outside, last=width)
    ring.width = outside
    ring.block(f"{part}/ring", outer, model.batch_norm)
    ring.add(f"{part}/ring/up", "upsample")
    # The ring has the centre's activation: an unbounded one there lets amplitude and phase escape.
    ring.conv(f"{part}/ring/out", maps, **last)
    ring.add(f"{part}/ring/border", "border", border=border)
    return ring.add(f"{part}/sum", "add", centre.last, ring.last)


def _front() -> list[Layer]:
    """Three maps of each pattern in real space."""
    return [
        Layer("estimate", "estimate", ("amplitude",), {"floor": ESTIMATE_FLOOR}),
        Layer("front", "estimate_maps", ("estimate",)),
    ]


def _unet(model: ModelConfig) -> list[Layer]:
    channels = model.gridsize**2
    layers = _front()
    chain = _Chain(layers, "front", 3 * channels)
    skips = []
    filters = _encoder_filters(model)
    for i, width in enumerate(filters):
        skips.append((chain.encoder_block(model, f"encoder{i}", width), width))
        chain.add(f"encoder{i}/pool", "max_pool")
    chain.block("bottom", filters[-1], model.batch_norm)
    if model.cbam_bottleneck:
        chain.cbam("bottom")
    for i, (skip, width) in reversed(list(enumerate(skips))):
        chain.add(f"decoder{i}/up", "upsample")
        chain.add(f"decoder{i}/skip", "concat", chain.last, skip)
        chain.width += width
        chain.decoder_block(model, f"decoder{i}", width)
    chain.conv("correction", 2 * channels, "linear", start="zero")
    layers.append(Layer("object", "cartesian", ("estimate", "correction")))
    layers.append(Layer("canvas", "merge", ("object",), {"floor": MERGE_FLOOR}))
    return layers


def _refined(model: ModelConfig) -> list[Layer]:
    # It starts as an empty object, and before any training the network is plain physics. From an object of
    # random numbers, or of none, a few steps may lead to the wrong twin.
    empty = {"start": "zero", "bias_start": _EMPTY[model.amp_activation]}
    layers = _encoder_decoder(model, _front(), "front", 3 * model.gridsize**2, empty, {"start": "zero"})
    _Chain(layers, "canvas", 0).descent("steps", _REFINED_STEPS)
    return layers


def _unrolled(model: ModelConfig) -> list[Layer]:
    filters = 16 * model.n_filters_scale
    layers = [Layer("canvas0", "first_canvas", ("amplitude",), {"floor": ESTIMATE_FLOOR})]
    state = "canvas0"
    for i in range(_STAGES):
        chain = _Chain(layers, state, 0)
        moved = chain.descent(f"stage{i}/steps", _STEPS)
        chain.add(f"stage{i}/features", "features", moved, "canvas0", floor=ESTIMATE_FLOOR)
        chain.width = 7
        chain.conv(f"stage{i}/conv1", filters)
        chain.conv(f"stage{i}/conv2", filters)
        # Starts at zero: before any training the network is the plain physics, which already converges.
        chain.conv(f"stage{i}/conv3", 2, "linear", start="zero")
        state = chain.add(f"stage{i}", "correct", moved, chain.last)
    return layers
