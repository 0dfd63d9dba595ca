"""The network as data: all descriptions fit, and the specification's network has its layers and its work."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.architecture import ARCHITECTURES, SIZES, Network, network
from pinn_config.configs import ModelConfig
from pinn_config.errors import ConfigError

_ACTIVATIONS = ("sigmoid", "swish", "softplus", "relu")

_ATTENTION = (
    "cbam_encoder",
    "cbam_bottleneck",
    "cbam_decoder",
    "eca_encoder",
    "eca_decoder",
    "spatial_decoder",
    "batch_norm",
)


_HEAD_DEFAULTS = {"amp_activation": "sigmoid", "object_big": True, "probe_big": True, "pad_object": True}


def _with_options(
    model: ModelConfig, chosen: set[str], kernel: int, shared: bool, fraction: Any
) -> ModelConfig:
    """`model` with those of the options that its architecture has a place for."""
    if model.architecture in ("unet", "unrolled"):
        model = replace(model, **_HEAD_DEFAULTS)
    if model.architecture == "unrolled":
        return model
    model = replace(model, decoder_spatial_kernel=kernel, **dict.fromkeys(chosen, True))
    if model.architecture == "unet":
        return model
    return replace(
        model,
        use_shared_decoder=shared,
        decoder_last_c_outer_fraction=fraction,
        decoder_last_amp_channels=1 if shared else None,
    )


plain_models = st.builds(
    ModelConfig,
    N=st.sampled_from(SIZES),
    gridsize=st.integers(1, 3),
    n_filters_scale=st.integers(1, 3),
    amp_activation=st.sampled_from(_ACTIVATIONS),
    object_big=st.booleans(),
    probe_big=st.booleans(),
    pad_object=st.booleans(),
    architecture=st.sampled_from(ARCHITECTURES),
)
known_models = st.builds(
    _with_options,
    plain_models,
    st.sets(st.sampled_from(_ATTENTION)),
    st.sampled_from([1, 3, 7]),
    st.booleans(),
    st.none() | st.floats(1e-6, 0.99),
)

_CANVAS = "canvas"


def _maps(described: Network) -> dict[str, tuple[Any, Any]]:
    """(channels, side) of every value, from the kinds of layers alone; 'canvas' for both of a canvas."""
    n, c = described.N, described.channels
    values: dict[str, tuple[Any, Any]] = {"amplitude": (c, n)}
    for layer in described.layers:
        x = [values[name] for name in layer.inputs]
        a = layer.attributes
        match layer.kind:
            case "conv":
                assert x[0][0] == a["in_channels"], layer.name
                result = (a["out_channels"], x[0][1])
            case "max_pool":
                assert x[0][1] % 2 == 0
                result = (x[0][0], x[0][1] // 2)
            case "upsample":
                result = (x[0][0], 2 * x[0][1])
            case "concat":
                assert x[0][1] == x[1][1]
                result = (x[0][0] + x[1][0], x[0][1])
            case "channels":
                assert 0 <= a["first"] < a["last"] <= x[0][0]
                result = (a["last"] - a["first"], x[0][1])
            case "pad":
                result = (x[0][0], x[0][1] + 2 * a["border"])
            case "border":
                assert 0 < 2 * a["border"] < x[0][1]
                result = x[0]
            case "add":
                assert x[0] == x[1], layer.name
                result = x[0]
            case "polar":
                assert x[0][0] in (1, x[1][0]) and x[0][1] == x[1][1]
                result = x[1]
            case "batch_norm" | "channel_attention" | "eca":
                assert a["channels"] == x[0][0], layer.name
                result = x[0]
            case "spatial_attention":
                assert a["size"] % 2 == 1
                result = x[0]
            case "estimate":
                result = x[0]
            case "estimate_maps":
                result = (3 * x[0][0], x[0][1])
            case "cartesian":
                assert x[1] == (2 * x[0][0], x[0][1])
                result = x[0]
            case "merge":
                assert x[0][0] in (1, c) and x[0][1] == n
                result = (_CANVAS, _CANVAS)
            case "first_canvas":
                assert x == [(c, n)]
                result = (_CANVAS, _CANVAS)
            case "steps":
                assert x == [(_CANVAS, _CANVAS)]
                result = x[0]
            case "features":
                assert x == [(_CANVAS, _CANVAS)] * 2
                result = (7, _CANVAS)
            case "correct":
                assert x == [(_CANVAS, _CANVAS), (2, _CANVAS)]
                result = x[0]
            case kind:
                raise AssertionError(f"unknown kind of layer {kind!r}")
        assert layer.name not in values, layer.name
        values[layer.name] = result
    return values


@given(known_models)
def test_values_fit_from_layer_to_layer_and_the_last_is_the_canvas(model) -> None:
    described = network(model)
    values = _maps(described)
    assert values[described.layers[-1].name] == (_CANVAS, _CANVAS)
    used = {name for layer in described.layers for name in layer.inputs}
    assert set(values) - used == {described.layers[-1].name}
    assert (described.architecture, described.N) == (model.architecture, model.N)
    assert described.channels == model.gridsize**2


@given(known_models)
def test_a_description_is_plain_data_and_the_same_every_time(model) -> None:
    described = network(model)
    assert network(model) == described
    for layer in described.layers:
        assert json.loads(json.dumps(dict(layer.attributes))) == dict(layer.attributes)


@given(known_models)
def test_parameters_are_named_after_their_layers(model) -> None:
    described = network(model)
    parameters = described.parameters()
    assert len(parameters) == sum(len(layer.parameters()) for layer in described.layers)
    for name, shape in parameters.items():
        layer, kind = name.rsplit("/", 1)
        assert min(shape) >= 1
        (kind_of,) = [known.kind for known in described.layers if known.name == layer]
        vectors = ("bias", "step", "momentum", "scale", "offset", "mean", "variance")
        axes = {"squeeze": 2, "excite": 2, "kernel": 1 if kind_of == "eca" else 4} | dict.fromkeys(vectors, 1)
        assert len(shape) == axes[kind]
        assert "." not in name  # a name that every framework can hold


@given(known_models)
def test_flops_are_those_of_the_convolutions_and_matrices(model) -> None:
    described = network(model)
    values = _maps(described)
    for canvas in (None, model.N + 20):
        total = 0
        for layer in described.layers:
            a, side = layer.attributes, values[layer.name][1]
            side = (canvas or model.N) if side == _CANVAS else side
            match layer.kind:
                case "conv":
                    total += 2 * 9 * a["in_channels"] * a["out_channels"] * side**2
                case "spatial_attention":
                    total += 2 * 2 * a["size"] ** 2 * side**2
                case "channel_attention":
                    total += 2 * 2 * 2 * a["channels"] * a["hidden"]
                case "eca":
                    total += 2 * a["taps"] * a["channels"]
        assert described.flops(canvas) == total


def test_the_network_of_the_specification_does_the_work_of_the_public_one() -> None:
    """Counted on the public one: 1.605 G forward; forward and backward at gridsize 2, 4.965 G."""
    assert network(ModelConfig(architecture="cnn", N=64, n_filters_scale=2)).flops() == pytest.approx(
        1.605e9, rel=0.01
    )
    both = network(ModelConfig(architecture="cnn", N=64, n_filters_scale=2, gridsize=2)).flops()
    assert both == pytest.approx(4.965e9 / 3, rel=0.01)


@pytest.mark.parametrize(
    ("N", "encoder", "decoder"),
    [
        (64, [32, 64, 128], [64, 32]),
        (128, [16, 32, 64, 128], [128, 64, 32]),
        (256, [8, 16, 32, 64, 128], [256, 128, 64, 32]),
    ],
)
@pytest.mark.parametrize("k", [1, 2])
def test_the_layers_of_the_specification(N, encoder, decoder, k) -> None:
    described = network(ModelConfig(architecture="cnn", N=N, n_filters_scale=k))
    parameters = described.parameters()
    width = 1
    for i, filters in enumerate(encoder):
        assert parameters[f"encoder{i}/conv1/kernel"] == (k * filters, width, 3, 3)
        assert parameters[f"encoder{i}/conv2/kernel"] == (k * filters, k * filters, 3, 3)
        width = k * filters
    values = _maps(described)
    assert values[f"encoder{len(encoder) - 1}/pool"] == (128 * k, 8)
    for part in ("amplitude", "phase"):
        width = 128 * k
        for i, filters in enumerate(decoder):
            assert parameters[f"{part}{i}/conv1/kernel"] == (k * filters, width, 3, 3)
            assert parameters[f"{part}{i}/conv2/bias"] == (k * filters,)
            width = k * filters
        assert values[f"{part}{len(decoder) - 1}/up"] == (32 * k, N // 2)
        assert parameters[f"{part}/centre/kernel"] == (1, 32 * k - 4, 3, 3)
        assert parameters[f"{part}/ring/conv1/kernel"] == (k * (2048 // N), 4, 3, 3)
        assert values[f"{part}/sum"] == (1, N)


def _head_kinds(**switches: Any) -> list[str]:
    described = network(ModelConfig(n_filters_scale=1, **switches))
    return [layer.kind for layer in described.layers if layer.name.startswith("amplitude/")]


def test_the_switches_choose_the_head() -> None:
    both, centre, whole = _head_kinds(), _head_kinds(probe_big=False), _head_kinds(pad_object=False)
    assert "border" in both and "pad" in both
    assert centre == ["conv", "pad"]
    assert whole == ["conv", "conv", "upsample", "conv"]


@pytest.mark.parametrize("activation", _ACTIVATIONS)
@pytest.mark.parametrize("switches", [{}, {"probe_big": False}, {"pad_object": False}])
def test_every_end_of_a_head_has_its_activation(activation, switches) -> None:
    described = network(ModelConfig(n_filters_scale=1, amp_activation=activation, **switches))
    for part, expected in (("amplitude", activation), ("phase", "pi_tanh")):
        ends = [
            layer.attributes["activation"]
            for layer in described.layers
            if layer.kind == "conv"
            and layer.name.startswith(f"{part}/")
            and layer.attributes["out_channels"] == 1
        ]
        assert ends and set(ends) == {expected}


@pytest.mark.parametrize("object_big", [True, False])
def test_object_big_gives_one_map_a_pattern_else_one_a_group(object_big) -> None:
    described = network(ModelConfig(gridsize=3, n_filters_scale=1, object_big=object_big))
    assert _maps(described)["object"][0] == (9 if object_big else 1)


def test_twice_the_filters_are_about_four_times_the_work() -> None:
    for architecture in ARCHITECTURES:
        one, two = (
            network(ModelConfig(architecture=architecture, n_filters_scale=k)).flops() for k in (2, 4)
        )
        assert 3 < two / one < 4.1


def test_only_the_network_of_the_specification_does_not_see_the_probe() -> None:
    seen = {a: network(ModelConfig(architecture=a)).sees_probe for a in ARCHITECTURES}
    assert seen == {"cnn": False, "unet": True, "refined": True, "unrolled": True}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"architecture": "vit"},
            "architecture='vit' is unknown: choose one of cnn, unet, refined, unrolled",
        ),
        ({"N": 32}, "N=32 is not supported: crop or pad the patterns to one of 64, 128, 256"),
        ({"N": 0}, "N=0 is not supported"),
        ({"gridsize": 0}, "gridsize=0 and n_filters_scale=2 were given, but both must be at least 1"),
        ({"n_filters_scale": 0}, "gridsize=1 and n_filters_scale=0 were given"),
    ],
)
def test_what_has_no_network_is_refused_in_one_sentence(settings, says) -> None:
    with pytest.raises(ConfigError) as caught:
        network(ModelConfig(**settings))
    assert says in str(caught.value) and "\n" not in str(caught.value)


# Attention, normalisation and the ends of the decoder


@given(known_models)
def test_the_layers_of_pytorch_alone_are_told(model) -> None:
    described = network(model)
    told = described.torch_only
    assert bool(told) == any(getattr(model, name) for name in _ATTENTION)
    kinds = {"batch_norm", "channel_attention", "spatial_attention", "eca"}
    assert [layer for layer in described.layers if layer.kind in kinds] == list(told)


def _blocks(described: Network, kind: str) -> list[str]:
    return [layer.name for layer in described.layers if layer.kind == kind]


@pytest.mark.parametrize("architecture", ["cnn", "unet", "refined"])
@pytest.mark.parametrize(
    ("switch", "kind", "parts"),
    [
        ("cbam_encoder", "channel_attention", {"encoder"}),
        ("cbam_encoder", "spatial_attention", {"encoder"}),
        ("cbam_bottleneck", "channel_attention", {"bottom"}),
        ("cbam_decoder", "channel_attention", {"decoder"}),
        ("eca_encoder", "eca", {"encoder"}),
        ("eca_decoder", "eca", {"decoder"}),
        ("spatial_decoder", "spatial_attention", {"decoder"}),
    ],
)
def test_attention_is_in_every_block_of_its_part(architecture, switch, kind, parts) -> None:
    described = network(ModelConfig(architecture=architecture, N=128, **{switch: True}))
    blocks = {layer.name.rsplit("/", 1)[0] for layer in described.layers if layer.name.endswith("/conv2")}
    blocks = {name for name in blocks if "/" not in name} | {"bottom"}  # without those of the heads
    decoders = ("decoder", "amplitude", "phase")
    wanted = {
        name
        for name in blocks
        if name.rstrip("0123456789") in parts or (parts == {"decoder"} and name.startswith(decoders))
    }
    assert {name.split("/")[0] for name in _blocks(described, kind)} == wanted


def test_normalisation_follows_every_hidden_convolution_and_takes_its_bias() -> None:
    for architecture in ("cnn", "unet", "refined"):
        described = network(ModelConfig(architecture=architecture, batch_norm=True))
        normalised = {layer.inputs[0] for layer in described.layers if layer.kind == "batch_norm"}
        for layer in described.layers:
            if layer.kind == "conv":
                hidden = layer.name.endswith(("/conv1", "/conv2"))
                assert (layer.name in normalised) == hidden == (not layer.attributes["bias"])


def test_the_kernel_of_channel_attention_grows_with_the_channels() -> None:
    """Wang et al., equation 12, with gamma 2 and b 1."""
    described = network(ModelConfig(N=256, n_filters_scale=2, eca_encoder=True, eca_decoder=True))
    found = {x.attributes["channels"]: x.attributes["taps"] for x in described.layers if x.kind == "eca"}
    assert found == {16: 3, 32: 3, 64: 3, 128: 5, 256: 5, 512: 5}


@pytest.mark.parametrize("fraction", [None, 1e-3, 0.125, 0.5])
def test_a_fraction_of_the_last_features_makes_the_ring(fraction) -> None:
    described = network(ModelConfig(n_filters_scale=2, decoder_last_c_outer_fraction=fraction))
    outside = 4 if fraction is None else max(1, int(fraction * 64))
    parameters = described.parameters()
    for part in ("amplitude", "phase"):
        assert parameters[f"{part}/centre/kernel"] == (1, 64 - outside, 3, 3)
        assert parameters[f"{part}/ring/conv1/kernel"] == (64, outside, 3, 3)


@pytest.mark.parametrize(("given", "maps"), [(None, 4), (4, 4), (1, 1)])
def test_a_group_has_one_amplitude_map_or_one_a_pattern(given, maps) -> None:
    values = _maps(network(ModelConfig(gridsize=2, decoder_last_amp_channels=given)))
    assert (values["amplitude/sum"][0], values["phase/sum"][0], values["object"][0]) == (maps, 4, 4)


def test_a_shared_decoder_is_one_and_has_two_heads() -> None:
    one, two = (
        network(ModelConfig(architecture="cnn", use_shared_decoder=shared)) for shared in (True, False)
    )
    names = [{name.split("/")[0] for name in x.parameters() if "encoder" not in name} for x in (one, two)]
    assert names[0] == {"decoder0", "decoder1", "amplitude", "phase"}
    assert names[1] == {"amplitude0", "amplitude1", "phase0", "phase1", "amplitude", "phase"}
    heads = [
        {name for name in x.parameters() if name.startswith(("amplitude/", "phase/"))} for x in (one, two)
    ]
    assert heads[0] == heads[1] and len(heads[0]) == 16


_OF_HEADS = {
    "amp_activation": "relu",
    "object_big": False,
    "probe_big": False,
    "pad_object": False,
    "use_shared_decoder": True,
    "decoder_last_c_outer_fraction": 0.5,
    "decoder_last_amp_channels": 1,
}
_OPTIONS = dict.fromkeys(_ATTENTION, True) | {"decoder_spatial_kernel": 5} | _OF_HEADS


@pytest.mark.parametrize("name", _OPTIONS)
def test_an_architecture_without_a_place_for_an_option_refuses_it_by_name(name) -> None:
    option = {name: _OPTIONS[name]}
    heads = name in _OF_HEADS
    for architecture in ARCHITECTURES:
        model = ModelConfig(architecture=architecture, gridsize=2, **option)
        if architecture == "unrolled" or (heads and architecture == "unet"):
            with pytest.raises(ConfigError) as caught:
                network(model)
            text = str(caught.value)
            assert text.startswith(
                f"{name}={_OPTIONS[name]!r} was given, but the architecture '{architecture}'"
            )
            others = "'cnn' or 'refined'" if heads else "'cnn' or 'unet' or 'refined'"
            assert text.endswith(f"or choose {others}")
        else:
            network(model)


def test_a_ring_of_all_features_and_maps_for_no_pattern_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"fraction=1.0 leaves none of the decoder's 64 features"):
        network(ModelConfig(decoder_last_c_outer_fraction=1.0))
    with pytest.raises(ConfigError, match=r"decoder_last_amp_channels=4 .* without object_big"):
        network(ModelConfig(gridsize=2, decoder_last_amp_channels=4, object_big=False))
    for architecture in ARCHITECTURES:  # what an architecture does anyway may be said
        network(ModelConfig(architecture=architecture, decoder_last_amp_channels=1))


@given(known_models)
def test_a_convolution_makes_up_for_what_attention_before_it_starts_by_halving(model) -> None:
    described = network(model)
    by_name = {layer.name: layer for layer in described.layers}

    def gates(name: str) -> int:
        layer = by_name.get(name)
        if layer is None or layer.kind == "conv":
            return 0
        own = layer.kind in ("channel_attention", "spatial_attention", "eca")
        return own + max((gates(i) for i in layer.inputs), default=0)

    for layer in described.layers:
        if layer.kind == "conv" and layer.attributes["start"] != "zero":
            assert layer.attributes.get("gain", 1) == 2 ** gates(layer.inputs[0])
        else:
            assert "gain" not in layer.attributes
    with_none = not {"channel_attention", "spatial_attention", "eca"} & {x.kind for x in described.layers}
    assert with_none == (not any("gain" in layer.attributes for layer in described.layers))
