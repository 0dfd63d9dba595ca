"""Two trainings have one fingerprint only if the second may go on where the first was stopped."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.learning.fingerprint import fingerprint
from pinn_data.testing import small_scan


def _of(scan=None, *, seed=0, validation=None, extra="", model=None, execution=None, **settings):
    config = TrainingConfig(ModelConfig(**{"N": 64} | (model or {})), **settings)
    run = PyTorchExecutionConfig(**execution or {})
    return fingerprint(small_scan() if scan is None else scan, config, run, seed, validation, extra)


@pytest.mark.parametrize(
    "change",
    [
        {"output_dir": Path("elsewhere"), "train_data_file": Path("a.npz"), "test_data_file": Path("b.npz")},
        {"positions_provided": False},
        {"execution": {"enable_progress_bar": True, "num_workers": 2, "logger_backend": "none"}},
        {"execution": {"devices": 2, "strategy": "ddp", "inference_batch_size": 3}},
    ],
)
def test_what_changes_no_result_may_differ(change):
    assert _of(**change) == _of()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"extra": "schedule"},
        {"validation": small_scan(rows=2)},
        {"model": {"gridsize": 2}},
        {"batch_size": 5},
        {"nepochs": 3},
        {"execution": {"learning_rate": 2e-3}},
        {"execution": {"precision": "bf16-mixed"}},
    ],
)
def test_what_changes_the_result_must_not(change):
    assert _of(**change) != _of()


def test_the_data_count_and_the_object_where_it_is_learned():
    scan = small_scan()
    positions = attrs.evolve(scan, positions=scan.positions + 0.25, object=None)
    probe = attrs.evolve(scan, probe=scan.probe * 1j)
    patterns = attrs.evolve(scan, diffraction=scan.diffraction[::-1].copy())
    objects = attrs.evolve(scan, object=scan.object * np.exp(1j))
    assert len({_of(s) for s in (scan, positions, probe, patterns)}) == 4
    assert _of(scan) == _of(objects)
    supervised = {"model": {"model_type": "supervised"}}
    assert _of(scan, **supervised) != _of(objects, **supervised)
