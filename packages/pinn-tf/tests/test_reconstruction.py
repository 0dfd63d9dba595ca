"""A reconstruction predicts what was measured, and turns and moves with its scan."""

from __future__ import annotations

import dataclasses
import logging

import attrs
import numpy as np
import pytest
import tensorflow as tf
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_data.errors import ShapeError
from pinn_data.optics.forward_model import residual
from pinn_data.optics.probe import probe_modes
from pinn_data.progress.reports import Cancel, CancelledError, Progress
from pinn_data.scan.positions import canvas_for
from pinn_data.testing import noise_free, small_scan, transposed
from pinn_tf.archive.model_archive import TrainedModel, load_model, save_model
from pinn_tf.backend import TENSORFLOW
from pinn_tf.errors import NotFiniteError, RunError
from pinn_tf.model.module import PtychoPINN
from pinn_tf.model.network import PtychoNetwork, read_weights, write_weights
from tf_trainings import network_image, quiet, small_training

_CASES = [("cnn", 1), ("unet", 2), ("refined", 2), ("unrolled", 1)]

pytestmark = pytest.mark.usefixtures("eager")


def _config(archive, **settings):
    # At gridsize 2 three neighbours leave no choice, so groups are the same for a scan that is turned.
    model = load_model(archive).config.model
    return InferenceConfig(model=model, **{"neighbor_count": 3} | settings)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """An 'unrolled' model that learned nothing: plain physics, which explains patterns without learning."""
    folder = tmp_path_factory.mktemp("untrained")
    model = ModelConfig(architecture="unrolled", n_filters_scale=1)
    module = PtychoPINN(model, probe_modes(small_scan().probe), 1.0)
    config = TrainingConfig(model=model, output_dir=folder)
    return save_model(folder, TrainedModel(module, config, quiet(), {}), native=False)


@pytest.mark.parametrize("modes", [1, 2])
def test_the_object_with_its_probe_predicts_the_measured_patterns(untrained, modes):
    """In the unit of the scan: counts, with the file's own probe, which the network never saw."""
    scan = noise_free(small_scan(modes=modes))
    result = network_image(untrained, scan)
    assert result.residual < 0.05
    np.testing.assert_array_equal(result.probe, scan.probe)


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_a_reconstruction_lies_where_the_scan_was_and_says_how_well_it_fits(trained, architecture, gridsize):
    scan = small_scan()
    result = network_image(trained(architecture, gridsize), scan)
    predicted = np.stack([result.predict_amplitude(i) for i in range(len(scan))])
    assert result.residual == pytest.approx(residual(predicted, scan.amplitude()), rel=1e-3)
    assert result.gridsize == gridsize
    assert result.canvas == canvas_for(scan.positions, 64)
    assert result.object.shape == result.coverage.shape == result.canvas.shape
    assert result.canvas.shape[0] != result.canvas.shape[1]
    assert result.object.dtype == np.complex64 and result.coverage.dtype == np.float32
    covered = result.coverage > 0
    assert (result.object[~covered] == 0).all() and (np.abs(result.object[covered]) > 0).any()
    corners = np.floor(scan.positions).astype(int) - 32 - np.array(result.canvas.origin)
    assert all(covered[r + 28 : r + 36, c + 28 : c + 36].any() for r, c in corners)
    assert set(result.seconds) == {"network", "stitching", "total"}
    assert 0 < result.seconds["network"] + result.seconds["stitching"] < result.seconds["total"]


@pytest.mark.parametrize(("architecture", "gridsize"), [("cnn", 2), ("unrolled", 1)])
def test_transposing_scan_and_kernels_transposes_the_reconstruction(
    tmp_path, trained, architecture, gridsize
):
    archive, scan = trained(architecture, gridsize), small_scan()
    opened = load_model(archive)
    weights = {
        name: np.ascontiguousarray(w.swapaxes(-1, -2)) if w.ndim == 4 else w
        for name, w in write_weights(opened.module.network).items()
    }
    assert any(w.ndim == 4 and np.abs(w - w.swapaxes(-1, -2)).max() > 1e-3 for w in weights.values())
    read_weights(opened.module.network, weights)
    here = network_image(archive, scan, _config(archive))
    there = TENSORFLOW.network_image(opened, transposed(scan), _config(archive), quiet(), seed=0)
    assert there.canvas.origin == here.canvas.origin[::-1]
    assert there.canvas.shape == here.canvas.shape[::-1]
    np.testing.assert_allclose(there.coverage, here.coverage.T, atol=1e-4)
    np.testing.assert_allclose(there.object, here.object.T, atol=2e-3 * np.abs(here.object).max())
    assert there.residual == pytest.approx(here.residual, rel=1e-3)


@pytest.mark.parametrize(("architecture", "gridsize"), [("cnn", 2), ("unrolled", 1)])
def test_moving_all_positions_moves_the_canvas_and_nothing_else(trained, architecture, gridsize):
    archive, scan = trained(architecture, gridsize), small_scan()
    move = np.array([137.0, -64.0])
    moved = attrs.evolve(scan, positions=scan.positions + move, object=None)
    here, there = network_image(archive, scan), network_image(archive, moved)
    assert tuple(np.array(there.canvas.origin) - here.canvas.origin) == tuple(move)
    assert np.array_equal(there.object, here.object)
    assert there.residual == pytest.approx(here.residual)


@pytest.mark.parametrize(("architecture", "gridsize"), [("cnn", 1), ("refined", 2)])
def test_the_phase_of_each_group_does_not_matter(monkeypatch, trained, architecture, gridsize):
    """A pattern does not tell the object's global phase, so a network may give every canvas its own."""
    archive = trained(architecture, gridsize)
    config = _config(archive)
    here = network_image(archive, small_scan(), config)
    call, rng = PtychoNetwork.call, np.random.default_rng(0)

    def turned(self, amplitude, optics=None):
        phases = np.exp(1j * rng.uniform(-3, 3, len(amplitude))).astype(np.complex64)
        return call(self, amplitude, optics) * phases[:, None, None]

    monkeypatch.setattr(PtychoNetwork, "call", turned)
    there = network_image(archive, small_scan(), config)
    overlap = np.vdot(there.object, here.object)
    aligned = there.object * (overlap / abs(overlap))
    np.testing.assert_allclose(aligned, here.object, atol=5e-3 * np.abs(here.object).max())
    assert there.residual == pytest.approx(here.residual, rel=1e-2)


def test_the_order_of_the_frames_does_not_matter(trained):
    scan = small_scan()
    order = np.random.default_rng(0).permutation(len(scan))
    here, there = network_image(trained(), scan), network_image(trained(), scan.select(order))
    np.testing.assert_allclose(there.object, here.object, atol=2e-3 * np.abs(here.object).max())


@pytest.mark.parametrize(("architecture", "gridsize"), [("cnn", 1), ("refined", 2)])
def test_the_size_of_a_batch_does_not_matter(trained, architecture, gridsize):
    archive, scan = trained(architecture, gridsize), small_scan()
    results = [
        network_image(archive, scan, execution=quiet(inference_batch_size=size)) for size in (1, 5, 64)
    ]
    for other in results[1:]:
        scale = np.abs(results[0].object).max()
        np.testing.assert_allclose(other.object, results[0].object, atol=2e-3 * scale)


def test_a_longer_exposure_gives_the_same_image_brighter(untrained):
    scan = noise_free(small_scan())
    brighter = attrs.evolve(scan, diffraction=scan.diffraction * 9.0)
    here, there = network_image(untrained, scan), network_image(untrained, brighter)
    np.testing.assert_allclose(there.object, 3 * here.object, atol=3e-3 * np.abs(here.object).max())
    assert there.residual == pytest.approx(here.residual, rel=1e-2)


def test_units_of_the_stack_do_not_matter(untrained):
    scan = small_scan()
    amplitude = attrs.evolve(scan, diffraction=scan.amplitude(), unit="amplitude")
    here, there = network_image(untrained, scan), network_image(untrained, amplitude)
    np.testing.assert_allclose(there.object, here.object, atol=1e-3 * np.abs(here.object).max())


def test_a_learned_intensity_scale_brightens_the_object(untrained):
    opened = load_model(untrained)
    opened.module.log_intensity_scale.assign_add(np.float32(np.log(2.0)))
    here = network_image(untrained, small_scan())
    there = TENSORFLOW.network_image(opened, small_scan(), None, quiet(), seed=0)
    np.testing.assert_allclose(there.object, 2 * here.object, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("probe_trainable", [False, True])
@pytest.mark.parametrize("probe_mask", [False, True])
def test_the_probe_that_comes_back_is_the_one_that_the_residual_needs(tmp_path, probe_trainable, probe_mask):
    scan = noise_free(small_scan())
    model = {"probe_mask": probe_mask}
    archive = small_training(
        tmp_path, scan, architecture="unrolled", probe_trainable=probe_trainable, model=model, n_groups=6
    ).archive
    result = network_image(archive, scan)
    predicted = np.stack([result.predict_amplitude(i) for i in range(len(scan))])
    assert result.residual == pytest.approx(residual(predicted, scan.amplitude()), rel=1e-3)
    assert (np.abs(result.probe[0]) == 0).all() == probe_mask
    # A mask takes light away, but what is left is placed as it was.
    assert result.residual < (0.35 if probe_mask else 0.1)


def test_a_model_of_this_process_stays_as_it_is(untrained):
    opened = load_model(untrained)
    before = [variable.value.numpy().copy() for variable in opened.module.variables]
    brighter = attrs.evolve(small_scan(modes=2), probe=7 * small_scan(modes=2).probe)
    TENSORFLOW.network_image(opened, brighter, None, quiet(precision="bf16-mixed"), seed=0)
    for variable, value in zip(opened.module.variables, before, strict=True):
        np.testing.assert_array_equal(variable.value.numpy(), value)
    assert opened.module.network.precision == "float32"


def test_progress_grows_to_one_and_a_bar_shows_it(trained, capfd):
    told: list[Progress] = []
    execution = quiet(enable_progress_bar=True, inference_batch_size=4)
    network_image(trained(), small_scan(), execution=execution, progress=told.append)
    shares = [progress.fraction for progress in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert len(shares) == 1 + 3 + 1
    assert [progress.finished for progress in told] == [False] * 4 + [True]
    assert "100%" in capfd.readouterr().err


@pytest.mark.parametrize("after", [0, 2])
def test_a_reconstruction_is_cancelled_after_the_batch(trained, after):
    told: list[Progress] = []

    def watcher(progress):
        told.append(progress)
        return Cancel if len(told) > after else None

    with pytest.raises(CancelledError, match=r"cancelled when .* of it was done, so there is no image"):
        network_image(trained(), small_scan(), progress=watcher)
    assert len(told) == after + 1


def test_fewer_groups_cover_less(trained):
    here = network_image(trained(), small_scan())
    there = network_image(trained(), small_scan(), _config(trained(), n_groups=2))
    assert there.canvas == here.canvas
    assert 0 < (there.coverage > 0).sum() < (here.coverage > 0).sum()


def test_threads_that_gather_batches_ahead_change_nothing(trained):
    images = [
        network_image(
            trained(), small_scan(), execution=quiet(num_workers=workers, inference_batch_size=2)
        ).object
        for workers in (0, 2)
    ]
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_an_image_in_mixed_precision_is_that_of_float32(untrained, tmp_path, precision):
    archive = small_training(tmp_path, small_scan(), architecture="refined", n_groups=6).archive
    exact = network_image(archive, small_scan())
    mixed = network_image(archive, small_scan(), execution=quiet(precision=precision))
    assert mixed.residual == pytest.approx(exact.residual, rel=0.01)
    assert 0 < np.linalg.norm(mixed.object - exact.object) < 0.04 * np.linalg.norm(exact.object)


# TensorFlow rewrites graphs, which round otherwise; "refined" makes that larger: 1e-5 (2.20) or 3e-4 (2.16).
@pytest.mark.parametrize("architecture, tolerance", [("unrolled", 1e-6), ("refined", 1e-3)])
def test_graphs_make_the_same_image(trained, architecture, tolerance):
    archive = trained(architecture, 2)
    eager = network_image(archive, small_scan(), _config(archive))
    tf.config.run_functions_eagerly(False)  # the fixture ends with this, too
    graph = network_image(archive, small_scan(), _config(archive), quiet(inference_batch_size=5))
    assert np.linalg.norm(graph.object - eager.object) < tolerance * np.linalg.norm(eager.object)


def test_debug_tells_the_details_and_nothing_else_does(trained, caplog):
    caplog.set_level(logging.WARNING, logger="pinn_tf")
    caplog.handler.setLevel(logging.NOTSET)
    network_image(trained(), small_scan(), _config(trained()))
    assert caplog.records == []
    network_image(trained(), small_scan(), _config(trained(), debug=True))
    assert "12 groups of 1 of 12 frames of 64 x 64 on CPU:0" in caplog.text
    assert logging.getLogger("pinn_tf").level == logging.WARNING


# What does not fit


def test_patterns_of_another_size_are_refused(trained):
    with pytest.raises(RunError, match=r"the patterns are 32 x 32, but the model was trained for N=64: crop"):
        network_image(trained(), small_scan(32))


@pytest.mark.parametrize("setting", [{"gridsize": 3}, {"architecture": "unet"}, {"probe_mask": True}])
def test_a_config_that_asks_for_another_network_is_refused(trained, setting):
    archive = trained("unrolled", 1)
    own = load_model(archive).config.model
    other = InferenceConfig(dataclasses.replace(own, **setting))
    with pytest.raises(RunError, match=f"{next(iter(setting))}=.* \\(the archive's is"):
        network_image(archive, small_scan(), other)


@pytest.mark.parametrize(
    ("settings", "execution", "error", "says"),
    [
        ({"border_px": -1}, {}, ConfigError, "border_px must be"),
        ({"n_groups": 0}, {}, ConfigError, "n_groups must be"),
        ({"border_px": 500}, {}, ShapeError, "border_px=500"),
        ({}, {"middle_trim": 65}, ShapeError, "middle_trim=65 .* 64 x 64 pixels: give 1 to 64"),
        ({}, {"devices": 2}, RunError, "devices=2"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused(trained, settings, execution, error, says):
    with pytest.raises(error, match=says):
        network_image(trained(), small_scan(), _config(trained(), **settings), quiet(**execution))


def test_frames_in_no_group_are_reported(trained, caplog):
    archive, scan = trained("cnn", 2), small_scan()
    far = attrs.evolve(scan, positions=scan.positions + np.where(np.arange(12) == 11, 17.0, 0.0)[:, None])
    config = _config(archive, neighbor_function="Min_dist", max_neighbor_distance=13.0)
    result = network_image(archive, far, config)
    assert "1 of 12 frames are in no group" in caplog.text
    y, x = (far.positions[11] - result.canvas.origin).astype(int)
    assert result.coverage[y + 10, x + 10] == 0


def test_numbers_that_are_not_finite_are_told(untrained):
    opened = load_model(untrained)
    array = opened.module.network.arrays["stage0/conv3/kernel"]
    array.assign(np.full(array.shape, np.inf, np.float32))
    with pytest.raises(NotFiniteError, match=r"not finite, in precision '32-true': its weights may have"):
        TENSORFLOW.network_image(opened, small_scan(), None, quiet(), seed=0)
