"""Attention, normalisation and shared decoders: against the NumPy oracle, alone and in whole networks."""

from __future__ import annotations

import io

import cnn_oracle
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pinn_archive.reader import read_archive
from pinn_config.architecture import network
from pinn_config.configs import ModelConfig
from pinn_config.layers import Layer
from pinn_torch.archive.model_archive import load_model
from pinn_torch.model import network as network_module
from pinn_torch.model.activations import ACTIVATIONS
from pinn_torch.model.attention import (
    BatchNorm,
    ChannelAttention,
    EfficientChannelAttention,
    SpatialAttention,
)
from pinn_torch.model.network import PtychoNetwork, read_weights, write_weights
from torch_scans import (
    EVERY_OPTION,
    network_image,
    options_of,
    quiet,
    scene,
    small_network,
    small_scan,
    small_training,
)

_KINDS = {
    "batch_norm": BatchNorm,
    "channel_attention": ChannelAttention,
    "spatial_attention": SpatialAttention,
    "eca": EfficientChannelAttention,
}
_CHANNELS = 6
_LAYERS = [
    Layer("x", "batch_norm", ("in",), {"channels": _CHANNELS, "activation": "relu", "epsilon": 1e-5}),
    Layer("x", "channel_attention", ("in",), {"channels": _CHANNELS, "hidden": 2}),
    Layer("x", "spatial_attention", ("in",), {"size": 7}),
    Layer("x", "spatial_attention", ("in",), {"size": 3}),
    Layer("x", "spatial_attention", ("in",), {"size": 1}),
    Layer("x", "eca", ("in",), {"channels": _CHANNELS, "taps": 3}),
    Layer("x", "eca", ("in",), {"channels": _CHANNELS, "taps": 5}),
]
_WITH_BLOCKS = ("cnn", "unet", "refined")


def _random(layer, rng):
    """A module of the layer's kind and its random weights."""
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in layer.parameters().items()}
    if "variance" in weights:
        weights["variance"] = np.exp(weights["variance"])
    module = _KINDS[layer.kind](layer)
    module.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()}, strict=True)
    return module, weights


# Each kind alone


@pytest.mark.parametrize("layer", _LAYERS, ids=lambda x: f"{x.kind} {list(x.attributes.values())[-1]}")
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_every_kind_equals_the_numpy_oracle_group_by_group(layer, seed, rows, columns):
    rng = np.random.default_rng(seed)
    module, weights = _random(layer, rng)
    x = rng.normal(0.3, 1.0, (3, _CHANNELS, rows, columns)).astype(np.float32)
    with torch.inference_mode():
        ours = module.eval()(torch.from_numpy(x)).numpy()
    expected = np.stack([cnn_oracle.attend(layer, group.astype(np.float64), weights) for group in x])
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@given(seed=st.integers(0, 2**32 - 1))
def test_normalisation_learns_from_the_batch_and_remembers_a_tenth_of_it(seed):
    rng = np.random.default_rng(seed)
    layer = _LAYERS[0]
    module, weights = _random(layer, rng)
    x = rng.normal(2.0, 3.0, (4, _CHANNELS, 5, 7))
    with torch.no_grad():
        ours = module.train()(torch.from_numpy(x.astype(np.float32))).numpy()
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    shaped = [v[:, None, None] for v in (mean, variance, weights["scale"], weights["offset"])]
    expected = np.maximum((x - shaped[0]) / np.sqrt(shaped[1] + 1e-5) * shaped[2] + shaped[3], 0)
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
    count = x[:, 0].size
    for name, new in (("mean", mean), ("variance", variance * count / (count - 1))):
        remembered = 0.9 * weights[name] + 0.1 * new
        np.testing.assert_allclose(getattr(module, name).numpy(), remembered, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", _LAYERS[1:], ids=lambda x: x.kind)
def test_attention_only_dims(layer):
    module, _ = _random(layer, np.random.default_rng(0))
    x = torch.randn((2, _CHANNELS, 8, 8), generator=torch.Generator().manual_seed(0))
    gate = module(x) / x
    assert (gate > 0).all() and (gate < 1 + 1e-6).all() and gate.std() > 0.01


def test_no_hidden_unit_of_channel_attention_starts_dead():
    """What comes in was rectified, so the sign of a weight decides."""
    for seed in range(20):
        torch.manual_seed(seed)
        module = ChannelAttention(Layer("x", "channel_attention", (), {"channels": 16, "hidden": 1}))
        module(torch.rand(2, 16, 4, 4)).sum().backward()
        assert (module.squeeze.grad.abs().amax(1) > 0).all()


@pytest.mark.parametrize("architecture", ["cnn", "unet"])
def test_attention_leaves_the_features_of_a_new_network_as_strong_as_they_were(architecture):
    """Its gates start near one half, and three blocks of CBAM would leave a 64th."""
    s = scene(0, groups=2, patterns=1, modes=1, size=64, canvas=64)
    strengths = []
    for options in ({}, {"cbam_encoder": True, "cbam_decoder": True, "eca_encoder": True}):
        torch.manual_seed(0)
        built = PtychoNetwork(network(ModelConfig(architecture=architecture, n_filters_scale=1, **options)))
        last = built.trained["phase/centre" if architecture == "cnn" else "correction"]
        found = []
        last.register_forward_pre_hook(lambda module, x, found=found: found.append(x[0].std().item()))
        built(s.amplitude, s.optics)
        strengths.append(found[0] * (last.kernel.abs().max().item() if architecture == "cnn" else 1))
    assert 0.2 < strengths[1] / strengths[0] < 5


def test_swish_is_the_silu_of_the_public_implementation():
    x = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(ACTIVATIONS["swish"](x), torch.nn.SiLU()(x), rtol=0, atol=0)


# Whole networks

_CHOICES = [{name: EVERY_OPTION[name]} for name in EVERY_OPTION if name != "decoder_spatial_kernel"]
_CHOICES += [{"spatial_decoder": True, "decoder_spatial_kernel": 3}, EVERY_OPTION]


def _name(options):
    return "all" if len(options) > 2 else "+".join(options)


def _by_the_oracle(built, s):
    intensity = (s.probes.abs().numpy()[0] ** 2).sum(1)
    return cnn_oracle.run(
        built.description,
        write_weights(built),
        s.amplitude[0].numpy(),
        intensity / intensity.max(),
        s.corners[0].numpy(),
        s.canvas.shape[-1],
        s.optics.background,
    )


@pytest.mark.parametrize("options", _CHOICES, ids=_name)
def test_the_cnn_with_an_option_equals_the_numpy_oracle(options):
    built = small_network("cnn", 2, **options)
    s = scene(0, groups=1, patterns=4, modes=1, size=64, canvas=76)
    with torch.inference_mode():
        ours = built(s.amplitude, s.optics)[0].numpy()
    expected = _by_the_oracle(built, s)
    assert np.ptp(np.abs(expected)) > 0.05
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("switches", [{"pad_object": False}, {"probe_big": False}])
def test_the_other_heads_of_the_cnn_with_every_option_equal_the_numpy_oracle(switches):
    built = small_network("cnn", 1, **EVERY_OPTION, **switches)
    s = scene(0, groups=1, patterns=1, modes=1, size=64, canvas=64)
    with torch.inference_mode():
        ours = built(s.amplitude, s.optics)[0].numpy()
    expected = _by_the_oracle(built, s)
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("architecture", _WITH_BLOCKS)
@pytest.mark.parametrize("options", [{}, None])
def test_what_a_convolution_does_for_its_neighbours_changes_nothing(monkeypatch, architecture, options):
    """Poolings and upsamplings are computed inside a convolution only where nothing lies between."""
    options = options_of(architecture) if options is None else options
    s = scene(0, groups=2, patterns=4, modes=1, size=64, canvas=76)
    with torch.inference_mode():
        short = small_network(architecture, 2, **options)(s.amplitude, s.optics)
        monkeypatch.setattr(network_module, "_inside_convolutions", lambda description: frozenset())
        plain = small_network(architecture, 2, **options)(s.amplitude, s.optics)
    torch.testing.assert_close(short, plain, rtol=0, atol=2e-5)


def _common(source, target):
    """Give `target` the weights of `source` that it has too."""
    weights = write_weights(target)
    known = write_weights(source)
    read_weights(
        target, weights | {n: w for n, w in known.items() if n in weights and w.shape == weights[n].shape}
    )
    return target


@pytest.mark.parametrize(
    ("architecture", "name"),
    [(a, name) for a in _WITH_BLOCKS for name in options_of(a) if name != "decoder_spatial_kernel"],
)
def test_every_option_changes_what_the_network_says(architecture, name):
    plain = small_network(architecture, 2)
    with_option = _common(plain, small_network(architecture, 2, **{name: EVERY_OPTION[name]}))
    s = scene(0, groups=2, patterns=4, modes=1, size=64, canvas=76)
    with torch.inference_mode():
        one, other = plain(s.amplitude, s.optics), with_option(s.amplitude, s.optics)
    assert (one - other).abs().max() > 1e-3 * one.abs().max()


def test_the_size_of_the_spatial_kernel_changes_what_the_network_says():
    s = scene(0, groups=1, patterns=1, modes=1, size=64, canvas=64)
    built = [small_network("cnn", spatial_decoder=True, decoder_spatial_kernel=k) for k in (3, 7)]
    _common(*built)
    with torch.inference_mode():
        one, other = (b(s.amplitude, s.optics) for b in built)
    assert (one - other).abs().max() > 1e-3 * one.abs().max()


def test_one_amplitude_map_is_shared_by_all_patterns_of_a_group():
    """Patches that do not overlap have the same amplitude and phases of their own."""
    built = small_network("cnn", 2, decoder_last_amp_channels=1)
    amplitude = torch.rand((1, 4, 64, 64), generator=torch.Generator().manual_seed(0))
    probes = torch.ones((1, 4, 1, 64, 64), dtype=torch.complex64)
    corners = torch.tensor([[[0, 0], [0, 64], [64, 0], [64, 64]]])
    optics = network_module.GroupOptics(amplitude, probes, corners, 128, 0.7)
    with torch.inference_mode():
        patches = optics.patches(built(amplitude, optics))[0]
    patches = patches * 1.001 - 0.7e-3  # what the mean added of the background
    for other in patches[1:]:
        torch.testing.assert_close(other.abs(), patches[0].abs(), rtol=1e-4, atol=1e-5)
        assert (other - patches[0]).abs().max() > 0.05


@pytest.mark.parametrize("architecture", _WITH_BLOCKS)
def test_weights_of_every_option_that_are_read_are_written_again(architecture):
    options = options_of(architecture)
    built, other = (small_network(architecture, 2, seed=seed, **options) for seed in (0, 1))
    weights = write_weights(built)
    assert {name: w.shape for name, w in weights.items()} == built.description.parameters()
    assert list(weights) == list(built.description.parameters())
    read_weights(other, weights)
    back = write_weights(other)
    assert all(np.array_equal(back[name], weights[name]) for name in weights)
    s = scene(0, groups=2, patterns=4, modes=1, size=64, canvas=76)
    assert torch.equal(other(s.amplitude, s.optics), built(s.amplitude, s.optics))


@pytest.mark.parametrize("architecture", _WITH_BLOCKS)
def test_groups_together_equal_groups_one_by_one_with_every_option(architecture):
    built = small_network(architecture, 2, **options_of(architecture))
    s = scene(0, groups=3, patterns=4, modes=1, size=64, canvas=76)
    with torch.inference_mode():
        together = built(s.amplitude, s.optics)
        alone = torch.cat([built(s.amplitude[[g]], s.of([g])) for g in range(3)])
    assert (together[0] - together[1]).abs().max() > 0.01
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-5)


@pytest.mark.parametrize("architecture", _WITH_BLOCKS)
@pytest.mark.parametrize("N", [64, 128, 256])
def test_every_option_learns_in_one_step(architecture, N):
    built = small_network(architecture, N=N, **options_of(architecture)).train()
    s = scene(0, groups=2, patterns=1, modes=1, size=N, canvas=N)
    before = write_weights(built)
    learning = [p for p in built.parameters() if p.requires_grad]
    ((s.optics.intensity(built(s.amplitude, s.optics)) - s.amplitude**2) ** 2).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in learning)
    torch.optim.Adam(learning, 1e-3).step()
    after = write_weights(built)
    unmoved = {name for name in before if np.array_equal(before[name], after[name])}
    assert {name.split("/")[0] for name in unmoved} <= {"refine"}


@pytest.mark.parametrize("architecture", _WITH_BLOCKS)
def test_bf16_changes_the_result_by_percents_at_most_with_every_option(architecture):
    built = small_network(architecture, **options_of(architecture))
    s = scene(0, groups=2, patterns=1, modes=1, size=64, canvas=64)
    with torch.inference_mode():
        full = built(s.amplitude, s.optics)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = built(s.amplitude, s.optics)
    assert short.dtype == torch.complex64
    assert 0 < (short - full).abs().max() < 0.1 * full.abs().max()


def test_the_network_tells_which_of_its_layers_no_other_backend_has():
    built = PtychoNetwork(network(ModelConfig(cbam_encoder=True, n_filters_scale=1)))
    told = [(layer.name, layer.kind) for layer in built.description.torch_only]
    assert told[:2] == [
        ("encoder0/cbam/channel", "channel_attention"),
        ("encoder0/cbam/spatial", "spatial_attention"),
    ]
    assert len(told) == 6


# Trainings


@pytest.mark.parametrize("architecture", _WITH_BLOCKS)
@pytest.mark.parametrize("accumulated", [1, 2])
def test_statistics_move_in_training_and_go_through_the_archive(tmp_path, architecture, accumulated):
    result = small_training(
        tmp_path,
        small_scan(),
        architecture=architecture,
        gridsize=2,
        model=options_of(architecture),
        batch_size=3,
        execution={"accum_steps": accumulated},
    )
    opened = load_model(result.archive).module
    weights = write_weights(opened.network)
    for name, w in weights.items():
        if name.endswith(("/mean", "/variance")):
            assert np.ptp(w) > 0 and np.isfinite(w).all(), name
    stored = read_archive(result.archive).models
    for payload in stored.values():
        assert all(np.array_equal(payload.weights[name], weights[name]) for name in weights)
    checkpoint = torch.load(io.BytesIO(stored["diffraction_to_obj"].native), weights_only=True)
    state = opened.state_dict()
    assert state.keys() == checkpoint["state_dict"].keys()
    assert all(torch.equal(state[name], checkpoint["state_dict"][name]) for name in state)


def test_a_reconstruction_does_not_depend_on_the_company_of_a_group(tmp_path):
    """The gathered statistics are used, not those of a batch."""
    scan = small_scan()
    archive = small_training(tmp_path, scan, model={"batch_norm": True}, nepochs=3).archive
    first, other = (
        network_image(archive, scan, execution=quiet(inference_batch_size=size)).object for size in (1, 12)
    )
    np.testing.assert_allclose(first, other, atol=2e-3 * np.abs(other).max())


def test_a_validation_uses_the_gathered_statistics_and_leaves_them_alone(tmp_path):
    settings = {"model": {"batch_norm": True}, "nepochs": 2}
    alone = small_training(tmp_path / "alone", small_scan(), **settings)
    both = small_training(tmp_path / "both", small_scan(), validation=small_scan(rows=3), **settings)
    one, other = (write_weights(load_model(r.archive).module.network) for r in (alone, both))
    assert all(np.array_equal(one[name], other[name]) for name in one)
