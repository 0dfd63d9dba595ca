"""torch.compile makes a network faster or not, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pinn_config.architecture import network
from pinn_config.configs import ModelConfig
from pinn_torch.archive import load_model
from pinn_torch.compilation import compile_network
from pinn_torch.errors import TorchRunError
from pinn_torch.network import PtychoNetwork, write_weights
from torch_scans import small_scan, small_training

_CPU = torch.device("cpu")


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.timeout(900)
def test_a_compiled_training_gives_the_weights_of_a_plain_one(tmp_path: Path) -> None:
    scan = small_scan()
    plain, compiled = (
        write_weights(
            load_model(
                small_training(
                    tmp_path / str(wanted), scan, batch_size=12, execution={"compile": wanted}
                ).archive
            ).module.network
        )
        for wanted in (False, True)
    )
    assert plain.keys() == compiled.keys()
    for name in plain:
        # Adam's first step is a full step in the direction of the gradient, however small that is.
        np.testing.assert_allclose(compiled[name], plain[name], rtol=0, atol=2e-4, err_msg=name)


def test_a_network_keeps_the_names_of_its_parameters() -> None:
    built = PtychoNetwork(network(ModelConfig(n_filters_scale=1)))
    before = list(built.state_dict())
    compile_network(built, _CPU) if shutil.which("g++") else None
    assert list(built.state_dict()) == before


def test_without_a_compiler_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(TorchRunError, match=r"no C\+\+ compiler \(no-such-compiler\)"):
        compile_network(torch.nn.Linear(1, 1), _CPU)
