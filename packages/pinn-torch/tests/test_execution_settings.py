"""Settings of the execution reach Lightning, torch and the loaders, in real trainings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.run import network_image as network_image_module
from pinn_torch.model.module import PtychoPINN_Lightning
from torch_scans import network_image, quiet, small_scan, small_training


@pytest.fixture
def seen(monkeypatch):
    """What a training looked like from inside: its trainer, its loader, the gradients of its last step but
    one."""
    found = SimpleNamespace(gradients=[])

    def started(module):
        trainer = found.trainer = module.trainer
        found.loader = trainer.train_dataloader
        found.deterministic = torch.are_deterministic_algorithms_enabled()
        found.only_warns = torch.is_deterministic_algorithms_warn_only_enabled()

    def finished(module, optimizer):
        grads = [p.grad.detach().flatten() for p in module.parameters() if p.grad is not None]
        if grads:
            found.gradients.append(torch.cat(grads))

    monkeypatch.setattr(PtychoPINN_Lightning, "on_train_start", started, raising=False)
    # When the next step begins, the gradients are those that the last one used: clipped.
    monkeypatch.setattr(PtychoPINN_Lightning, "on_before_zero_grad", finished, raising=False)
    return found


@pytest.mark.parametrize(("value", "expected"), [(True, (True, False)), (False, (False, False))])
def test_deterministic_algorithms_are_asked_of_torch(tmp_path, seen, value, expected):
    small_training(tmp_path, small_scan(), execution={"deterministic": value})
    assert (seen.deterministic, seen.only_warns) == expected


def test_where_nothing_deterministic_exists_warn_only_warns(tmp_path, seen):
    small_training(tmp_path, small_scan(), execution={"deterministic": "warn"})
    assert (seen.deterministic, seen.only_warns) == (True, True)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped(tmp_path, seen, algorithm):
    small_training(tmp_path / "free", small_scan())
    free = seen.gradients[-1]
    assert free.norm() > 1e-2 and free.abs().max() > 1e-3
    limit = 1e-3 if algorithm == "norm" else 1e-5
    execution = {"gradient_clip_val": limit, "gradient_clip_algorithm": algorithm}
    small_training(tmp_path / "clipped", small_scan(), execution=execution)
    clipped = seen.gradients[-1]
    size = clipped.norm() if algorithm == "norm" else clipped.abs().max()
    assert 0 < float(size) <= limit * 1.001


def test_the_loader_is_configured(tmp_path, seen):
    workers = {"num_workers": 1, "persistent_workers": True, "prefetch_factor": 3}
    small_training(tmp_path, small_scan(), execution=workers)
    loader = seen.loader
    assert (loader.num_workers, loader.persistent_workers, loader.prefetch_factor) == (1, True, 3)
    small_training(tmp_path, small_scan())
    loader = seen.loader
    assert (loader.num_workers, loader.persistent_workers, loader.prefetch_factor) == (0, False, None)


@pytest.mark.filterwarnings("ignore:.*pin_memory.*")  # torch says that there is no accelerator to copy to
def test_memory_is_pinned_where_it_was_asked_for(tmp_path, seen):
    for wanted in (True, False):
        small_training(tmp_path / str(wanted), small_scan(), execution={"pin_memory": wanted})
        assert seen.loader.pin_memory is wanted


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_precision_is_that_of_the_trainer(tmp_path, seen, precision):
    small_training(tmp_path, small_scan(), execution={"precision": precision})
    assert seen.trainer.precision == precision


def test_the_batch_of_a_reconstruction_is_its_own_or_that_of_the_training(trained, monkeypatch):
    sizes = []
    original = PatternStack.batch

    def counted(stack, rows):
        sizes.append(len(rows))
        return original(stack, rows)

    monkeypatch.setattr(PatternStack, "batch", counted)
    monkeypatch.setattr(network_image_module, "_residual", lambda *arguments: 0.5)
    archive, scan = trained("cnn", 1), small_scan()
    sizes.clear()  # of the training, if it was only made now
    network_image(archive, scan, None, quiet(inference_batch_size=5))
    assert sizes == [5, 5, 2]
    sizes.clear()
    network_image(archive, scan)
    assert sizes == [6, 6]  # batch_size=6 in the training


def test_settings_of_sampling_act_on_a_reconstruction(trained):
    archive, scan = trained("cnn", 2), small_scan(rows=5, columns=4)
    from pinn_config.configs import InferenceConfig
    from pinn_torch.archive.model_archive import load_model

    model = load_model(archive).config.model
    images = [
        network_image(archive, scan, InferenceConfig(model, neighbor_count=k)).object for k in (3, 3, 9)
    ]
    np.testing.assert_array_equal(images[0], images[1])
    assert np.abs(images[0] - images[2]).max() > 1e-3 * np.abs(images[0]).max()


def test_a_strategy_is_lightnings_and_one_that_is_none_is_refused(tmp_path, seen):
    small_training(tmp_path / "a", small_scan(), execution={"strategy": "auto"})
    assert type(seen.trainer.strategy).__name__ == "SingleDeviceStrategy"
    with pytest.raises(ValueError, match="telepathy"):
        small_training(tmp_path / "b", small_scan(), execution={"strategy": "telepathy"})
    assert not (tmp_path / "b" / "wts.h5.zip").exists()
