"""Learning on known canvases: one half of the scan predicts the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.probe import probe_modes
from pinn_torch.archive import load_model
from pinn_torch.module import BACKGROUND, PtychoPINN_Lightning
from pinn_torch.polish import HalfImages, HalvesDataModule
from torch_scans import quiet, small_scan, small_training


def _data(gridsize=1, seed=0, scan=None, **settings):
    config = TrainingConfig(
        model=ModelConfig(architecture="unrolled", gridsize=gridsize, n_filters_scale=1),
        **{"batch_size": 4} | settings,
    )
    return HalvesDataModule(scan or small_scan(), config, quiet(), seed)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_a_group_lies_in_its_half_and_predicts_the_other(gridsize):
    data = _data(gridsize, predicted_neighbors=2)
    assert sorted(np.concatenate(data.members).tolist()) == list(range(12))
    assert set(data.halves.tolist()) == {0, 1}
    for row, half in zip(data.rows, data.halves, strict=True):
        own, predicted = row[: gridsize**2], row[gridsize**2 :]
        assert set(own.tolist()) <= set(data.members[half].tolist())
        assert set(predicted.tolist()) <= set(data.members[1 - half].tolist())
        assert len(predicted) == 2


def test_every_frame_is_seen_and_the_seed_divides_the_scan():
    data = _data()
    assert sorted(data.rows[:, 0].tolist()) == list(range(12))
    again, other = _data(), _data(seed=1)
    assert np.array_equal(data.rows, again.rows) and not np.array_equal(data.rows, other.rows)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_a_batch_says_its_half_and_fits_its_canvas(gridsize):
    data = _data(gridsize)
    for batch in data.train_dataloader():
        corners = batch["centres"] - batch["centres"].amin(1, keepdim=True)
        assert int(corners.max()) + 64 <= data.canvas
        assert batch["half"].shape == (len(corners),)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_a_group_starts_from_the_image_of_its_own_half(gridsize):
    """No photon of the frames that it must predict is in it: changing them changes nothing."""
    scan = small_scan()
    data = _data(gridsize)
    changed = scan.diffraction.copy()
    changed[data.members[1]] = changed[data.members[1]][:, ::-1]
    other = _data(gridsize, scan=type(scan)(changed, "counts", scan.positions, scan.probe))
    assert np.array_equal(data.rows, other.rows)
    starts = []
    for d in (data, other):
        torch.manual_seed(0)
        model = ModelConfig(architecture="unrolled", gridsize=gridsize, n_filters_scale=1)
        probe = torch.from_numpy(probe_modes(scan.probe))
        module = PtychoPINN_Lightning(model, probe, d.stack.intensity_scale)
        known = HalfImages(module, d, torch.device("cpu"), "32-true")
        batch = next(iter(d.train_dataloader()))
        starts.append(known(batch, module.corners(batch)[1], d.canvas))
        assert module.training
    first = batch["half"] == 0
    assert first.any() and not first.all()
    assert starts[0].shape == (4, data.canvas, data.canvas)
    assert torch.equal(starts[0][first], starts[1][first])
    assert not torch.equal(starts[0][~first], starts[1][~first])
    assert (starts[0] - BACKGROUND).abs().max() > 0.1


def test_only_what_acts_on_known_canvases_learns_then(tmp_path):
    scan = small_scan()
    whole = small_training(tmp_path / "a", scan, architecture="unrolled", nepochs=1)
    state = load_model(whole.archive).module.state_dict()
    assert state["network.trained.polish/conv3.kernel"].any()
    few = scan.select([0, 1, 2])
    small = small_training(tmp_path / "b", few, architecture="unrolled", n_groups=3)
    state = load_model(small.archive).module.state_dict()
    assert not state["network.trained.polish/conv3.kernel"].any()


def test_history_goes_on_through_the_polishing(tmp_path):
    result = small_training(tmp_path, small_scan(), architecture="unrolled", nepochs=4)
    steps, seconds = ([row[key] for row in result.history] for key in ("step", "seconds"))
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > 8
    assert seconds == sorted(seconds)
    assert load_model(result.archive).provenance["steps"] == len(steps)
