"""A supervised training learns the object of the file; its model reconstructs as any other does."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from pinn_torch.archive.model_archive import load_model
from torch_scans import ARCHITECTURES, network_image, small_scan, small_training

SUPERVISED = {"model_type": "supervised"}


def _error(result, scan):
    """Difference from the truth and ratio of amplitudes, both weighted with the light; one global phase is
    fitted."""
    (y, x), (rows, columns) = result.canvas.origin, result.canvas.shape
    truth = np.zeros(result.canvas.shape, np.complex64)
    part = scan.object[y : y + rows, x : x + columns]
    truth[: part.shape[0], : part.shape[1]] = part
    light = result.coverage * (result.coverage > 0.05 * result.coverage.max())
    overlap = np.sum(light * result.object.conj() * truth)
    found = result.object * (overlap / abs(overlap))
    energy = np.sum(light * np.abs(truth) ** 2)
    ratio = np.sum(light * np.abs(found)) / np.sum(light * np.abs(truth))
    return float(np.sqrt(np.sum(light * np.abs(found - truth) ** 2) / energy)), float(ratio)


@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
def test_it_comes_nearer_to_the_truth_in_its_own_unit(tmp_path, architecture):
    scan = small_scan(rows=6, columns=5)
    settings = {"architecture": architecture, "model": SUPERVISED, "predicted_neighbors": 0}
    errors, ratios, losses = [], [], []
    for name, epochs, rate in (("before", 1, 1e-12), ("after", 12, 3e-3)):
        result = small_training(
            tmp_path / name, scan, nepochs=epochs, learning_rate=rate, n_groups=30, **settings
        )
        image = network_image(result.archive, scan)
        error, ratio = _error(image, scan)
        errors.append(error)
        ratios.append(ratio)
        losses.append(result.history[-1]["train_loss"])
    assert errors[1] < 0.95 * errors[0] and errors[1] < 0.2
    assert losses[1] < 0.9 * losses[0]
    assert ratios[1] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("gridsize", [1, 2, 3])
def test_every_architecture_and_group_learns_and_reconstructs(tmp_path, architecture, gridsize):
    scan = small_scan(modes=2)
    result = small_training(
        tmp_path,
        scan,
        architecture=architecture,
        gridsize=gridsize,
        model=SUPERVISED,
        neighbor_count=9,
        validation=scan,
        batch_size=3,
        n_groups=6,
        execution={"accum_steps": 2},
    )
    assert [row["step"] for row in result.history] == [1]
    assert all(np.isfinite(row["train_loss"]) and row["val_loss"] > 0 for row in result.history)
    opened = load_model(result.archive)
    assert opened.config.model.model_type == "supervised" and opened.module.objective.supervised
    assert opened.module.val_loss_name == "mae_val_loss"
    image = network_image(result.archive, scan)
    assert np.isfinite(image.object).all() and image.residual < 0.7


def test_accumulated_batches_equal_one_large_batch(tmp_path):
    settings = {"predicted_neighbors": 0, "model": SUPERVISED, "realspace_weight": 1.0}
    small = small_training(
        tmp_path / "a", small_scan(), batch_size=6, execution={"accum_steps": 2}, **settings
    )
    large = small_training(tmp_path / "b", small_scan(), batch_size=12, **settings)
    first, second = (load_model(r.archive).module.state_dict() for r in (small, large))
    assert all(torch.allclose(first[name], second[name], atol=2e-4) for name in first)


def test_without_their_mean_phase_objects_that_differ_by_a_phase_teach_the_same(tmp_path):
    scan = small_scan()
    turned = attrs.evolve(scan, object=scan.object * np.exp(1.1j))
    for subtracted in (True, False):
        settings = {"model": SUPERVISED, "phase_subtraction": subtracted}
        losses = [
            [
                row["train_loss"]
                for row in small_training(tmp_path / f"{i}{subtracted}", s, **settings).history
            ]
            for i, s in enumerate((scan, turned))
        ]
        difference = np.abs(np.subtract(*losses)).max()
        assert difference < 1e-3 if subtracted else difference > 0.1


def test_the_scale_of_probe_and_object_in_the_file_does_not_matter(tmp_path):
    scan = small_scan()
    other = attrs.evolve(scan, probe=scan.probe * 300, object=scan.object * 0.2)
    losses = [
        [row["train_loss"] for row in small_training(tmp_path / name, s, model=SUPERVISED).history]
        for name, s in (("a", scan), ("b", other))
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_what_the_diffraction_alone_tells_does_not_move(tmp_path):
    scan = small_scan()
    module = load_model(small_training(tmp_path, scan, model=SUPERVISED).archive).module
    assert module.log_intensity_scale.exp().item() == pytest.approx(module.training_intensity_scale, rel=1e-6)


def test_an_interrupted_training_with_another_object_is_another_training(tmp_path):
    """What is learned from the object must not be resumed with another one."""
    from pinn_config.configs import ModelConfig, TrainingConfig
    from pinn_data.learning.fingerprint import fingerprint
    from torch_scans import quiet

    scan = small_scan()
    other = attrs.evolve(scan, object=scan.object.conj())

    def prints(**settings):
        config = TrainingConfig(ModelConfig(**settings))
        return [fingerprint(s, config, quiet(), 0) for s in (scan, other)]

    learned, unused = prints(**SUPERVISED), prints()
    assert learned[0] != learned[1]
    assert unused[0] == unused[1]
