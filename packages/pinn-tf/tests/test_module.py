"""The trainable model: probe, intensity scale, mask, and a loss that is a number of photons."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from loss_oracle import TERMS
from pinn_config.configs import ModelConfig
from pinn_config.objective import Objective
from pinn_data.errors import ShapeError
from pinn_data.grouping.labels import ObjectLabels
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.optics.forward_model import diffraction_intensity, poisson_nll
from pinn_data.optics.probe import normalised_probe, probe_disk, probe_modes
from pinn_data.testing import small_scan
from pinn_tf.errors import ModelArchiveError, RunError
from pinn_tf.model.module import BACKGROUND, PtychoPINN
from pinn_tf.model.network import write_weights
from tf_networks import shaken

# Frames 0, 1, 3, 4 are seen, 6 is predicted; 64 + 14 pixels hold them all.
_ROWS, _CANVAS = np.array([[0, 1, 3, 4, 6], [3, 4, 6, 7, 1]]), 80


def _module(scan, *, gridsize=1, architecture="unrolled", model=None, **settings):
    config = ModelConfig(
        N=scan.N, gridsize=gridsize, architecture=architecture, n_filters_scale=1, **(model or {})
    )
    built = PtychoPINN(config, probe_modes(scan.probe), PatternStack(scan).intensity_scale, **settings)
    shaken(built.network)
    return built


# The loss


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("moved", [0.0, 0.3])
def test_the_loss_is_the_likelihood_of_the_measured_counts(modes, moved):
    """Also once the intensity scale has moved: it multiplies what is predicted, never what was counted."""
    scan = small_scan(modes=modes)
    module = _module(scan, gridsize=2)
    module.log_intensity_scale.assign_add(moved)
    stack = PatternStack(scan)
    batch = stack.batch(_ROWS[:1])
    terms = {name: float(value) for name, value in module.loss(batch, _CANVAS).items()}
    canvas = module(batch, canvas=_CANVAS)[0][0].numpy()
    corner = module.corners(batch)[1][0].numpy()
    object = canvas * np.exp(moved) * stack.intensity_scale
    probe = module.probe.numpy()

    def nll(frames):
        rate = diffraction_intensity(object, probe, scan.positions[frames] - corner)
        return poisson_nll(rate, scan.counts()[frames])

    assert terms["nll"] == pytest.approx(nll([0, 1, 3, 4]), rel=1e-3)
    assert terms["predicted_nll"] == pytest.approx(nll([6]), rel=1e-3)
    assert terms["loss"] == pytest.approx(nll([0, 1, 3, 4]) + nll([6]), rel=1e-3)
    assert terms["deviance"] > 0 and terms["predicted_deviance"] > 0


def _parts(module, batch, scan, turned):
    """Every term by itself in NumPy, from the canvas: of the four seen patterns and of the unseen one, and
    of the canvas."""
    canvas, seen = module(batch, canvas=_CANVAS)
    canvas, light = canvas.numpy().astype(np.complex128), seen.relative_intensity.numpy()
    labels = batch["labels"] * BACKGROUND * module.model.probe_scale / 4
    if turned:
        mean = (batch["labels"][:, :4] * light).sum((1, 2, 3))
        labels = labels * np.exp(-1j * np.angle(mean))[:, None, None, None]
    corners, origins = (x.numpy() for x in module.corners(batch))
    parts = {}
    for patterns in (slice(0, 4), slice(4, 5)):
        rate = np.stack(
            [
                diffraction_intensity(canvas[g], module.probe.numpy(), scan.positions[rows] - origins[g])
                for g, rows in enumerate(_ROWS[:, patterns])
            ]
        )
        scale = PatternStack(scan).intensity_scale ** 2
        shown = module.optics(batch, patterns, tf.constant(corners), _CANVAS).relative_intensity.numpy()
        cut = np.stack(
            [[canvas[g][r : r + 64, c : c + 64] for r, c in corners[g, patterns]] for g in range(len(canvas))]
        )
        counts = batch["amplitude"][:, patterns].astype(np.float64) ** 2 * scale
        for name in ("poisson_nll", "amplitude_mae"):
            parts[name] = parts.get(name, 0) + TERMS[name](rate * scale, counts)
        for name in ("amplitude_error", "phase_error"):
            parts[name] = parts.get(name, 0) + TERMS[name](cut, labels[:, patterns], shown)
    for name in TERMS:
        if name.endswith(("variation", "deviation")):
            parts[name] = TERMS[name](canvas, seen.coverage.numpy().astype(np.float64))
    return parts


# Settings, and the weights of the parts that they must come to.
_CASES = [
    ({}, {"poisson_nll": 1}),
    ({"nll_weight": 0.25, "mae_weight": 3.0}, {"poisson_nll": 0.25, "amplitude_mae": 3}),
    ({"nll_weight": 0.0, "mae_weight": 2.0}, {"amplitude_mae": 2}),
    (
        {"realspace_weight": 5.0, "realspace_mae_weight": 0.3, "phase_subtraction": False},
        {"poisson_nll": 1, "total_variation": 5, "amplitude_error": 1.5, "phase_error": 1.5},
    ),
    (
        {"amp_loss": "Total_Variation", "amp_loss_coeff": 7.0, "phase_loss": "Mean_Deviation"},
        {"poisson_nll": 1, "amplitude_variation": 7, "phase_deviation": 1},
    ),
    (
        {"amp_loss": "Mean_Deviation", "phase_loss": "Total_Variation", "phase_loss_coeff": 0.5},
        {"poisson_nll": 1, "amplitude_deviation": 1, "phase_variation": 0.5},
    ),
    (
        {"supervised": True, "nll_weight": 3.0, "mae_weight": 9.0},
        {"amplitude_error": 2, "phase_error": 4},
    ),
    (
        {"supervised": True, "realspace_weight": 2.0, "realspace_mae_weight": 0.5},
        {"amplitude_error": 3, "phase_error": 5, "total_variation": 2},
    ),
]


@pytest.mark.parametrize(("settings", "weights"), _CASES)
def test_the_loss_is_the_weighted_sum_of_its_parts(settings, weights):
    """And its derivative reaches the network, the intensity scale where patterns count, never the probe."""
    scan = small_scan()
    module = _module(
        scan, gridsize=2, architecture="unet", objective=Objective(**settings), model={"probe_scale": 2.0}
    )
    batch = PatternStack(scan, ObjectLabels(scan, "it")).batch(_ROWS)
    with tf.GradientTape() as tape:
        terms = module.loss(batch, _CANVAS)
    parts = _parts(module, batch, scan, settings.get("phase_subtraction", True))
    expected = sum(weight * parts[name] for name, weight in weights.items())
    assert float(terms["loss"]) == pytest.approx(expected, rel=2e-4)
    gradients = tape.gradient(terms["loss"], module.trainable_variables)
    assert all(g is not None and np.isfinite(g).all() for g in gradients)
    assert sum(np.any(g) for g in gradients) > 20
    ids = [id(v) for v in module.trainable_variables]
    assert (id(module.log_intensity_scale) in ids) == ("poisson_nll" in weights or "amplitude_mae" in weights)
    assert id(module.probe_parts) not in ids


def test_in_a_graph_the_loss_is_the_same():
    scan = small_scan()
    module, batch = _module(scan, gridsize=2), PatternStack(scan).batch(_ROWS)
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    graph, eager = tf.function(lambda b: module.loss(b, _CANVAS))(tensors), module.loss(batch, _CANVAS)
    assert graph.keys() == eager.keys()
    for name, value in eager.items():
        assert value.dtype == tf.float32 and value.shape == ()
        np.testing.assert_allclose(graph[name], value, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "poisson_train_loss"),
        ({"supervised": True}, "mae_train_loss"),
        ({"amp_loss": "Total_Variation"}, "poisson_train_Amp_loss"),
    ],
)
def test_the_loss_has_the_name_of_its_kind(settings, name):
    module = _module(small_scan(), objective=Objective(**settings))
    assert (module.train_loss_name, module.val_loss_name) == (name, name.replace("train", "val"))


# Probe and positions


@pytest.mark.parametrize(("N", "pixels"), [(64, 812), (128, 3228)])
def test_the_probe_mask_is_the_disk_of_the_specification(N, pixels):
    """Figures of the public implementation: radius N/4 on the half-pixel grid."""
    model = ModelConfig(N=N, architecture="unrolled", n_filters_scale=1, probe_mask=True)
    probe = PtychoPINN(model, np.ones((1, N, N)), 1.0).probe
    lit = np.abs(probe[0]) > 0
    assert int(lit.sum()) == pixels and np.array_equal(lit, probe_disk(N) > 0)
    assert np.array_equal(lit, lit[::-1]) and np.array_equal(lit, lit.T)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_corners_are_counted_from_the_canvas_that_holds_all_patterns(gridsize):
    scan = small_scan()
    rows = np.array([[4, 0, 7, 11, 2], [10, 5, 8, 4, 7]])  # which begin at different corners
    corners, canvas = _module(scan, gridsize=gridsize).corners(PatternStack(scan).batch(rows))
    absolute = np.floor(scan.positions[rows]).astype(int) - 32
    assert np.array_equal((corners + canvas[:, None]).numpy(), absolute)
    assert np.array_equal(corners.numpy().min(1), np.zeros((2, 2)))  # of each group, along each axis


# What is refused


def test_a_probe_of_another_shape_is_refused():
    module = PtychoPINN(ModelConfig(n_filters_scale=1), np.ones((1, 64, 64)), 1.0)
    for shape in [(64, 64), (1, 64, 32), (2, 128, 128)]:
        says = r"^the probe has shape .* but \(modes, 64, 64\) is needed: "
        with pytest.raises(ShapeError, match=says):
            PtychoPINN(ModelConfig(N=64), np.ones(shape), 1.0)
        with pytest.raises(ShapeError, match=says):
            module.adopt(np.ones(shape), 1.0)


def test_what_cannot_learn_or_be_built_is_refused():
    with pytest.raises(RunError, match="nothing would be learned"):
        _module(small_scan(), objective=Objective(nll_weight=0.0))
    with pytest.raises(RunError, match=r"probe_trainable=True .* learned from the diffraction"):
        _module(small_scan(), objective=Objective(supervised=True), probe_trainable=True)
    with pytest.raises(ModelArchiveError, match="cbam"):
        _module(small_scan(), architecture="cnn", model={"cbam_encoder": True})


# State that is this model's own


@pytest.mark.parametrize("architecture", ["cnn", "refined"])
@pytest.mark.parametrize(("probe", "scale"), [(False, False), (True, False), (False, True), (True, True)])
def test_only_what_is_declared_learns(architecture, probe, scale):
    scan = small_scan(modes=2)
    module = _module(
        scan,
        architecture=architecture,
        model={"probe_mask": True},
        probe_trainable=probe,
        intensity_scale_trainable=scale,
    )
    batch = PatternStack(scan).batch(np.array([[0, 1], [5, 4]]))
    before = module.probe_parts.numpy(), float(module.log_intensity_scale.numpy())
    with tf.GradientTape() as tape:
        loss = module.loss(batch, 76)["loss"]
    variables = module.trainable_variables
    gradients = tape.gradient(loss, variables)
    assert all(g is not None and np.isfinite(g).all() for g in gradients)
    keras.optimizers.SGD(1e-4).apply_gradients(zip(gradients, variables, strict=True))
    moved = np.abs(module.probe_parts.numpy() - before[0]).max((1, 2, 3)) > 0
    assert moved.tolist() == [probe, probe]  # every mode
    assert (module.log_intensity_scale.numpy() != before[1]) == scale
    assert module.training_intensity_scale == PatternStack(scan).intensity_scale  # to the last bit


@pytest.mark.parametrize("trainable", [False, True])
def test_a_probe_learns_through_the_steps_of_a_network_too(trainable):
    scan = small_scan()
    module, batch = _module(scan, probe_trainable=trainable), PatternStack(scan).batch(_ROWS)
    canvas = tf.fill((2, _CANVAS, _CANVAS), tf.constant(BACKGROUND, tf.complex64))

    @tf.function
    def learned():
        with tf.GradientTape() as tape:
            tape.watch([canvas, module.probe_parts.value])
            optics = module.optics(batch, slice(0, 4), module.corners(batch)[0], _CANVAS)
            step = optics.gradient_step(canvas, 0.05)
        zero = tf.UnconnectedGradients.ZERO
        return tape.gradient(step, [canvas, module.probe_parts.value], unconnected_gradients=zero)

    by_canvas, by_probe = learned()
    assert np.any(by_canvas)
    assert np.any(by_probe) == trainable


def test_two_models_share_nothing():
    scan = small_scan()
    batch = PatternStack(scan).batch(np.array([[0], [5]]))
    first, second = (_module(scan, probe_trainable=True) for _ in range(2))
    assert not {id(v) for v in first.variables} & {id(v) for v in second.variables}
    before = second.loss(batch, 64)["loss"].numpy()
    for variable in first.trainable_variables:
        variable.assign(2 * variable + 0.1)
    first.adopt(probe_modes(scan.probe).conj(), 3.0)
    assert second.loss(batch, 64)["loss"].numpy() == before
    assert np.exp(second.log_intensity_scale.numpy()) == pytest.approx(PatternStack(scan).intensity_scale)


@pytest.mark.parametrize("modes", [1, 2])
def test_a_scan_is_adopted_whatever_its_number_of_modes(modes):
    module, scan = _module(small_scan(), probe_trainable=True), small_scan(modes=modes)
    count = len(module.variables)
    network = write_weights(module.network)
    module.adopt(5j * probe_modes(scan.probe), 3.5)
    expected = normalised_probe(5j * probe_modes(scan.probe), 64, 4.0)
    np.testing.assert_array_equal(module.probe, expected)
    assert np.exp(module.log_intensity_scale.numpy()) == pytest.approx(3.5)
    assert module.training_intensity_scale == 3.5
    assert len(module.variables) == count and id(module.probe_parts) in map(id, module.trainable_variables)
    assert all(np.array_equal(w, network[n]) for n, w in write_weights(module.network).items())
    # And a state that was saved comes back to the bit.
    module.restore(expected * 1.7, 0.123, 11.1)
    np.testing.assert_array_equal(module.probe, expected * np.float32(1.7))
    assert module.log_intensity_scale.numpy() == np.float32(0.123)
    assert module.training_intensity_scale == 11.1


def test_its_configuration_is_plain_data_that_builds_it_again():
    objective = Objective(nll_weight=0.5, mae_weight=2.0, amp_loss="Mean_Deviation")
    module = _module(
        small_scan(modes=2), objective=objective, probe_trainable=True, precision="mixed_bfloat16", seed=5
    )
    config = module.get_config()
    assert config["model"] == dataclasses.asdict(module.model) and config["modes"] == 2
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(module), safe_mode=True)
    assert again.get_config() == config and again.objective == objective
    assert [v.shape for v in again.variables] == [v.shape for v in module.variables]
    assert [v.trainable for v in again.variables] == [v.trainable for v in module.variables]
