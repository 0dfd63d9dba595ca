"""A reconstruction predicts what was measured, and turns and moves with its scan."""

from __future__ import annotations

import dataclasses

import attrs
import numpy as np
import pytest
import torch
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_data.optics.forward_model import residual
from pinn_data.optics.probe import probe_modes
from pinn_data.progress.reports import Cancel, CancelledError, Progress
from pinn_data.scan.positions import canvas_for
from pinn_torch.archive.model_archive import load_model, save_model
from pinn_torch.errors import RunError
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.model.network import PtychoNetwork, read_weights, write_weights
from torch_scans import (
    ARCHITECTURES,
    network_image,
    noise_free,
    quiet,
    small_scan,
    small_training,
    transposed,
)

_CASES = [(a, g) for a in ARCHITECTURES for g in (1, 2)]


def _config(archive, **settings):
    # At gridsize 2 three neighbours leave no choice, so groups are the same for a scan that is turned.
    model = load_model(archive).config.model
    return InferenceConfig(model=model, **{"neighbor_count": 3} | settings)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """An 'unrolled' model that learned nothing: plain physics, which explains patterns without learning."""
    folder = tmp_path_factory.mktemp("untrained")
    model = ModelConfig(architecture="unrolled", n_filters_scale=1)
    module = PtychoPINN_Lightning(model, torch.from_numpy(probe_modes(small_scan().probe)), 1.0)
    return save_model(folder, module, TrainingConfig(model=model, output_dir=folder), None, {})


@pytest.mark.parametrize("modes", [1, 2])
def test_the_object_with_its_probe_predicts_the_measured_patterns(untrained, modes):
    """In the unit of the scan: counts, with the file's own probe, which the network never saw."""
    scan = noise_free(small_scan(modes=modes))
    result = network_image(untrained, scan)
    assert result.residual < 0.05
    np.testing.assert_array_equal(result.probe, scan.probe)


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_the_residual_is_that_of_the_predicted_amplitudes(trained, architecture, gridsize):
    scan = small_scan()
    result = network_image(trained(architecture, gridsize), scan)
    predicted = np.stack([result.predict_amplitude(i) for i in range(len(scan))])
    assert result.residual == pytest.approx(residual(predicted, scan.amplitude()), rel=1e-3)
    assert result.gridsize == gridsize


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_the_canvas_is_that_of_the_positions(trained, architecture, gridsize):
    scan = small_scan()
    result = network_image(trained(architecture, gridsize), scan)
    assert result.canvas == canvas_for(scan.positions, 64)
    assert result.object.shape == result.coverage.shape == result.canvas.shape
    assert result.canvas.shape[0] != result.canvas.shape[1]
    assert result.object.dtype == np.complex64 and result.coverage.dtype == np.float32
    covered = result.coverage > 0
    assert (result.object[~covered] == 0).all() and (np.abs(result.object[covered]) > 0).any()
    corners = np.floor(scan.positions).astype(int) - 32 - np.array(result.canvas.origin)
    assert all(covered[r + 28 : r + 36, c + 28 : c + 36].any() for r, c in corners)


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
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
    turned = save_model(tmp_path, opened.module, opened.config, None, {})
    here = network_image(archive, scan, _config(archive))
    there = network_image(turned, transposed(scan), _config(archive))
    assert there.canvas.origin == here.canvas.origin[::-1]
    assert there.canvas.shape == here.canvas.shape[::-1]
    np.testing.assert_allclose(there.coverage, here.coverage.T, atol=1e-4)
    np.testing.assert_allclose(there.object, here.object.T, atol=2e-3 * np.abs(here.object).max())
    assert there.residual == pytest.approx(here.residual, rel=1e-3)


@pytest.mark.parametrize(("architecture", "gridsize"), _CASES)
def test_moving_all_positions_moves_the_canvas_and_nothing_else(trained, architecture, gridsize):
    archive, scan = trained(architecture, gridsize), small_scan()
    move = np.array([137.0, -64.0])
    moved = attrs.evolve(scan, positions=scan.positions + move, object=None)
    here, there = network_image(archive, scan), network_image(archive, moved)
    assert tuple(np.array(there.canvas.origin) - here.canvas.origin) == tuple(move)
    assert np.array_equal(there.object, here.object)
    assert there.residual == pytest.approx(here.residual)


@pytest.mark.parametrize(
    ("architecture", "gridsize"), [("cnn", 1), ("unet", 2), ("refined", 1), ("unrolled", 1)]
)
def test_the_phase_of_each_group_does_not_matter(monkeypatch, trained, architecture, gridsize):
    """A pattern does not tell the object's global phase, so a network may give every canvas its own."""
    archive = trained(architecture, gridsize)
    config = _config(archive)
    here = network_image(archive, small_scan(), config)
    forward, rng = PtychoNetwork.forward, np.random.default_rng(0)

    def turned(self, amplitude, optics):
        phases = torch.from_numpy(rng.uniform(-3, 3, len(amplitude)).astype(np.float32))
        return forward(self, amplitude, optics) * torch.polar(torch.ones(()), phases)[:, None, None]

    monkeypatch.setattr(PtychoNetwork, "forward", turned)
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


@pytest.mark.parametrize(("architecture", "gridsize"), [("cnn", 1), ("refined", 2), ("unrolled", 2)])
def test_the_size_of_a_batch_does_not_matter(trained, architecture, gridsize):
    archive, scan = trained(architecture, gridsize), small_scan()
    results = [
        network_image(archive, scan, execution=quiet(inference_batch_size=size)) for size in (1, 5, 64)
    ]
    for other in results[1:]:
        scale = np.abs(results[0].object).max()
        np.testing.assert_allclose(other.object, results[0].object, atol=2e-3 * scale)


@pytest.mark.parametrize("factor", [0.25, 9.0])
def test_a_longer_exposure_gives_the_same_image_brighter(untrained, factor):
    scan = noise_free(small_scan())
    brighter = attrs.evolve(scan, diffraction=scan.diffraction * factor)
    here, there = network_image(untrained, scan), network_image(untrained, brighter)
    scale = np.abs(here.object).max()
    np.testing.assert_allclose(there.object / np.sqrt(factor), here.object, atol=1e-3 * scale)
    assert there.residual == pytest.approx(here.residual, rel=1e-2)


def test_units_of_the_stack_do_not_matter(untrained):
    scan = small_scan()
    amplitude = attrs.evolve(scan, diffraction=scan.amplitude(), unit="amplitude")
    here, there = network_image(untrained, scan), network_image(untrained, amplitude)
    np.testing.assert_allclose(there.object, here.object, atol=1e-3 * np.abs(here.object).max())


def test_a_learned_intensity_scale_brightens_the_object(tmp_path, untrained):
    opened = load_model(untrained)
    with torch.no_grad():
        opened.module.log_intensity_scale += np.log(2.0)
    scaled = save_model(tmp_path, opened.module, opened.config, None, {})
    here, there = network_image(untrained, small_scan()), network_image(scaled, small_scan())
    np.testing.assert_allclose(there.object, 2 * here.object, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("probe_trainable", [False, True])
@pytest.mark.parametrize("probe_mask", [False, True])
def test_the_probe_that_comes_back_is_the_one_that_the_residual_needs(tmp_path, probe_trainable, probe_mask):
    scan = noise_free(small_scan())
    model = {"probe_mask": probe_mask}
    archive = small_training(
        tmp_path, scan, architecture="unrolled", probe_trainable=probe_trainable, model=model
    ).archive
    result = network_image(archive, scan)
    predicted = np.stack([result.predict_amplitude(i) for i in range(len(scan))])
    assert result.residual == pytest.approx(residual(predicted, scan.amplitude()), rel=1e-3)
    dark = np.abs(result.probe[0]) == 0
    assert dark.all() == probe_mask
    # A mask takes light away, but what is left is placed as it was.
    assert result.residual < (0.35 if probe_mask else 0.1)


def test_progress_grows_to_one(trained):
    told: list[Progress] = []
    network_image(trained(), small_scan(), execution=quiet(inference_batch_size=4), progress=told.append)
    shares = [progress.fraction for progress in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1 and len(shares) == 1 + 3 + 1
    assert [progress.finished for progress in told] == [False] * (len(told) - 1) + [True]
    assert {progress.stage for progress in told} == {"reconstruction"}


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


def test_seconds_are_told_for_every_part(trained):
    seconds = network_image(trained(), small_scan()).seconds
    assert set(seconds) == {"network", "stitching", "total"}
    assert 0 < seconds["network"] < seconds["total"] and 0 < seconds["stitching"] < seconds["total"]


# What does not fit


def test_patterns_of_another_size_are_refused(trained):
    with pytest.raises(RunError, match=r"the patterns are 32 x 32, but the model was trained for N=64: crop"):
        network_image(trained(), small_scan(32))


@pytest.mark.parametrize("setting", [{"gridsize": 3}, {"architecture": "unet"}, {"probe_mask": True}])
def test_a_config_that_asks_for_another_network_is_refused(trained, setting):
    archive = trained("unrolled", 2)
    own = load_model(archive).config.model
    plain = InferenceConfig(ModelConfig(N=64), neighbor_count=3)
    repeated = InferenceConfig(own, neighbor_count=3)
    scan = small_scan()
    first, second = (network_image(archive, scan, c).object for c in (plain, repeated))
    np.testing.assert_array_equal(first, second)
    other = InferenceConfig(dataclasses.replace(own, **setting))
    with pytest.raises(RunError, match=f"{next(iter(setting))}=.* \\(the archive's is"):
        network_image(archive, scan, other)


def test_a_subsample_is_all_that_is_reconstructed_from(trained):
    """The patterns that were not drawn change nothing but the residual, which is that of all frames."""
    scan = small_scan()
    frames = scan.subsample(6, 2)
    others = np.setdiff1d(np.arange(len(scan)), frames)
    exchanged = scan.diffraction.copy()
    exchanged[others] = exchanged[others[::-1]]
    config = _config(trained(), n_subsample=6, subsample_seed=2)
    image = network_image(trained(), scan, config)
    whole = network_image(trained(), scan)
    assert image.object.shape == whole.object.shape and len(image.positions) == len(scan)
    assert (image.coverage > 0).sum() < (whole.coverage > 0).sum()
    other = network_image(trained(), attrs.evolve(scan, diffraction=exchanged), config)
    np.testing.assert_allclose(other.object, image.object, rtol=1e-4, atol=1e-5)
    assert other.residual != image.residual


@pytest.mark.parametrize("settings", [{"border_px": -1}, {"n_groups": 0}, {"neighbor_count": -1}])
def test_a_configuration_that_cannot_be_run_is_refused(trained, settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        network_image(trained(), small_scan(), _config(trained(), **settings))


def test_positions_far_apart_are_refused_before_memory_is_taken(trained):
    scan = small_scan()
    positions = scan.positions.copy()
    positions[0] = [1e7, 1e7]
    with pytest.raises(ValueError, match="remove outlying positions"):
        network_image(trained(), attrs.evolve(scan, positions=positions))


def test_the_rule_about_neighbours_is_honoured_and_frames_in_no_group_are_reported(trained, caplog):
    archive, scan = trained("cnn", 2), small_scan()
    far = attrs.evolve(scan, positions=scan.positions + np.where(np.arange(12) == 11, 17.0, 0.0)[:, None])
    config = _config(archive, neighbor_function="Min_dist", max_neighbor_distance=13.0)
    result = network_image(archive, far, config)
    assert "1 of 12 scan points anchor no group" in caplog.text
    assert "1 of 12 frames are in no group" in caplog.text
    y, x = (far.positions[11] - result.canvas.origin).astype(int)
    assert result.coverage[y + 10, x + 10] == 0
    caplog.clear()
    assert network_image(archive, far, _config(archive)).coverage[y + 10, x + 10] > 0
    assert "in no group" not in caplog.text
    with pytest.raises(ValueError, match="raise max_neighbor_distance to"):
        network_image(
            archive, scan, _config(archive, neighbor_function="4_quadrant", max_neighbor_distance=3.0)
        )


def test_threads_that_gather_batches_ahead_change_nothing(tmp_path):
    scan = small_scan()
    archive = small_training(tmp_path, scan, architecture="unrolled").archive
    images = [
        network_image(archive, scan, execution=quiet(num_workers=workers, inference_batch_size=2)).object
        for workers in (0, 3)
    ]
    np.testing.assert_array_equal(*images)
