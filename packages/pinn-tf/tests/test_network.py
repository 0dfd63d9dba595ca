"""The network against its description, against the NumPy oracle, and its laws."""

from __future__ import annotations

import dataclasses

import attrs
import keras
import numpy as np
import pytest
import tensorflow as tf
from pinn_config.architecture import BACKGROUND, network
from pinn_config.configs import ModelConfig
from pinn_config.layers import TORCH_ONLY_KINDS
from pinn_tf.errors import ModelArchiveError, RunError
from pinn_tf.model.network import PtychoNetwork, read_weights, write_weights
from pinn_tf.optics.physics import GroupOptics
from tf_networks import ARCHITECTURES, canvases, expected, patterns_of, small_network

_CASES = [(a, g) for a in ARCHITECTURES for g in (1, 2)]


# Parameters


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_parameters_are_those_of_the_description(architecture, gridsize):
    model = ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1)
    built = PtychoNetwork(model)
    weights = write_weights(built)
    assert {name: w.shape for name, w in weights.items()} == network(model).parameters()
    assert list(weights) == list(network(model).parameters())
    assert {w.dtype for w in weights.values()} == {np.dtype(np.float32)}
    assert built.count_params() == sum(w.size for w in weights.values())
    assert len({v.path for v in built.variables}) == len(weights)  # every one has a name of its own


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_that_are_read_are_written_again(architecture):
    built = small_network(architecture)
    rng = np.random.default_rng(1)
    weights = {n: rng.normal(size=s).astype(np.float32) for n, s in built.description.parameters().items()}
    read_weights(built, weights)
    back = write_weights(built)
    assert all(np.array_equal(back[name], weights[name]) for name in weights)
    for w in back.values():
        w[...] = 7.0  # they are copies
    again = write_weights(built)
    assert all(np.array_equal(again[name], weights[name]) for name in weights)


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "other network"])
def test_weights_that_do_not_fit_are_refused_and_change_nothing(fault):
    built = small_network("cnn")
    before = write_weights(built)
    wrong = {name: w + 1 for name, w in before.items()}
    first = next(iter(wrong))
    if fault == "missing":
        del wrong[first]
    elif fault == "unknown":
        wrong["encoder9/conv1/kernel"] = wrong[first]
    elif fault == "shape":
        wrong[first] = wrong[first][:, :, :2]
    else:
        wrong = write_weights(small_network("unet"))
    with pytest.raises(ModelArchiveError, match=r"do not fit the network cnn at N=64: .*: open the archive"):
        read_weights(built, wrong)
    after = write_weights(built)
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_a_seed_says_what_the_first_weights_are():
    model = ModelConfig(architecture="cnn", n_filters_scale=1)
    first, same, other = (write_weights(PtychoNetwork(model, seed=seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["encoder0/conv1/kernel"], other["encoder0/conv1/kernel"])


def test_first_weights_are_those_of_the_description():
    """Uniform of Glorot's variance; zero, or with a bias, where the description says so."""
    weights = write_weights(PtychoNetwork(ModelConfig(architecture="cnn", n_filters_scale=2)))
    for name in ("encoder1/conv2/kernel", "encoder2/conv1/kernel", "phase0/conv2/kernel"):
        kernel = weights[name]
        bound = np.sqrt(6 / ((kernel.shape[0] + kernel.shape[1]) * 9))
        assert 0.99 * bound < np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert not any(w.any() for name, w in weights.items() if name.endswith("bias"))
    refined = write_weights(PtychoNetwork(ModelConfig(architecture="refined", n_filters_scale=1)))
    assert not refined["amplitude/centre/kernel"].any() and not refined["phase/ring/out/kernel"].any()
    start = np.log(BACKGROUND / (1 - BACKGROUND))
    np.testing.assert_allclose(refined["amplitude/centre/bias"], start, rtol=1e-6)
    assert (refined["steps/step"] == 1).all() and (refined["steps/momentum"] == np.float32(0.85)).all()


# What exists in PyTorch alone


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ({"cbam_encoder": True}, "channel_attention"),
        ({"spatial_decoder": True}, "spatial_attention"),
        ({"eca_decoder": True}, "eca"),
        ({"batch_norm": True}, "batch_norm"),
    ],
)
def test_a_layer_that_pytorch_alone_has_is_refused_by_name(setting, kind):
    assert kind in TORCH_ONLY_KINDS
    model = ModelConfig(n_filters_scale=1, **setting)
    (layer, *_) = (x for x in network(model).layers if x.kind == kind)
    with pytest.raises(ModelArchiveError, match=f"{layer.name}.*{kind}.*'pytorch'.*'tensorflow'.*: "):
        PtychoNetwork(model)


def test_a_shared_decoder_and_other_numbers_of_maps_are_no_layers_of_pytorch():
    settings = {"use_shared_decoder": True, "decoder_last_c_outer_fraction": 0.25}
    built = small_network("cnn", 2, decoder_last_amp_channels=1, **settings)
    s = patterns_of(2, groups=1)
    np.testing.assert_allclose(canvases(built, s), expected(built, s), atol=1e-4)


# Arithmetic


@pytest.mark.parametrize(
    ("architecture", "gridsize", "switches"),
    [
        ("cnn", 1, {}),
        ("cnn", 2, {}),
        ("cnn", 1, {"probe_big": False, "amp_activation": "softplus"}),
        ("cnn", 1, {"pad_object": False, "amp_activation": "swish"}),
        ("cnn", 2, {"pad_object": False, "amp_activation": "relu"}),
        ("cnn", 2, {"object_big": False}),
        ("unet", 2, {}),
        ("refined", 1, {}),
        ("refined", 2, {"amp_activation": "swish", "gaussian_smoothing_sigma": 0.6}),
        ("unrolled", 1, {"gaussian_smoothing_sigma": 0.6}),
        ("unrolled", 2, {}),
    ],
)
def test_it_equals_the_numpy_oracle(architecture, gridsize, switches):
    built = small_network(architecture, gridsize, **switches)
    s = patterns_of(gridsize, groups=1, modes=2, sigma=built.model.gaussian_smoothing_sigma)
    theirs = expected(built, s)
    assert np.ptp(np.abs(theirs)) > 0.05  # an image that says something
    np.testing.assert_allclose(canvases(built, s), theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_groups_together_equal_groups_one_by_one(architecture, gridsize):
    built, s = small_network(architecture, gridsize), patterns_of(gridsize, groups=3)
    together = canvases(built, s)
    assert np.abs(together[0] - together[1]).max() > 0.01  # the groups do differ
    alone = np.concatenate([canvases(built, s.of(g)) for g in range(3)])
    np.testing.assert_allclose(together, alone, atol=2e-5)
    np.testing.assert_allclose(canvases(built, s.of(2, 0, 1)), together[[2, 0, 1]], atol=2e-5)


@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
def test_on_a_larger_canvas_than_a_group_asks_for_its_result_is_the_same(architecture):
    """Where the sides are given: convolutions of canvases see nothing beyond them."""
    built, s = small_network(architecture, 2), patterns_of(2, groups=2)
    corners = np.array([[[0, 5], [12, 0], [3, 7], [9, 9]], [[0, 4], [1, 0], [4, 2], [3, 3]]])
    sides = 64 + corners.max((1, 2))
    s = attrs.evolve(s, corners=corners)
    together = canvases(built, s, sides=tf.constant(sides))
    without = canvases(built, s)
    for g, side in enumerate(sides):
        one = attrs.evolve(s.of(g), canvas=s.canvas[[g], :side, :side])
        alone = canvases(built, one)[0]
        np.testing.assert_allclose(together[g, :side, :side], alone, atol=2e-5)
        if architecture == "unrolled" and side < s.canvas.shape[-1]:
            assert np.abs(without[g, :side, :side] - alone).max() > 1e-4


@pytest.mark.parametrize(("precision", "percent"), [("mixed_bfloat16", 10), ("mixed_float16", 2)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_short_numbers_change_the_result_by_percents_at_most(architecture, precision, percent):
    """Heads and physics are float32, and Keras' own policy is left alone."""
    s = patterns_of(1)
    before = keras.config.dtype_policy().name
    full, short = (canvases(small_network(architecture, precision=p), s) for p in ("float32", precision))
    assert short.dtype == np.complex64 and keras.config.dtype_policy().name == before
    assert 0 < np.abs(short - full).max() < percent / 100 * np.abs(full).max()


def test_keras_policy_is_not_the_networks():
    s = patterns_of(1, groups=1)
    plain = canvases(small_network("cnn"), s)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        built = small_network("cnn")
        np.testing.assert_array_equal(canvases(built, s), plain)
        assert {v.dtype for v in built.variables} == {"float32"}
    finally:
        keras.config.set_dtype_policy("float32")


def test_an_unknown_precision_is_refused():
    with pytest.raises(RunError, match=r"^precision='bf16' is unknown: choose one of float32, "):
        PtychoNetwork(ModelConfig(), precision="bf16")


# Learning


def _misfit_gradients(built, s, **options):
    variables = built.trainable_variables
    with tf.GradientTape() as tape:
        optics = s.optics(**options)
        amplitude = tf.constant(s.amplitude, tf.float32)
        predicted = optics.intensity(built(amplitude, optics=optics))
        loss = tf.reduce_mean((predicted - amplitude**2) ** 2)
    return variables, tape.gradient(loss, variables)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_learns(architecture):
    built = small_network(architecture, 2)
    variables, gradients = _misfit_gradients(built, patterns_of(2))
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, variable.path
    assert len(variables) == len(built.arrays)


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_a_probe_learns_a_finite_amount_where_it_is_dark(architecture, gridsize):
    """The slope of a square root is infinite at zero."""
    s = patterns_of(gridsize)
    probes = s.probes.copy()
    probes[..., :9, :] = 0
    probes = tf.constant(probes, tf.complex64)
    amplitude = tf.constant(s.amplitude, tf.float32)
    built = small_network(architecture, gridsize)
    with tf.GradientTape() as tape:
        tape.watch(probes)
        optics = GroupOptics(
            amplitude, probes, s.corners, s.canvas.shape[-1], BACKGROUND, 0.0, probes_learn=True
        )
        loss = tf.reduce_mean((optics.intensity(built(amplitude, optics=optics)) - amplitude**2) ** 2)
    gradient = tape.gradient(loss, probes).numpy()
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_a_graph_and_compiled_it_is_the_same(architecture):
    s, built = patterns_of(1), small_network(architecture)
    amplitude = tf.constant(s.amplitude, tf.float32)
    probes, corners = s.optics().probes, tf.constant(s.corners)

    def forward(amplitude, probes, corners):
        optics = GroupOptics(amplitude, probes, corners, 76, BACKGROUND)
        return built(amplitude, optics=optics)

    graph = tf.function(forward, jit_compile=architecture == "cnn")(amplitude, probes, corners)
    np.testing.assert_allclose(graph, canvases(built, s), atol=2e-5)


# The switches of the description


def _flat():
    """A probe that lights every pixel alike, so that the canvas is the network's own object."""
    amplitude = tf.constant(np.random.default_rng(0).uniform(size=(1, 1, 64, 64)), tf.float32)
    probes = tf.ones((1, 1, 1, 64, 64), tf.complex64)
    return amplitude, GroupOptics(amplitude, probes, tf.zeros((1, 1, 2), tf.int64), 64, 0.7)


def _only_head(amplitude_bias, phase_bias, head="centre", **switches):
    """A cnn of zeros but for the bias of one head: its centre (or ring, or whole) is one number."""
    built = small_network("cnn", **switches)
    weights = {name: np.zeros_like(w) for name, w in write_weights(built).items()}
    weights[f"amplitude/{head}/bias"][:] = amplitude_bias
    weights[f"phase/{head}/bias"][:] = phase_bias
    read_weights(built, weights)
    amplitude, optics = _flat()
    return built(amplitude, optics=optics)[0].numpy()


_FLOOR = 0.7e-3 / 1.001  # what `merge` adds of the background, of transmission 0.7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigmoid", 1 / (1 + np.exp(-1.5))),
        ("swish", 1.5 / (1 + np.exp(-1.5))),
        ("softplus", np.log1p(np.exp(1.5))),
        ("relu", 1.5),
    ],
)
def test_amp_activation_and_the_phase_of_pi_tanh(name, value):
    canvas = _only_head(1.5, -0.4, amp_activation=name, probe_big=False)
    theirs = value * np.exp(1j * np.pi * np.tanh(-0.4)) / 1.001 + _FLOOR
    np.testing.assert_allclose(canvas[16:48, 16:48], theirs, rtol=1e-5)


def test_without_probe_big_nothing_lies_outside_the_centre():
    canvas = _only_head(1.5, -0.4, probe_big=False)
    outside = np.ones((64, 64), bool)
    outside[16:48, 16:48] = False
    np.testing.assert_allclose(canvas[outside], _FLOOR, rtol=1e-4)
    assert (np.abs(canvas[~outside]) > 0.5).all()


def test_with_probe_big_a_ring_of_its_own_fills_the_outside():
    canvas = _only_head(1.5, -0.4, head="ring/out", probe_big=True)
    theirs = np.exp(1j * np.pi * np.tanh(-0.4)) / (1 + np.exp(-1.5)) / 1.001 + _FLOOR
    np.testing.assert_allclose(canvas[:16], theirs, rtol=1e-5)
    np.testing.assert_allclose(canvas[:, 48:], theirs, rtol=1e-5)
    # The centre is the other head's: sigmoid(0) at phase 0.
    np.testing.assert_allclose(canvas[16:48, 16:48], 0.5 / 1.001 + _FLOOR, rtol=1e-5)


def test_without_pad_object_one_head_fills_the_whole_patch():
    canvas = _only_head(1.5, -0.4, head="full/out", pad_object=False)
    theirs = np.exp(1j * np.pi * np.tanh(-0.4)) / (1 + np.exp(-1.5)) / 1.001 + _FLOOR
    np.testing.assert_allclose(canvas, theirs, rtol=1e-5)


# What the physics inside a network does


def test_the_untrained_unet_returns_the_estimate():
    built = PtychoNetwork(ModelConfig(architecture="unet", n_filters_scale=1))
    s = patterns_of(1)
    optics = s.optics()
    np.testing.assert_allclose(canvases(built, s), optics.merge(optics.patch_estimate(0.05), 1e-3), atol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "swish", "softplus", "relu"])
@pytest.mark.parametrize("pad_object", [True, False])
def test_the_untrained_refined_network_is_the_physics_from_an_empty_object(activation, pad_object):
    model = ModelConfig(architecture="refined", n_filters_scale=1, amp_activation=activation)
    model.pad_object = pad_object
    s = patterns_of(1)
    optics = s.optics()
    canvas, velocity = tf.fill(s.canvas.shape, tf.constant(BACKGROUND, tf.complex64)), 0.0
    for momentum in (0, *[0.85] * 5):
        velocity = momentum * velocity + optics.gradient_step(canvas, 0.05)
        canvas = canvas + velocity
    np.testing.assert_allclose(canvases(PtychoNetwork(model), s), canvas, atol=2e-5)


def test_the_one_object_of_a_group_lies_at_the_middle_of_its_own_patterns():
    """Wherever the group lies on its canvas, and whatever other groups do."""
    built, s = small_network("cnn", 2, object_big=False), patterns_of(2, canvas=80)
    corners = np.array([[[0, 0], [0, 8], [4, 0], [4, 8]], [[12, 3], [16, 3], [12, 9], [16, 9]]])
    made = canvases(built, attrs.evolve(s, corners=corners))
    for canvas, (row, column) in zip(made, [(2, 4), (14, 6)], strict=True):
        touched = np.abs(canvas - BACKGROUND) > 1e-6
        rows, columns = (np.flatnonzero(touched.any(axis)) for axis in (1, 0))
        assert (rows.min(), rows.max()) == (row, row + 63)
        assert (columns.min(), columns.max()) == (column, column + 63)


# Every size, and as a Keras layer


@pytest.mark.parametrize(("architecture", "N"), [*((a, 128) for a in ARCHITECTURES), ("refined", 256)])
def test_larger_patterns_build_and_learn(architecture, N):
    built = small_network(architecture, N=N)
    s = patterns_of(1, groups=1, size=N, canvas=N)
    assert canvases(built, s).shape == (1, N, N)
    _, gradients = _misfit_gradients(built, s)
    assert all(np.isfinite(g).all() for g in gradients)
    assert any(np.abs(g).max() > 0 for g in gradients)


def test_its_configuration_is_plain_data_that_builds_it_again():
    built = small_network("refined", 2, precision="mixed_bfloat16", amp_activation="swish")
    config = built.get_config()
    assert config["model"] == dataclasses.asdict(built.model)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(built), safe_mode=True)
    assert again.get_config() == config and again.description == built.description
    read_weights(again, write_weights(built))
    s = patterns_of(2)
    np.testing.assert_array_equal(canvases(again, s), canvases(built, s))


def test_a_model_config_that_is_changed_later_changes_no_network():
    model = ModelConfig(n_filters_scale=1)
    built = PtychoNetwork(model)
    model.gridsize = 3
    assert built.get_config()["model"]["gridsize"] == 1
