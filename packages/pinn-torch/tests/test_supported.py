"""No setting is accepted and then ignored."""

from __future__ import annotations

import pytest
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_torch.errors import TorchRunError
from pinn_torch.supported import refuse_unsupported
from torch_scans import small_scan, small_training


def test_defaults_are_supported():
    model = ModelConfig()
    refuse_unsupported(model, TrainingConfig(model), InferenceConfig(model), PyTorchExecutionConfig())


def test_what_cannot_be_honoured_is_refused_by_name():
    with pytest.raises(TorchRunError, match="positions_provided=False"):
        refuse_unsupported(TrainingConfig(ModelConfig(), positions_provided=False))


def test_a_training_refuses_it_before_it_writes_anything(tmp_path):
    with pytest.raises(TorchRunError, match="positions_provided=False"):
        small_training(tmp_path / "out", small_scan(), positions_provided=False)
    assert not (tmp_path / "out").exists()
