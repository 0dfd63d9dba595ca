"""What does not fit together is refused in one sentence before anything is written."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_data.errors import EmptyScanError
from pinn_torch.errors import RunError
from pinn_torch.runtime import devices
from pinn_torch.runtime.devices import autocast, device_of, resolved_precision
from pinn_torch.workflows import train
from torch_scans import quiet, small_scan, small_training


def _refused(caught, folder):
    text = str(caught.value)
    assert "\n" not in text and ": " in text
    assert isinstance(caught.value, ValueError)
    assert not folder.exists()


def test_patterns_of_another_size_than_the_network(tmp_path):
    config = TrainingConfig(model=ModelConfig(N=128), output_dir=tmp_path / "out")
    with pytest.raises(RunError, match="the patterns are 64 x 64, but the network is for N=128: set") as e:
        train(small_scan(), config, quiet())
    _refused(e, tmp_path / "out")


def test_a_validation_of_another_size(tmp_path):
    with pytest.raises(RunError, match=r"the validation are 32 x 32, .* 64 x 64: crop or pad") as e:
        small_training(tmp_path / "out", small_scan(), validation=small_scan(32))
    _refused(e, tmp_path / "out")


def test_a_size_without_a_network(tmp_path):
    with pytest.raises(
        ConfigError, match="N=32 is not supported: crop or pad the patterns to one of 64"
    ) as e:
        small_training(tmp_path / "out", small_scan(32))
    _refused(e, tmp_path / "out")


def test_every_problem_of_a_configuration_at_once(tmp_path):
    with pytest.raises(ConfigError) as e:
        small_training(tmp_path / "out", small_scan(), batch_size=0, nepochs=-1)
    assert len(e.value.problems) == 2


def test_an_empty_scan():
    scan = small_scan()
    with pytest.raises(EmptyScanError, match="no frame"):
        scan.select(np.zeros(len(scan), bool))
    with pytest.raises(ValueError, match="at least one"):
        attrs.evolve(scan, diffraction=scan.diffraction[:0], positions=scan.positions[:0])


def test_too_few_frames_for_a_group(tmp_path):
    few = small_scan().select([0, 1, 2])
    with pytest.raises(ValueError, match="gridsize=2 needs 4 scan points, but the scan has 3"):
        small_training(tmp_path, few, gridsize=2)
    assert small_training(tmp_path, few, n_groups=3).archive.is_file()


@pytest.mark.parametrize("accelerator", ["cuda", "gpu", "mps", "tpu"])
def test_an_accelerator_that_is_not_there(tmp_path, monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    expected = f"accelerator='{accelerator}' was requested, but this machine has none: choose 'cpu' or 'auto'"
    with pytest.raises(RunError, match=expected) as e:
        small_training(tmp_path / "out", small_scan(), execution={"accelerator": accelerator})
    _refused(e, tmp_path / "out")


@pytest.mark.parametrize(
    ("asked", "cuda", "mps", "expected"),
    [
        ("auto", True, False, "cuda"),
        ("auto", False, True, "mps"),
        ("auto", False, False, "cpu"),
        ("gpu", True, False, "cuda"),
        ("gpu", False, True, "mps"),
        ("cuda", True, True, "cuda"),
        ("cpu", True, True, "cpu"),
    ],
)
def test_the_device_of_an_accelerator(monkeypatch, asked, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert device_of(asked).type == expected


def test_precision_is_what_was_asked_for_and_auto_is_one_that_works():
    cpu = torch.device("cpu")
    for precision in ("32-true", "bf16-mixed"):
        assert resolved_precision(cpu, precision) == precision
    if devices._has_half_on_cpu():
        assert resolved_precision(cpu, "16-mixed") == "16-mixed"
    else:  # PyTorch 2.2
        with pytest.raises(RunError, match="has no float16 on a CPU"):
            resolved_precision(cpu, "16-mixed")
    assert resolved_precision(cpu, "auto") in ("32-true", "bf16-mixed")
    a = torch.ones((2, 2))
    with autocast(cpu, "bf16-mixed"):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(cpu, "32-true"):
        assert (a @ a).dtype == torch.float32
