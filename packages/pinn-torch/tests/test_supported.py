"""No setting is accepted and then ignored."""

from __future__ import annotations

import pytest
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_torch.errors import TorchRunError
from pinn_torch.supported import refuse_unsupported
from torch_scans import quiet, small_scan, small_training


def test_defaults_are_supported():
    model = ModelConfig()
    refuse_unsupported(model, TrainingConfig(model), InferenceConfig(model), PyTorchExecutionConfig())


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (TrainingConfig(ModelConfig(), positions_provided=False), "positions_provided=False"),
        (PyTorchExecutionConfig(devices=2), "devices=2"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(config, name):
    with pytest.raises(TorchRunError, match=name):
        refuse_unsupported(config)


def test_a_training_refuses_it_before_it_writes_anything(tmp_path):
    with pytest.raises(TorchRunError, match="devices=3"):
        small_training(tmp_path / "out", small_scan(), execution={"devices": 3})
    assert quiet().devices == 1
    assert not (tmp_path / "out").exists()
