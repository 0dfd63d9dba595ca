"""The network against its description, against the NumPy oracle, and its laws."""

from __future__ import annotations

import attrs
import cnn_oracle
import numpy as np
import pytest
import torch
from pinn_config.architecture import BACKGROUND, network
from pinn_config.configs import ModelConfig
from pinn_data.optics import network_oracle
from pinn_torch.errors import ModelArchiveError
from pinn_torch.model.network import PtychoNetwork, read_weights, write_weights
from pinn_torch.optics.physics import GroupOptics
from torch_scans import ARCHITECTURES, scene, small_network

_CASES = [(a, g) for a in ARCHITECTURES for g in (1, 2)]


def _scene(gridsize, *, groups=2, modes=1, seed=0, canvas=76, N=64):
    return scene(seed, groups=groups, patterns=gridsize**2, modes=modes, size=N, canvas=canvas)


# Parameters


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_parameters_are_those_of_the_description(architecture, gridsize):
    description = network(ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1))
    weights = write_weights(PtychoNetwork(description))
    assert {name: w.shape for name, w in weights.items()} == description.parameters()
    assert list(weights) == list(description.parameters())
    assert {w.dtype for w in weights.values()} == {np.dtype(np.float32)}
    count = sum(p.numel() for p in PtychoNetwork(description).parameters())
    assert count == sum(w.size for w in weights.values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_that_are_read_are_written_again(architecture):
    built = small_network(architecture)
    rng = np.random.default_rng(1)
    weights = {n: rng.normal(size=s).astype(np.float32) for n, s in built.description.parameters().items()}
    read_weights(built, weights)
    back = write_weights(built)
    assert all(np.array_equal(back[name], weights[name]) for name in weights)
    other = small_network(architecture, seed=9)
    read_weights(other, back)
    s = _scene(1)
    assert torch.equal(other(s.amplitude, s.optics), built(s.amplitude, s.optics))


def test_written_weights_are_copies():
    built = small_network("cnn")
    first = write_weights(built)
    for w in first.values():
        w[...] = 7.0
    assert all((w != 7.0).all() for w in write_weights(built).values())


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


# Arithmetic


@pytest.mark.parametrize(
    ("gridsize", "switches"),
    [
        (1, {}),
        (2, {}),
        (1, {"probe_big": False, "amp_activation": "softplus"}),
        (1, {"pad_object": False, "amp_activation": "swish"}),
        (2, {"pad_object": False, "amp_activation": "relu"}),
    ],
)
def test_the_cnn_equals_the_numpy_oracle(gridsize, switches):
    built = small_network("cnn", gridsize, **switches)
    s = _scene(gridsize, groups=1, modes=2)
    with torch.inference_mode():
        ours = built(s.amplitude, s.optics)[0].numpy()
    intensity = (s.probes.abs().numpy()[0] ** 2).sum(1)
    expected = cnn_oracle.run(
        built.description,
        write_weights(built),
        s.amplitude[0].numpy(),
        intensity / intensity.max(),
        s.corners[0].numpy(),
        s.canvas.shape[-1],
        s.optics.background,
    )
    assert np.ptp(np.abs(expected)) > 0.05  # an image that says something
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("architecture", "gridsize", "modes", "switches"),
    [
        ("unet", 2, 1, {}),
        ("refined", 1, 2, {}),
        ("refined", 2, 1, {"gaussian_smoothing_sigma": 0.7}),
        ("unrolled", 2, 2, {}),
        ("cnn", 2, 1, {"object_big": False}),
    ],
)
def test_every_architecture_equals_the_numpy_oracle(architecture, gridsize, modes, switches):
    built = small_network(architecture, gridsize, **switches)
    sigma = switches.get("gaussian_smoothing_sigma", 0.0)
    s = scene(0, groups=1, patterns=gridsize**2, modes=modes, size=64, canvas=76, sigma=sigma)
    with torch.inference_mode():
        ours = built(s.amplitude, s.optics)[0].numpy()
    parts = (x[0].numpy() for x in (s.amplitude, s.probes, s.corners))
    optics = network_oracle.Optics(*parts, s.canvas.shape[-1], s.optics.background, sigma)
    expected = network_oracle.run(built.description, write_weights(built), optics)
    assert np.ptp(np.abs(expected)) > 0.05
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_groups_together_equal_groups_one_by_one(architecture, gridsize):
    built = small_network(architecture, gridsize)
    s = _scene(gridsize, groups=3)
    with torch.inference_mode():
        together = built(s.amplitude, s.optics)
        alone = torch.cat([built(s.amplitude[[g]], s.of([g])) for g in range(3)])
        turned = built(s.amplitude[[2, 0, 1]], s.of([2, 0, 1]))
    assert (together[0] - together[1]).abs().max() > 0.01  # the groups do differ
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-5)
    torch.testing.assert_close(turned, together[[2, 0, 1]], rtol=0, atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_network_returns_one_complex_canvas_a_group(architecture):
    s = _scene(2, groups=2)
    canvas = small_network(architecture, 2)(s.amplitude, s.optics)
    assert canvas.shape == s.canvas.shape and canvas.dtype == torch.complex64
    assert torch.isfinite(torch.view_as_real(canvas)).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bf16_changes_the_result_by_percents_at_most(architecture):
    built = small_network(architecture)
    s = _scene(1)
    with torch.inference_mode():
        full = built(s.amplitude, s.optics)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = built(s.amplitude, s.optics)
    assert short.dtype == torch.complex64
    assert 0 < (short - full).abs().max() < 0.1 * full.abs().max()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_learns(architecture):
    built = small_network(architecture, 2)
    s = _scene(2)
    canvas = built(s.amplitude, s.optics)
    ((s.optics.intensity(canvas) - s.amplitude**2) ** 2).mean().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_a_probe_learns_a_finite_amount_where_it_is_dark(architecture, gridsize):
    """The slope of a square root is infinite at zero."""
    s = _scene(gridsize)
    probes = s.probes.clone()
    probes[..., :9, :] = 0
    probes.requires_grad_()
    optics = GroupOptics(s.amplitude, probes, s.corners, s.canvas.shape[-1], s.optics.background)
    canvas = small_network(architecture, gridsize)(s.amplitude, optics)
    ((optics.intensity(canvas) - s.amplitude**2) ** 2).mean().backward()
    assert probes.grad.isfinite().all() and probes.grad.abs().max() > 0


# The switches of the description


def _flat(channels, canvas=64):
    """A probe that lights every pixel alike, so that the canvas is the network's own object."""
    amplitude = torch.rand((1, channels, 64, 64), generator=torch.Generator().manual_seed(0))
    probes = torch.ones((1, channels, 1, 64, 64), dtype=torch.complex64)
    corners = torch.zeros((1, channels, 2), dtype=torch.int64)
    return amplitude, GroupOptics(amplitude, probes, corners, canvas, 0.7)


def _only_head(amplitude_bias, phase_bias, head="centre", **switches):
    """A cnn of zeros but for the bias of one head: its centre (or ring, or whole) is one number."""
    built = small_network("cnn", **switches)
    weights = {name: np.zeros_like(w) for name, w in write_weights(built).items()}
    weights[f"amplitude/{head}/bias"][:] = amplitude_bias
    weights[f"phase/{head}/bias"][:] = phase_bias
    read_weights(built, weights)
    amplitude, optics = _flat(1)
    with torch.inference_mode():
        return built(amplitude, optics)[0].numpy()


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
    expected = value * np.exp(1j * np.pi * np.tanh(-0.4)) / 1.001 + _FLOOR
    np.testing.assert_allclose(canvas[16:48, 16:48], expected, rtol=1e-5)


def test_without_probe_big_nothing_lies_outside_the_centre():
    canvas = _only_head(1.5, -0.4, probe_big=False)
    outside = np.ones((64, 64), bool)
    outside[16:48, 16:48] = False
    np.testing.assert_allclose(canvas[outside], _FLOOR, rtol=1e-4)
    assert (np.abs(canvas[~outside]) > 0.5).all()


def test_with_probe_big_a_ring_of_its_own_fills_the_outside():
    canvas = _only_head(1.5, -0.4, head="ring/out", probe_big=True)
    expected = np.exp(1j * np.pi * np.tanh(-0.4)) / (1 + np.exp(-1.5)) / 1.001 + _FLOOR
    np.testing.assert_allclose(canvas[:16], expected, rtol=1e-5)
    np.testing.assert_allclose(canvas[:, 48:], expected, rtol=1e-5)
    # The centre is the other head's: sigmoid(0) at phase 0.
    np.testing.assert_allclose(canvas[16:48, 16:48], 0.5 / 1.001 + _FLOOR, rtol=1e-5)


def test_without_pad_object_one_head_fills_the_whole_patch():
    canvas = _only_head(1.5, -0.4, head="full/out", pad_object=False)
    expected = np.exp(1j * np.pi * np.tanh(-0.4)) / (1 + np.exp(-1.5)) / 1.001 + _FLOOR
    np.testing.assert_allclose(canvas, expected, rtol=1e-5)


def test_object_big_gives_one_object_a_pattern_else_one_a_group():
    big = network(ModelConfig(gridsize=2, n_filters_scale=1, object_big=True)).parameters()
    small = network(ModelConfig(gridsize=2, n_filters_scale=1, object_big=False)).parameters()
    for head in ("amplitude/centre", "amplitude/ring/out", "phase/centre", "phase/ring/out"):
        assert big[f"{head}/bias"] == (4,) and small[f"{head}/bias"] == (1,)


def test_the_one_object_of_a_group_lies_at_the_middle_of_its_patterns():
    """Wherever the group lies on its canvas: a canvas may be larger than the group."""
    built = small_network("cnn", 2, object_big=False)
    s = _scene(2, canvas=80)
    corners = torch.tensor([[[0, 0], [0, 8], [4, 0], [4, 8]], [[12, 3], [16, 3], [12, 9], [16, 9]]])
    optics = GroupOptics(s.amplitude, s.probes, corners, 80, s.optics.background)
    with torch.inference_mode():
        canvases = built(s.amplitude, optics)
    for canvas, (row, column) in zip(canvases, [(2, 4), (14, 6)], strict=True):
        touched = (canvas - s.optics.background).abs() > 1e-6
        rows, columns = (torch.nonzero(touched.any(axis)).flatten() for axis in (1, 0))
        assert (int(rows.min()), int(rows.max())) == (row, row + 63)
        assert (int(columns.min()), int(columns.max())) == (column, column + 63)


# What the physics inside a network does


def _residual(optics, canvas, amplitude):
    predicted = optics.intensity(canvas).sqrt()
    return ((predicted - amplitude) ** 2).sum((-3, -2, -1)).sqrt() / (amplitude**2).sum((-3, -2, -1)).sqrt()


@pytest.mark.parametrize("gridsize", [1, 2])
def test_the_untrained_unrolled_network_explains_patterns_better_than_the_first_estimate(gridsize):
    built = PtychoNetwork(network(ModelConfig(architecture="unrolled", gridsize=gridsize, n_filters_scale=1)))
    s = _scene(gridsize, modes=2)
    with torch.inference_mode():
        first = _residual(s.optics, s.optics.canvas_estimate(0.05), s.amplitude)
        untrained = _residual(s.optics, built(s.amplitude, s.optics), s.amplitude)
    assert (untrained < 0.6 * first).all()


def test_the_untrained_unet_returns_the_estimate():
    built = PtychoNetwork(network(ModelConfig(architecture="unet", n_filters_scale=1)))
    s = _scene(1)
    expected = s.optics.merge(s.optics.patch_estimate(0.05), 1e-3)
    torch.testing.assert_close(built(s.amplitude, s.optics), expected, rtol=0, atol=1e-6)


def test_the_refined_network_is_the_specifications_on_real_space_maps_moved_by_the_physics():
    described = network(ModelConfig(architecture="refined", gridsize=2, n_filters_scale=1))
    built = PtychoNetwork(described)
    upto = [layer.name for layer in described.layers].index("canvas") + 1
    learned = PtychoNetwork(attrs.evolve(described, layers=described.layers[:upto]))
    weights = write_weights(built)
    read_weights(learned, {name: weights[name] for name in learned.description.parameters()})
    s = _scene(2, modes=2)
    with torch.inference_mode():
        canvas, moved = learned(s.amplitude, s.optics), built(s.amplitude, s.optics)
        before, after = (_residual(s.optics, c, s.amplitude) for c in (canvas, moved))
        velocity = torch.zeros_like(canvas)
        for momentum in (0, *[0.85] * 5):
            velocity = momentum * velocity + s.optics.gradient_step(canvas, 0.05)
            canvas = canvas + velocity
    torch.testing.assert_close(moved, canvas, rtol=0, atol=1e-5)
    assert (after < 0.7 * before).all()


def test_the_refined_network_has_the_parameters_of_the_specifications_and_its_steps():
    cnn, refined = (
        network(ModelConfig(architecture=a, n_filters_scale=1)).parameters() for a in ("cnn", "refined")
    )
    first = "encoder0/conv1/kernel"
    assert refined.pop(first) == (cnn[first][0], 3, *cnn.pop(first)[2:])  # three maps for one pattern
    assert {name: refined[name] for name in cnn} == cnn
    assert {name.split("/")[0] for name in refined.keys() - cnn.keys()} == {"steps"}


# Every size


@pytest.mark.parametrize("N", [128, 256])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_larger_patterns_build_and_learn(architecture, N):
    built = small_network(architecture, N=N)
    s = _scene(1, groups=2, N=N, canvas=N)
    optimizer = torch.optim.SGD(built.parameters(), lr=1e-3)
    before = write_weights(built)
    canvas = built(s.amplitude, s.optics)
    assert canvas.shape == (2, N, N)
    ((s.optics.intensity(canvas).add(1e-3).sqrt() - s.amplitude) ** 2).mean().backward()
    optimizer.step()
    after = write_weights(built)
    assert all(np.isfinite(w).all() for w in after.values())
    assert any(not np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("activation", ["sigmoid", "swish", "softplus", "relu"])
@pytest.mark.parametrize("pad_object", [True, False])
def test_the_untrained_refined_network_is_the_physics_from_an_empty_object(activation, pad_object):
    model = ModelConfig(architecture="refined", n_filters_scale=1, amp_activation=activation)
    model.pad_object = pad_object
    built = PtychoNetwork(network(model))
    s = _scene(1)
    with torch.inference_mode():
        canvas = torch.full_like(s.optics.canvas_estimate(0.05), BACKGROUND)
        velocity = torch.zeros_like(canvas)
        for momentum in (0, *[0.85] * 5):
            velocity = momentum * velocity + s.optics.gradient_step(canvas, 0.05)
            canvas = canvas + velocity
        torch.testing.assert_close(built(s.amplitude, s.optics), canvas, rtol=0, atol=2e-5)
