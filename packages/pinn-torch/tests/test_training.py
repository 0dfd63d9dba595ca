"""A training: what is declared trainable moves and nothing else, one seed gives one result, it ends."""

from __future__ import annotations

import json
import math

import attrs
import numpy as np
import pytest
import torch
from pinn_data.optics.probe import normalised_probe, probe_modes
from pinn_torch.archive.model_archive import load_model
from pinn_torch.errors import NotFiniteError
from pinn_torch.training.datamodule import PatternStack
from torch_scans import ARCHITECTURES, network_image, small_scan, small_training


def _state(archive):
    return {name: value.detach().clone() for name, value in load_model(archive).module.state_dict().items()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains_and_lowers_its_loss(tmp_path, architecture):
    result = small_training(
        tmp_path,
        small_scan(),
        architecture=architecture,
        learning_rate=3e-4,
        nepochs=5,
        predicted_neighbors=0,
        batch_size=12,
    )
    losses = [row["train_loss"] for row in result.history]
    assert len(losses) >= 5 and min(losses[2:]) < losses[0]
    assert result.archive == tmp_path / "wts.h5.zip" and result.archive.is_file()
    weights = load_model(result.archive).module.network.parameters()
    assert result.parameters == sum(p.numel() for p in weights)


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize(("probe", "scale"), [(False, False), (True, False), (False, True)])
def test_what_is_declared_trainable_moves_and_the_rest_does_not(tmp_path, gridsize, probe, scale):
    scan = small_scan(modes=2)
    settings = {"probe_trainable": probe, "intensity_scale_trainable": scale}
    state = _state(small_training(tmp_path, scan, gridsize=gridsize, **settings).archive)
    start = torch.from_numpy(normalised_probe(probe_modes(scan.probe), 64, 4.0))
    assert torch.equal(torch.view_as_complex(state["probe_parts"]), start) != probe
    measured = torch.tensor(math.log(PatternStack(scan).intensity_scale))
    assert torch.equal(state["log_intensity_scale"], measured) != scale
    assert state["network.trained.encoder0/conv1.bias"].any()  # it started at zero


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_seed_gives_the_same_weights_to_the_bit(tmp_path, trained, architecture):
    settings = {"architecture": architecture, "gridsize": 2, "learning_rate": 0.05}
    first = _state(trained(architecture, 2))
    again = _state(small_training(tmp_path / "again", small_scan(), **settings).archive)
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = _state(small_training(tmp_path / "other", small_scan(), seed=6, **settings).archive)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_history_tells_every_step_and_the_validation_of_every_epoch(tmp_path):
    result = small_training(tmp_path, small_scan(), nepochs=2, validation=small_scan(rows=3))
    assert [row["step"] for row in result.history] == [1, 2, 3, 4]
    assert [row["epoch"] for row in result.history] == [0, 0, 1, 1]
    assert [row["val_loss"] is not None for row in result.history] == [False, True, False, True]
    assert all(math.isfinite(row["train_loss"]) and row["train_deviance"] >= 0 for row in result.history)
    assert all(a["seconds"] <= b["seconds"] for a, b in zip(result.history, result.history[1:], strict=False))
    assert result.seconds >= result.history[-1]["seconds"]


def test_accumulated_batches_make_one_step_and_one_row(tmp_path):
    result = small_training(tmp_path, small_scan(), batch_size=3, execution={"accum_steps": 2})
    assert [row["step"] for row in result.history] == [1, 2]


@pytest.mark.parametrize("groups", [12, 11, 8, 7])
def test_accumulated_batches_equal_one_large_batch(tmp_path, groups):
    """Left-over batches too: 3 + 3, 3 + 3 and less; 3 + 3, 2; 3 + 3, 1."""
    settings = {"predicted_neighbors": 0, "nepochs": 1, "n_groups": groups}
    small = small_training(
        tmp_path / "a", small_scan(), batch_size=3, execution={"accum_steps": 2}, **settings
    )
    large = small_training(tmp_path / "b", small_scan(), batch_size=6, **settings)
    assert load_model(small.archive).provenance["steps"] == load_model(large.archive).provenance["steps"] == 2
    first, second = _state(small.archive), _state(large.archive)
    difference = torch.cat([(first[name] - second[name]).flatten() for name in first])
    # Adam divides a gradient by its own size: one that is all rounding may step either way.
    stepped_otherwise = (difference.abs() > 2e-4).double().mean()
    assert float(stepped_otherwise) < 1e-3 and float(difference.norm() / len(difference) ** 0.5) < 5e-5


def test_workers_train_the_same_network(tmp_path, caplog):
    here = small_training(tmp_path / "a", small_scan())
    there = small_training(tmp_path / "b", small_scan(), execution={"num_workers": 2})
    # What the one warning promises.
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said.startswith(
        "num_workers=2 with deterministic=True: the workers draw nothing, so the same seed"
    )
    assert "but not on another device" in said and "max_seconds" in said
    first, second = _state(here.archive), _state(there.archive)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "execution",
    [
        {"num_workers": 0},
        {"num_workers": 2, "deterministic": False},
        {"num_workers": 2, "deterministic": "warn"},
    ],
)
def test_workers_are_warned_of_where_a_run_is_said_to_be_deterministic_alone(tmp_path, caplog, execution):
    small_training(tmp_path, small_scan(), execution=execution)
    assert "num_workers" not in caplog.text


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_the_unit_of_the_probe_changes_nothing(tmp_path, scale):
    scan = small_scan()
    losses = [
        [row["train_loss"] for row in small_training(tmp_path / name, s).history]
        for name, s in (("a", scan), ("b", attrs.evolve(scan, probe=scan.probe * scale)))
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_max_seconds_ends_the_training_and_leaves_an_archive(tmp_path):
    result = small_training(tmp_path, small_scan(), nepochs=100_000, max_seconds=0.2)
    assert load_model(result.archive).provenance["epochs"] < 100_000
    assert 1 <= result.history[-1]["step"] < 200_000


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_max_seconds_that_is_no_time_is_refused(tmp_path, seconds):
    with pytest.raises(ValueError, match="max_seconds"):
        small_training(tmp_path, small_scan(), max_seconds=seconds)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    with pytest.raises(
        NotFiniteError, match=r"the loss became \S+ at step \d+: lower the learning rate"
    ) as e:
        small_training(tmp_path, small_scan(), nepochs=5, learning_rate=1e30)
    assert isinstance(e.value, RuntimeError)
    assert not (tmp_path / "wts.h5.zip").exists()


def test_nothing_is_written_beside_the_output_folder(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    small_training(tmp_path / "out", small_scan())
    assert list(elsewhere.iterdir()) == []
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["wts.h5.zip"]


def test_a_subsample_is_all_that_is_trained_on(tmp_path):
    """The same as training on a file with those frames alone; the draw is the seed's."""
    scan = small_scan()
    settings = {"n_subsample": 7, "subsample_seed": 3}
    result = small_training(tmp_path / "a", scan, **settings)
    part = small_training(tmp_path / "b", scan.select(scan.subsample(7, 3)))
    assert load_model(result.archive).provenance["training_frames"] == 7
    first, second = _state(result.archive), _state(part.archive)
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = _state(small_training(tmp_path / "c", scan, n_subsample=7, subsample_seed=4).archive)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_provenance_says_what_was_trained_on(tmp_path):
    provenance = load_model(small_training(tmp_path, small_scan(), seed=4).archive).provenance
    assert (provenance["seed"], provenance["steps"], provenance["training_frames"]) == (4, 2, 12)
    assert provenance["training_photons_per_frame"] == pytest.approx(small_scan().nphotons)
    assert provenance["torch"] == str(torch.__version__)
    json.dumps(provenance)


def test_arithmetic_of_the_caller_is_as_before(tmp_path):
    """Numbers too small for a normal float are zero inside, for speed, and not outside."""
    result = small_training(tmp_path, small_scan())
    network_image(result.archive, small_scan())
    assert float(np.float32(1e-40) * np.float32(1)) > 0
    assert float(torch.tensor([1e-40]) * 1) > 0


def test_a_training_warns_of_nothing_that_the_user_cannot_mend(tmp_path, recwarn):
    small_training(tmp_path, small_scan())
    assert [str(w.message) for w in recwarn] == []


def test_progress_bars_are_silent_unless_asked_for(tmp_path, capfd):
    small_training(tmp_path / "a", small_scan())
    quiet = capfd.readouterr()
    assert quiet.out == "" and quiet.err == ""
    small_training(tmp_path / "b", small_scan(), execution={"enable_progress_bar": True})
    shown = capfd.readouterr()
    assert shown.out == "" and "100%" in shown.err and "epoch 1/1" in shown.err
