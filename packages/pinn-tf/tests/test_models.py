"""The two models of an archive: exact inputs and outputs, what they compute, and that they are saved."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from pinn_config.configs import ModelConfig
from pinn_data.grouping.group_rows import canvas_side
from pinn_data.grouping.grouped_images import GroupedImages
from pinn_data.optics.forward_model import diffraction_amplitude
from pinn_data.testing import two_modes
from pinn_tf.errors import RunError
from pinn_tf.model.module import BACKGROUND, PtychoPINN
from pinn_tf.models import GroupModel, models_of
from tf_networks import shaken

_SCALE, _GAIN = 11.0, 1.3


def _module(gridsize, architecture="cnn", *, modes=1, moved=True, **settings):
    """A module with random weights that all count, and with a learned gain."""
    model = ModelConfig(
        architecture=architecture, gridsize=gridsize, n_filters_scale=1, **settings.pop("model", {})
    )
    module = PtychoPINN(model, two_modes(64)[:modes], _SCALE, **settings)
    shaken(module.network)
    if moved:
        module.log_intensity_scale.assign_add(np.log(_GAIN))
    return module


def _inputs(groups, channels, *, seed=0, spread=9.0):
    """Amplitudes in sqrt(photons), offsets with another spread in x than in y; float64, as clients have
    them."""
    rng = np.random.default_rng(seed)
    relative = rng.uniform(-1, 1, (groups, 1, 2, channels)) * np.array([spread, 0.6 * spread])[:, None]
    relative -= relative.mean(-1, keepdims=True)
    return [rng.gamma(1.0, 8.0, (groups, 64, 64, channels)), relative]


def _predict(model, inputs):
    return model.predict(inputs, verbose=0)


def _grouped(groups, channels, frames=50):
    """The same inputs as a container has them: images of groups that were not made yet."""
    rng = np.random.default_rng(5)
    stack = rng.gamma(1.0, 8.0, (frames, 64, 64)).astype(np.float32)
    made = []

    def images(numbers):
        made.append(len(numbers))
        return stack[numbers]

    rows = rng.integers(0, frames, (groups, channels))
    return GroupedImages(rows, 64, np.float32, images), _inputs(groups, channels)[1], made


# Shapes, names and numbers


@pytest.mark.parametrize("gridsize", [1, 2, 3])
def test_inputs_and_outputs_are_those_of_the_specification(gridsize):
    C, models = gridsize**2, models_of(_module(gridsize))
    for name, model in models.items():
        assert isinstance(model, keras.Model) and model.name == name
        assert [(x.name, tuple(x.shape), x.dtype) for x in model.inputs] == [
            ("input", (None, 64, 64, C), "float32"),
            ("input_positions", (None, 1, 2, C), "float32"),
        ]
    assert models["diffraction_to_obj"].output_names == ["trimmed_obj"]
    assert models["autoencoder"].output_names == ["trimmed_obj", "pred_amp", "pred_intensity"]
    inputs = _inputs(2, C)
    object = _predict(models["diffraction_to_obj"], inputs)
    trimmed, amplitude, intensity = _predict(models["autoencoder"], inputs)
    assert object.shape == (2, 64, 64, 1) and object.dtype == np.complex64
    np.testing.assert_array_equal(trimmed, object)
    for value in (amplitude, intensity):
        assert value.shape == (2, 64, 64, C) and value.dtype == np.float32 and (value >= 0).all()
    np.testing.assert_allclose(amplitude**2, intensity, rtol=1e-5, atol=1e-6)


def test_every_form_of_the_inputs_says_the_same():
    model, inputs = models_of(_module(2))["diffraction_to_obj"], _inputs(3, 4)
    whole = [np.floor(inputs[0]), inputs[1]]
    expected = _predict(model, whole)
    names = dict(zip(("input", "input_positions"), whole, strict=True))
    numbers = np.arange(12).reshape(3, 4)
    frames = np.moveaxis(whole[0], -1, 1).reshape(12, 64, 64).astype(np.float32)
    waiting = GroupedImages(numbers, 64, np.float32, frames.__getitem__)
    for form in (
        [waiting, whole[1]],
        {"input": waiting, "input_positions": tf.constant(whole[1])},
        [x.astype(np.float32) for x in whole],
        tuple(whole),
        names,
        [whole[0].astype(np.uint16), whole[1]],
        [whole[0].astype(np.int64), whole[1]],
        [tf.constant(whole[0], tf.float32), whole[1]],
    ):
        np.testing.assert_array_equal(_predict(model, form), expected)
        np.testing.assert_allclose(model(form), expected, atol=1e-5)  # eager


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda x, p: [x[..., :1], p],
            r"^input has the shape \(2, 64, 64, 1\), but \[B, 64, 64, 4\] is needed for .* gridsize=2: ",
        ),
        (lambda x, p: [x[:, :32, :32], p], r"^input has the shape \(2, 32, 32, 4\), but "),
        (lambda x, p: [x[0], p], r"^input has the shape \(64, 64, 4\), but "),
        (lambda x, p: [x[:0], p[:0]], r"^input has the shape \(0, 64, 64, 4\), but "),
        (
            lambda x, p: [x, p.transpose(0, 3, 1, 2)],
            r"^input_positions has the shape \(2, 4, 1, 2\), but \[B, 1, 2, 4\] is",
        ),
        (lambda x, p: [x, p[:1]], r"^input has 2 groups, but input_positions 1: "),
        (lambda x, p: [x, p / 0], "^some input_positions are not finite: "),
        (lambda x, p: [x, p * 1e5], "^input_positions reach .* pixels .* at most 8192 x 8192: "),
        (lambda x, p: [x], r"^1 inputs were given, but two are needed: \[input, input_positions\]"),
        (lambda x, p: {"input": x, "positions": p}, r"^the inputs \['input', 'positions'\] were given, but"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_other_inputs_are_refused_in_one_sentence(change, says):
    model = models_of(_module(2))["diffraction_to_obj"]
    wrong = change(*_inputs(2, 4))
    for call in (lambda: _predict(model, wrong), lambda: model(wrong)):
        with pytest.raises(ValueError, match=says) as caught:
            call()
        assert caught.type is RunError and "\n" not in str(caught.value)


# What they compute


def _canvases(module, inputs, whole, fractions):
    """The module's own canvases of groups at these whole-pixel and fractional offsets from their means,
    (group, pattern, 2) as (y, x), in units of the outputs; and the corners of patches on them."""
    low = np.minimum(whole.min(1), 0)
    scale = np.exp(module.log_intensity_scale.numpy())
    batch = {
        "amplitude": (inputs[0] / scale).transpose(0, 3, 1, 2).astype(np.float32),
        "centres": whole - low[:, None],
        "fractions": fractions.astype(np.float32),
    }
    # The canvas reaches to the mean, also where a group's patterns lie all on one side of it.
    spans = (np.maximum(whole.max(1), 0) - low).max(1)
    result = []
    for g, span in enumerate(spans):
        corners = tf.constant(batch["centres"][[g]])
        one = {name: tf.constant(value[[g]]) for name, value in batch.items()}
        optics = module.optics(one, slice(None), corners, canvas_side(int(span), 64))
        result.append(module.network(one["amplitude"], optics=optics)[0].numpy() * _GAIN)
    return result, low, batch["centres"]


@pytest.mark.parametrize(
    ("architecture", "gridsize"), [("cnn", 1), ("refined", 1), ("unet", 2), ("refined", 2), ("unrolled", 2)]
)
def test_they_compute_what_the_module_computes_and_predict_its_diffraction(architecture, gridsize):
    """The prediction by the NumPy oracle: the fraction of a position is on the probe, the whole part in the
    patch."""
    module = _module(
        gridsize, architecture, modes=2, model={"gaussian_smoothing_sigma": 0.6, "probe_mask": True}
    )
    inputs = _inputs(3, gridsize**2)
    if gridsize == 1:
        inputs[1] = np.array([[3.25, -7.5], [0, 0], [-4, 0.125]])[:, None, :, None]
    trimmed, amplitude, _ = _predict(models_of(module)["autoencoder"], inputs)
    offsets = -inputs[1][:, 0, ::-1].transpose(0, 2, 1)
    whole = np.floor(offsets).astype(np.int64)
    canvases, low, corners = _canvases(module, inputs, whole, offsets - whole)
    for g, canvas in enumerate(canvases):
        row, column = -low[g]
        middle = canvas[row : row + 64, column : column + 64]
        np.testing.assert_allclose(trimmed[g, ..., 0], middle, atol=2e-4 * np.abs(middle).max())
        where = corners[g] + 32 + (offsets - whole)[g]
        expected = diffraction_amplitude(
            np.pad(canvas, ((0, 1), (0, 1))), module.probe.numpy(), where, smoothing_sigma=0.6
        )
        expected *= _SCALE * _GAIN
        np.testing.assert_allclose(
            amplitude[g].transpose(2, 0, 1), expected, atol=5e-4 * expected.max(), rtol=1e-2
        )


def test_a_pixel_lies_where_the_specification_says():
    """An object that is known between pixels too: the middle of the patch is the mean of the positions, to a
    small part of a pixel, and x is x."""
    rng = np.random.default_rng(3)
    waves = rng.normal(0, 0.35, (12, 2))

    def object(y, x):
        phase = sum(np.sin(a * y + b * x + i) for i, (a, b) in enumerate(waves))
        return BACKGROUND * np.exp(0.1j * phase)

    positions = 70 + rng.uniform(-9, 9, (9, 2)) + [0.3, 0.9]
    mean, probe = positions.mean(0), two_modes(64)[:1]
    y, x = np.mgrid[:140, :140]
    amplitude = diffraction_amplitude(object(y, x), probe, positions)
    amplitude *= 32 / np.sqrt((amplitude**2).sum((1, 2)).mean())
    # Untrained, this network is the physics.
    module = PtychoPINN(ModelConfig(architecture="refined", gridsize=3, n_filters_scale=1), probe, _SCALE)
    relative = -(positions - mean)[:, ::-1].T[None, None]
    inputs = [_SCALE * amplitude.transpose(1, 2, 0)[None], relative]
    trimmed = _predict(models_of(module)["diffraction_to_obj"], inputs)[0, ..., 0]
    lit = np.abs(probe[0]) > 0.2 * np.abs(probe).max()

    def error(dy, dx):
        r = np.arange(64) - 32
        truth = object(mean[0] + dy + r[:, None], mean[1] + dx + r)[lit]
        found = trimmed[lit] * np.exp(-1j * np.angle(np.vdot(truth, trimmed[lit])))
        return np.linalg.norm(found - truth) / np.linalg.norm(truth)

    steps = np.linspace(-1, 1, 41)
    errors = np.array([[error(dy, dx) for dx in steps] for dy in steps])
    row, column = np.unravel_index(errors.argmin(), errors.shape)
    assert errors.max() > 1.5 * errors.min()
    assert abs(steps[row]) < 0.2 and abs(steps[column]) < 0.2


@pytest.mark.parametrize("architecture", ["refined", "unrolled"])
def test_groups_together_equal_groups_one_by_one_whatever_their_canvas(architecture):
    module = _module(2, architecture)
    for name, variable in module.network.arrays.items():
        if name.endswith("conv1/bias"):
            variable.assign_add(0.3 * tf.ones_like(variable))  # so that a convolution's edge shows
    model = models_of(module)["autoencoder"]
    parts = [_inputs(1, 4, seed=seed, spread=spread) for seed, spread in enumerate([2.0, 40.0, 9.0, 2.0])]
    together = _predict(model, [np.concatenate(x) for x in zip(*parts, strict=True)])
    for i, part in enumerate(parts):
        for whole, alone in zip(together, _predict(model, part), strict=True):
            np.testing.assert_allclose(whole[i], alone[0], atol=2e-4 * np.abs(alone).max())


@pytest.mark.parametrize("name", ["diffraction_to_obj", "autoencoder"])
def test_images_of_groups_are_made_batch_by_batch_and_say_the_same(name):
    model, (images, positions, made) = models_of(_module(2))[name], _grouped(22, 4)
    expected = _predict(model, [(images * 2.0).numpy(), positions])
    made.clear()
    found = model.predict([images * 2.0, positions], batch_size=4, verbose=0)
    # Six batches, the last one of two groups; each is made once, and in no larger part.
    assert sorted(made) == [8, 16, 16, 16, 16, 16]
    for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())
    with pytest.raises(RunError, match=r"of N=64 and gridsize=2: group the patterns"):
        model.predict([_grouped(3, 1)[0], positions[:3]], verbose=0)
    with pytest.raises(RunError, match="input has 22 groups, but input_positions 3"):
        model.predict([images, positions[:3]], verbose=0)


def test_a_batch_of_64_equals_batches_of_1():
    """The public implementation merges the groups of such a batch into one object."""
    model = models_of(_module(2))["diffraction_to_obj"]
    inputs = _inputs(64, 4)
    together = model.predict(inputs, batch_size=64, verbose=0)
    assert together.shape == (64, 64, 64, 1)
    for batch_size in (1, 24):
        np.testing.assert_allclose(
            model.predict(inputs, batch_size=batch_size, verbose=0), together, atol=1e-5
        )


def test_the_intensity_scale_is_the_unit_of_the_input():
    """Whatever it is: the network sees amplitudes of the same size, and predicts in the input's unit."""
    inputs = _inputs(2, 1)
    first, second = _module(1, moved=False), _module(1, moved=False)
    second.adopt(two_modes(64)[:1], 7 * _SCALE)
    assert models_of(second)["autoencoder"].intensity_scale == pytest.approx(7 * _SCALE, rel=1e-6)
    here = _predict(models_of(first)["autoencoder"], inputs)
    there = _predict(models_of(second)["autoencoder"], [7 * inputs[0], inputs[1]])
    for ours, theirs, factor in zip(there, here, (1, 7, 49), strict=True):
        np.testing.assert_allclose(ours, factor * theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(
    "setting",
    [
        {"object_big": False},
        {"probe_big": False},
        {"pad_object": False},
        {"probe_mask": True},
        {"probe_scale": 3.0},
        {"n_filters_scale": 2},
        {"amp_activation": "swish"},
        {"amp_activation": "softplus"},
        {"amp_activation": "relu"},
        {"gaussian_smoothing_sigma": 0.6},
    ],
    ids=lambda setting: "{}={}".format(*next(iter(setting.items()))),
)
def test_every_setting_changes_what_is_predicted(setting):
    inputs = _inputs(2, 4)
    predictions = []
    for changed in ({}, setting):
        model = ModelConfig(**{"gridsize": 2, "n_filters_scale": 1} | changed)
        module = PtychoPINN(model, two_modes(64), _SCALE)
        rng = np.random.default_rng(0)
        for name in ("amplitude", "phase"):  # heads that start at zero would hide what is before them
            for key, variable in module.network.arrays.items():
                if key.startswith(name) and key.endswith("kernel") and not variable.numpy().any():
                    variable.assign(0.3 * rng.normal(size=variable.shape))
        predictions.append(models_of(module)["autoencoder"](inputs)[1].numpy())
    assert np.linalg.norm(predictions[0] - predictions[1]) > 0.01 * np.linalg.norm(predictions[0])


# Saved and opened


@pytest.mark.parametrize("name", ["diffraction_to_obj", "autoencoder"])
@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
def test_a_keras_file_gives_the_model_back_to_the_bit(tmp_path, architecture, name):
    """In safe mode; with a probe and a scale that moved, also where the scan brought another number of
    modes."""
    module = _module(2, architecture, probe_trainable=True, seed=3, model={"probe_mask": True})
    module.adopt(1j * two_modes(64), 5.5)
    module.probe_parts.assign(module.probe_parts * 1.3)
    module.log_intensity_scale.assign_add(0.2)
    model, inputs = models_of(module)[name], _inputs(2, 4)
    model.save(tmp_path / "model.keras")
    opened = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(opened, GroupModel) and (opened.N, opened.channels, opened.name) == (64, 4, name)
    assert opened.intensity_scale == model.intensity_scale and opened.module is not module
    assert opened.module.training_intensity_scale == 5.5
    np.testing.assert_array_equal(opened.module.probe, module.probe)
    ours, theirs = (tf.nest.flatten(m(inputs)) for m in (opened, model))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    before = [v.numpy() for v in model.weights]
    for variable in opened.weights:
        variable.assign(variable + 1)
    assert all(np.array_equal(v, b) for v, b in zip(model.weights, before, strict=True))  # nothing is shared


def test_both_models_share_the_weights_of_their_module():
    module = _module(1)
    models = models_of(module)
    ids = {id(v) for v in module.variables}
    assert all({id(v) for v in model.variables} == ids for model in models.values())
    assert {id(v) for v in models["autoencoder"].trainable_variables} == {
        id(v) for v in module.trainable_variables
    }


_WITHOUT_THE_PACKAGE = """
import sys
import numpy as np, tensorflow as tf
with np.load(sys.argv[1]) as file:
    inputs = {name: tf.constant(file[name]) for name in file}
for folder in sys.argv[2:]:
    serve = tf.saved_model.load(folder).signatures["serving_default"]
    _, names = serve.structured_input_signature
    assert {n: tuple(s.shape) for n, s in names.items()} == {
        "input": (None, 64, 64, 4), "input_positions": (None, 1, 2, 4)}, names
    np.savez(folder + ".npz", **serve(**inputs))
assert not [m for m in sys.modules if m.startswith(("pinn_", "ptycho", "torch"))]
"""


@pytest.mark.processes
def test_a_saved_model_runs_where_this_package_is_not(tmp_path):
    """Whoever saves it, by Keras' name or by TensorFlow's: the same names of inputs and outputs."""
    models = models_of(_module(2))
    inputs = [x.astype(np.float32) for x in _inputs(2, 4)]
    np.savez(tmp_path / "in.npz", **dict(zip(("input", "input_positions"), inputs, strict=True)))
    folders = dict(zip((tmp_path / "exported", tmp_path / "saved"), models.values(), strict=True))
    models["diffraction_to_obj"].export(tmp_path / "exported")
    tf.saved_model.save(models["autoencoder"], str(tmp_path / "saved"))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-c", _WITHOUT_THE_PACKAGE, str(tmp_path / "in.npz"), *map(str, folders)],
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    for folder, model in folders.items():
        with np.load(f"{folder}.npz") as outputs:
            assert set(outputs) == set(model.output_names)
            for key, ours in zip(model.output_names, tf.nest.flatten(_predict(model, inputs)), strict=True):
                np.testing.assert_allclose(outputs[key], ours, atol=1e-3 * np.abs(ours).max())


def test_an_export_takes_what_keras_takes(tmp_path, capsys):
    model, folder = models_of(_module(1))["diffraction_to_obj"], tmp_path / "one"
    one = [keras.InputSpec(shape=(1, 64, 64, 1)), tf.TensorSpec((1, 1, 2, 1))]
    model.export(folder, verbose=True, input_signature=[one])
    assert str(folder) in capsys.readouterr().out
    opened = tf.saved_model.load(str(folder))
    with pytest.raises(TypeError):
        opened.serve(*(tf.constant(x, tf.float32) for x in _inputs(2, 1)))
    inputs = [tf.constant(x, tf.float32) for x in _inputs(1, 1)]
    np.testing.assert_allclose(opened.serve(*inputs)["trimmed_obj"], model(inputs), atol=1e-4)
    with pytest.raises(RunError, match="an input_signature of 1 inputs was given, but two"):
        model.export(folder, input_signature=one[:1])
    with pytest.raises(RunError, match=r"the options \['is_static'\] were given"):
        model.export(folder, is_static=True)
    with pytest.raises(ValueError, match="format=paper"):
        model.export(folder, format="paper", verbose=False)
