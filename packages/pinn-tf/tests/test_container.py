"""A container is what its groups' frames are, costs nothing before it is read, and splits as a whole."""

from __future__ import annotations

import tracemalloc

import attrs
import keras
import numpy as np
import pytest
import tensorflow as tf
from pinn_config import InferenceConfig, ModelConfig, legacy, update_legacy_dict
from pinn_data.errors import DataWriteError, ShapeError
from pinn_data.grouping.grouped_images import GroupedImages
from pinn_data.grouping.raw_data import RawData
from pinn_data.stitching.reassembly import reassemble_position
from pinn_data.testing import small_scan
from pinn_tf.errors import RunError
from pinn_tf.historical.container import PtychoDataContainer
from pinn_tf.historical.loader import PtychoDataset, load


@pytest.fixture(autouse=True)
def bridged(monkeypatch):
    monkeypatch.setattr(legacy, "cfg", dict(legacy.cfg))
    update_legacy_dict(legacy.cfg, InferenceConfig(ModelConfig(N=64, gridsize=2)))


def _raw(**options):
    scan = small_scan(**options)
    # The stage was sent elsewhere than it arrived.
    return RawData.from_scan(
        attrs.evolve(scan, positions_start=scan.positions + [[0.5, -0.75]] * scan.positions)
    )


def _container(raw, *, gridsize=2, nsamples=10, **options):
    grouped = raw.generate_grouped_data(64, K=6, nsamples=nsamples, gridsize=gridsize)
    return grouped, load(lambda: grouped, raw.probeGuess, **options)


def _equal(container, expected):
    """The attributes of a container, against arrays."""
    for name, array in expected.items():
        value = getattr(container, name)
        np.testing.assert_allclose(np.asarray(value), array, rtol=1e-5, atol=1e-6, err_msg=name)


def _expected(raw, grouped):
    rows = grouped["nn_indices"]
    corner = np.floor(raw.scan.positions).astype(int) - 32
    positions = np.moveaxis(raw.scan.positions[rows][..., ::-1], 1, -1)[:, None]
    start = np.moveaxis(raw.scan.positions_start[rows][..., ::-1], 1, -1)[:, None]
    amplitude = np.moveaxis(raw.scan.amplitude()[rows], 1, -1)
    assert corner.min() >= 0
    return {
        "X": amplitude * 32 / np.sqrt(np.mean(np.sum(amplitude.astype(float) ** 2, axis=(1, 2)))),
        "coords_true": positions.mean(-1, keepdims=True) - positions,
        "coords": positions.mean(-1, keepdims=True) - positions,
        "local_offsets": positions.mean(-1, keepdims=True) - positions,
        "coords_nominal": start.mean(-1, keepdims=True) - start,
        "global_offsets": positions.mean(-1, keepdims=True),
        "nn_indices": rows,
        "probe": raw.probeGuess,
        "YY_full": raw.objectGuess,
    }


@pytest.mark.parametrize("gridsize", [1, 2, 3])
@pytest.mark.parametrize("modes", [1, 2])
def test_a_container_holds_what_its_frames_are(gridsize, modes):
    raw = _raw(modes=modes)
    grouped, container = _container(raw, gridsize=gridsize)
    B, C = grouped["nn_indices"].shape
    assert (len(container), B, C) == (10, 10, gridsize**2)
    _equal(container, _expected(raw, grouped))
    for name in ("X", "Y_I", "Y_phi", "Y"):
        value = getattr(container, name)
        assert isinstance(value, GroupedImages) and value.shape == (B, 64, 64, C)
        assert value.dtype == (np.complex64 if name == "Y" else np.float32)
    np.testing.assert_allclose(container.Y, grouped["Y"], atol=1e-6)
    np.testing.assert_allclose(container.Y_I, np.abs(grouped["Y"]), rtol=1e-6)
    np.testing.assert_allclose(container.Y_phi, np.angle(grouped["Y"]), atol=1e-6)


_TAKEN = {
    "convert_to_tensor": tf.convert_to_tensor,
    "an operation": lambda value: tf.concat([value[:4], value], 0)[4:],
    "a function": tf.function(tf.identity, autograph=False),
    "a signature": lambda value: tf.function(
        tf.identity, input_signature=[tf.TensorSpec([None] * len(value.shape), value.dtype)], autograph=False
    )(value),
    "a variable": lambda value: tf.Variable(value).value(),
    "from_tensors": lambda value: next(iter(tf.data.Dataset.from_tensors(value))),
    "from_tensor_slices": lambda value: next(
        iter(tf.data.Dataset.from_tensor_slices({"x": value}).batch(len(value)))
    )["x"],
    "a layer": lambda value: keras.layers.Identity(dtype=value.dtype.name)(value),
}


@pytest.mark.parametrize("taken", _TAKEN)
def test_tensorflow_takes_all_of_it_as_tensors_of_the_models_kind(taken):
    _, container = _container(_raw())
    B, C = 10, 4
    shapes = {
        "X": ((B, 64, 64, C), tf.float32),
        "Y": ((B, 64, 64, C), tf.complex64),
        "Y_I": ((B, 64, 64, C), tf.float32),
        "coords_nominal": ((B, 1, 2, C), tf.float32),
        "coords_true": ((B, 1, 2, C), tf.float32),
        "coords": ((B, 1, 2, C), tf.float32),
        "local_offsets": ((B, 1, 2, C), tf.float32),
        "global_offsets": ((B, 1, 2, 1), tf.float32),
        "probe": ((64, 64), tf.complex64),
    }
    for name, (shape, dtype) in shapes.items():
        value = getattr(container, name)
        tensor = _TAKEN[taken](value)
        assert (tuple(tensor.shape), tensor.dtype) == (shape, dtype), name
        np.testing.assert_array_equal(tensor.numpy(), np.asarray(value))
    assert tf.is_tensor(container.coords_true) and tf.is_tensor(container.probe)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_a_keras_model_predicts_from_it_and_the_patches_come_together(gridsize):
    _, container = _container(_raw(), gridsize=gridsize)
    C = gridsize**2
    x = keras.Input((64, 64, C), name="input")
    positions = keras.Input((1, 2, C), name="input_positions")
    mean = (
        keras.ops.mean(x, axis=-1, keepdims=True)
        + 0 * keras.ops.sum(positions, axis=(1, 2, 3))[:, None, None, None]
    )
    model = keras.Model([x, positions], mean)
    scaled = container.X * 3.0
    predicted = model.predict([scaled, container.local_offsets], batch_size=4, verbose=0)
    np.testing.assert_allclose(predicted[..., 0], 3 * np.mean(container.X, axis=-1), rtol=1e-5)
    inputs = [scaled, container.local_offsets]
    for at_once in (model(inputs), model.predict_on_batch(inputs)):
        np.testing.assert_allclose(at_once, predicted, rtol=1e-6)
    sliced = tf.data.Dataset.from_tensor_slices((tuple(inputs),)).batch(4)
    np.testing.assert_allclose(model.predict(sliced, verbose=0), predicted, rtol=1e-6)
    streamed = model.predict(container.as_tf_dataset(4, shuffle=False, scale=3.0), verbose=0)
    np.testing.assert_allclose(streamed, predicted, rtol=1e-6)
    image = np.squeeze(reassemble_position(predicted.astype(np.complex64), container.global_offsets, M=20))
    assert image.ndim == 2 and np.iscomplexobj(image)
    # The object that came with the scan is what it is centred on; a tensor of the positions does not know it.
    assert container.global_offsets.object_shape == container.YY_full.shape
    about_middle = reassemble_position(
        tf.constant(predicted, tf.complex64), tf.convert_to_tensor(container.global_offsets)
    )
    plain = reassemble_position(predicted.astype(np.complex64), np.asarray(container.global_offsets))
    np.testing.assert_array_equal(about_middle, plain)


def test_without_an_object_the_truth_is_one_and_takes_no_memory():
    raw = RawData.from_scan(attrs.evolve(small_scan(), object=None))
    _, container = _container(raw)
    assert (np.asarray(container.Y) == 1).all() and container.Y_I.base.nbytes <= 8
    assert container.YY_full is None and container.global_offsets.object_shape is None


def test_truth_patches_that_came_with_the_scan_are_taken():
    raw = _raw()
    raw.Y = (1j * np.arange(1, 13)[:, None, None] * np.ones((12, 64, 64))).astype(np.complex64)
    grouped, container = _container(raw)
    np.testing.assert_allclose(np.asarray(container.Y)[:, 5, 6], 1j * (grouped["nn_indices"] + 1), rtol=1e-6)
    arrays = {key: np.asarray(value) for key, value in grouped.items() if value is not None}
    again = load(lambda: arrays, raw.probeGuess)
    np.testing.assert_allclose(again.Y, container.Y, atol=1e-5)
    np.testing.assert_array_equal(again.X, np.asarray(container.X))


def test_a_container_may_hold_plain_arrays():
    raw = _raw()
    _, container = _container(raw)
    fields = [np.asarray(getattr(container, n)) for n in ("X", "Y_I", "Y_phi")]
    fields += [2.5, None, np.asarray(container.coords_nominal), np.asarray(container.coords_true)]
    fields += [container.nn_indices, container.global_offsets, container.local_offsets, raw.probeGuess]
    again = PtychoDataContainer(*fields)
    for name in ("X", "Y", "coords_nominal", "coords", "nn_indices", "probe", "global_offsets"):
        np.testing.assert_allclose(
            np.asarray(getattr(again, name)), np.asarray(getattr(container, name)), atol=1e-6
        )
    assert again.norm_Y_I == 2.5
    mixed = attrs.evolve(again, Y_I=container.Y_I * 2.0)
    np.testing.assert_allclose(mixed.Y, 2 * np.asarray(container.Y), atol=1e-5)
    turned = attrs.evolve(container, Y_I=container.Y_I * 2.0)
    np.testing.assert_allclose(turned.Y, 2 * np.asarray(container.Y), atol=1e-5)


def test_20000_groups_take_the_memory_of_their_numbers():
    """Their patterns would be 1.3 GB, and the rest of the container four times as much."""
    raw = _raw(rows=20, columns=15)
    tracemalloc.start()
    try:
        _, container = _container(raw, nsamples=20000)
        dataset = PtychoDataset.split(container, 0.75)
        first = next(iter(dataset.train_data.as_tf_dataset(16)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(dataset.train_data), len(dataset.test_data)) == (15000, 5000)
    assert container.X.nbytes > 1.3e9 and first["input"].shape == (16, 64, 64, 4)
    assert peak < 64e6


# Splitting

_PER_GROUP = (
    "X",
    "Y",
    "Y_I",
    "Y_phi",
    "coords_nominal",
    "coords_true",
    "nn_indices",
    "global_offsets",
    "local_offsets",
)


@pytest.mark.parametrize(("share", "first"), [(0.7, 7), (0.1, 1), (0.94, 9)])
def test_a_split_takes_everything_of_a_group_with_it(share, first):
    raw = _raw()
    grouped, whole = _container(raw)
    parts = [load(lambda: (grouped, share), raw.probeGuess, which, True) for which in ("train", "test")]
    assert [len(p) for p in parts] == [first, 10 - first]
    for name in _PER_GROUP:
        values = [np.asarray(getattr(part, name)) for part in parts]
        np.testing.assert_array_equal(np.concatenate(values), np.asarray(getattr(whole, name)), err_msg=name)
    for part in parts:
        assert np.array_equal(part.probe, whole.probe) and part.norm_Y_I == whole.norm_Y_I
        assert part.global_offsets.object_shape == raw.objectGuess.shape


def test_groups_are_selected_by_number_and_by_mask():
    _, whole = _container(_raw())
    mask = np.arange(10) % 3 == 0
    for which in (np.array([9, 0, 4]), mask, slice(2, None, 3)):
        part = whole.select(which)
        for name in _PER_GROUP:
            np.testing.assert_array_equal(getattr(part, name), np.asarray(getattr(whole, name))[which])


def test_batches_are_drawn_anew_in_every_pass_and_alike_for_one_seed():
    _, container = _container(_raw(), gridsize=1)

    def passes(**options):
        dataset = container.as_tf_dataset(4, **options)
        found = []
        for _ in range(2):
            batches = [{k: v.numpy() for k, v in batch.items()} for batch in dataset]
            assert [len(b["input"]) for b in batches] == [4, 4, 2]
            found.append(np.concatenate([b["input"] for b in batches]))
        return found

    first, second = passes(seed=3)
    assert not np.array_equal(first, second)
    again = passes(seed=3)
    assert np.array_equal(first, again[0]) and np.array_equal(second, again[1])
    assert not np.array_equal(first, passes(seed=4)[0])
    in_order = passes(shuffle=False, scale=2.0)
    np.testing.assert_allclose(in_order[0], 2 * np.asarray(container.X), rtol=1e-6)
    assert np.array_equal(*in_order)
    assert sorted(first.sum((1, 2, 3))) == pytest.approx(sorted(in_order[0].sum((1, 2, 3)) / 2), rel=1e-4)


# Writing


def test_a_file_holds_all_of_it(tmp_path):
    _, container = _container(_raw(modes=2))
    path = container.to_npz(tmp_path / "c.npz")
    names = {*_PER_GROUP, "norm_Y_I", "YY_full", "probe"} - {"Y"}
    with np.load(path) as file:
        assert set(file) == names
        for name in names:
            np.testing.assert_allclose(file[name], np.asarray(getattr(container, name)), rtol=1e-6, atol=1e-6)
    without = attrs.evolve(container, YY_full=None)
    with np.load(without.to_npz(tmp_path / "d.npz")) as file:
        assert set(file) == names - {"YY_full"}
    with pytest.raises(DataWriteError, match="does not exist: create it"):
        container.to_npz(tmp_path / "no" / "c.npz")


def test_a_container_of_a_scan_without_position_correction():
    raw = small_scan()
    p = raw.positions
    container = PtychoDataContainer.from_raw_data_without_pc(
        p[:, 1], p[:, 0], raw.diffraction, raw.probe, objectGuess=raw.object, nsamples=5
    )
    assert container.X.shape == (5, 64, 64, 4)  # the bridged gridsize
    np.testing.assert_array_equal(container.coords_true, container.coords_nominal)


# What does not fit


def test_arrays_that_do_not_fit_are_refused_in_one_sentence():
    _, container = _container(_raw())
    wrong = {
        "X": (np.zeros((10, 64, 64), np.float32), r"X has shape \(10, 64, 64\)"),
        "Y_I": (np.ones((10, 64, 64, 1), np.float32), r"Y_I has shape \(10, 64, 64, 1\)"),
        "Y_phi": (container.Y_phi[:9], r"Y_phi has shape"),
        "coords_true": (np.zeros((10, 1, 2, 1)), r"coords_true has shape"),
        "coords_nominal": (np.zeros((10, 2, 1, 4)), r"coords_nominal has shape"),
        "nn_indices": (np.zeros((10, 1), int), r"nn_indices has shape"),
        "global_offsets": (np.zeros((10, 1, 2, 4)), r"global_offsets has shape"),
        "local_offsets": (np.zeros((9, 1, 2, 4)), r"local_offsets has shape"),
        "probeGuess": (np.ones((32, 32)), r"the probe has shape \(32, 32\), but the patterns are 64 x 64"),
    }
    for name, (value, why) in wrong.items():
        with pytest.raises(ShapeError, match=why) as caught:
            attrs.evolve(container, **{name: value})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "options", "why"),
    [
        (lambda g: g, {"which": "validation"}, "which='validation' was given, but 'train' or 'test' or None"),
        (lambda g: (g, 0.5), {"which": None, "create_split": True}, "which=None was given"),
        (lambda g: g, {"which": "train", "create_split": True}, r"must return \(grouped data, fraction\)"),
        (lambda g: (g, 0.5), {"which": "train"}, "must return the dictionary"),
        (lambda g: {k: v for k, v in g.items() if k != "X_full"}, {}, "the grouped data have no 'X_full'"),
        (lambda g: (g, 1.0), {"which": "train", "create_split": True}, "train_frac=1 of 10 groups leaves"),
        (lambda g: (g, 0.01), {"which": "test", "create_split": True}, "between 0 and 1"),
        (lambda g: (g, float("nan")), {"which": "test", "create_split": True}, "train_frac=nan"),
    ],
)
def test_what_is_no_grouped_data_is_refused_in_one_sentence(made, options, why):
    raw = _raw()
    grouped = raw.generate_grouped_data(64, K=6, nsamples=10, gridsize=2)
    with pytest.raises(RunError, match=why) as caught:
        load(lambda: made(grouped), raw.probeGuess, **options)
    assert "\n" not in str(caught.value)


def test_a_batch_of_nothing_is_refused():
    _, container = _container(_raw())
    with pytest.raises(RunError, match="batch_size=0 was given"):
        container.as_tf_dataset(0)


def test_the_scale_of_photons_is_that_of_the_configuration():
    _, container = _container(_raw())
    assert container.norm_Y_I == pytest.approx(np.sqrt(1e9) / 32)
