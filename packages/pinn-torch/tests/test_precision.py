"""Mixed precision: convolutions in 16 bits, the same numbers within what 16 bits can hold."""

from __future__ import annotations

import lightning
import numpy as np
import pytest
import torch
from pinn_data.grouping.group_rows import canvas_size
from pinn_torch.archive.model_archive import load_model
from pinn_torch.errors import NotFiniteError, RunError
from pinn_torch.runtime import devices
from pinn_torch.runtime.devices import autocast
from pinn_torch.training.datamodule import PatternStack
from torch_scans import ARCHITECTURES, network_image, quiet, small_scan, small_training

_CPU = torch.device("cpu")
_HALF = pytest.mark.skipif(not devices._has_half_on_cpu(), reason="this PyTorch has no float16 on a CPU")
_MIXED = ("bf16-mixed", pytest.param("16-mixed", marks=_HALF))
# Of the misfit: 8 and 11 significant bits, through some ten convolutions.
_TOLERANCE = {"bf16-mixed": 0.01, "16-mixed": 0.001}
# Of an image, as a whole.
_OF_AN_IMAGE = {"bf16-mixed": 0.06, "16-mixed": 0.02}


@pytest.fixture(scope="module")
def sane(tmp_path_factory):
    """``sane(architecture)``: an archive of a training that did not diverge."""
    archives = {}

    def archive(architecture):
        if architecture not in archives:
            folder = tmp_path_factory.mktemp(architecture)
            settings = {"architecture": architecture, "gridsize": 2, "nepochs": 3}
            archives[architecture] = small_training(folder, small_scan(), **settings).archive
        return archives[architecture]

    return archive


@pytest.mark.parametrize("precision", _MIXED)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_is_that_of_float32(sane, architecture, precision):
    module = load_model(sane(architecture)).module
    stack = PatternStack(small_scan())
    rows = np.array([[0, 1, 3, 4, 6], [4, 5, 7, 8, 10]])
    batch, canvas = stack.batch(rows), canvas_size(stack.centres, rows, 64)
    with torch.no_grad():
        exact = module.loss(batch, canvas)
        with autocast(_CPU, precision):
            rounded = module.loss(batch, canvas)
    for name in ("deviance", "predicted_deviance"):
        assert float(rounded[name]) == pytest.approx(float(exact[name]), rel=_TOLERANCE[precision])
    assert rounded["loss"].dtype == torch.float32
    assert any(not torch.equal(rounded[name], exact[name]) for name in exact)


@pytest.mark.parametrize("precision", _MIXED)
def test_a_training_goes_the_way_of_float32_and_no_step_is_lost(tmp_path, monkeypatch, precision):
    used = []
    original = lightning.Trainer.fit

    def fit(trainer, *arguments, **options):
        used.append((trainer.precision, trainer.precision_plugin.scaler))
        return original(trainer, *arguments, **options)

    settings = {"architecture": "unrolled", "nepochs": 2}
    exact = small_training(tmp_path / "a", small_scan(), **settings)
    monkeypatch.setattr(lightning.Trainer, "fit", fit)
    mixed = small_training(tmp_path / "b", small_scan(), execution={"precision": precision}, **settings)
    for first, second in zip(exact.history, mixed.history, strict=True):
        assert second["train_deviance"] == pytest.approx(first["train_deviance"], rel=_TOLERANCE[precision])
    state = load_model(mixed.archive).module.state_dict()
    assert all(value.dtype != torch.float16 and torch.isfinite(value).all() for value in state.values())
    ((name, scaler),) = used
    assert name == precision and (scaler is None) == (precision == "bf16-mixed")
    if scaler is not None:  # it halves the scale when it leaves a step out
        assert scaler.get_scale() == 256


@pytest.mark.parametrize("precision", _MIXED)
@pytest.mark.parametrize("architecture", ["cnn", "refined"])
def test_an_image_is_that_of_float32(sane, architecture, precision):
    archive, scan = sane(architecture), small_scan()
    exact = network_image(archive, scan)
    mixed = network_image(archive, scan, execution=quiet(precision=precision))
    difference = np.linalg.norm(mixed.object - exact.object)
    assert 0 < difference < _OF_AN_IMAGE[precision] * np.linalg.norm(exact.object)
    assert mixed.residual == pytest.approx(exact.residual, rel=_TOLERANCE[precision])


@_HALF
def test_numbers_too_large_for_float16_are_told(tmp_path, trained):
    archive = trained("cnn", 2)  # with a rate at which the weights grow and grow
    assert np.isfinite(network_image(archive, small_scan()).object).all()
    with pytest.raises(NotFiniteError, match=r"not finite, in precision '16-mixed': float16 .* choose 'bf16"):
        network_image(archive, small_scan(), execution=quiet(precision="16-mixed"))


def test_float16_on_a_cpu_without_it_is_refused_in_one_sentence(tmp_path, monkeypatch, trained):
    archive = trained("cnn", 1)
    monkeypatch.setattr(devices, "_has_half_on_cpu", lambda: False)
    expected = r"precision='16-mixed' .* no float16 on a CPU: choose 'bf16-mixed'"
    with pytest.raises(RunError, match=expected):
        small_training(tmp_path / "out", small_scan(), execution={"precision": "16-mixed"})
    with pytest.raises(RunError, match=expected):
        network_image(archive, small_scan(), execution=quiet(precision="16-mixed"))
    assert not (tmp_path / "out").exists()


@pytest.mark.processes
def test_two_processes_train_in_mixed_precision(tmp_path):
    settings = {"architecture": "unrolled", "batch_size": 5, "nepochs": 2}
    one, two = (
        small_training(
            tmp_path / str(n), small_scan(), execution={"precision": "bf16-mixed", "devices": n}, **settings
        )
        for n in (1, 2)
    )
    for first, second in zip(one.history, two.history, strict=True):
        assert second["train_deviance"] == pytest.approx(first["train_deviance"], rel=0.03)
