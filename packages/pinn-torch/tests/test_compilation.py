"""torch.compile makes a network faster or not, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pinn_config.architecture import network
from pinn_config.configs import ModelConfig
from pinn_torch.archive.model_archive import load_model
from pinn_torch.backend import TORCH
from pinn_torch.errors import RunError
from pinn_torch.model.network import PtychoNetwork, write_weights
from pinn_torch.runtime.compilation import compiled
from pinn_torch.runtime.devices import same_arithmetic_afterwards
from torch_scans import quiet, small_scan, small_training

_CPU = torch.device("cpu")


# PyTorch 2.2 and 2.6 fail to make code for these networks: "NotImplementedError: View".
_needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or torch.__version__ < "2.7",
    reason="no C++ compiler, or a PyTorch that does not make code for it",
)


@_needs_compiler
@pytest.mark.processes
@pytest.mark.timeout(900)
def test_a_compiled_training_gives_the_weights_of_a_plain_one(tmp_path: Path) -> None:
    scan = small_scan()
    plain, made = (
        write_weights(
            load_model(
                small_training(
                    tmp_path / str(wanted), scan, batch_size=12, execution={"compile": wanted}
                ).archive
            ).module.network
        )
        for wanted in (False, True)
    )
    assert plain.keys() == made.keys()
    for name in plain:
        # Adam's first step is a full step in the direction of the gradient, however small that is.
        np.testing.assert_allclose(made[name], plain[name], rtol=0, atol=2e-4, err_msg=name)


@_needs_compiler
@pytest.mark.processes
@pytest.mark.timeout(900)
def test_a_compiled_reconstruction_gives_the_image_of_a_plain_one(trained, monkeypatch, recwarn) -> None:
    compiled_networks = []
    original = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, *a, **o: (compiled_networks.append(self), original(self))
    )
    # Opened once, so that what is left of the compilation afterwards can be seen.
    model = load_model(trained("cnn", 1))
    with same_arithmetic_afterwards():
        plain, made, again = (
            TORCH.network_image(model, small_scan(), None, quiet(compile=wanted), seed=0).object
            for wanted in (False, True, False)
        )
    scale = np.abs(plain).max()
    np.testing.assert_allclose(made, plain, atol=1e-4 * scale)
    np.testing.assert_array_equal(again, plain)
    assert compiled_networks == [model.module.network]
    assert [str(w.message) for w in recwarn if "complex" in str(w.message)] == []


@_needs_compiler
def test_a_network_keeps_the_names_of_its_parameters() -> None:
    built = PtychoNetwork(network(ModelConfig(n_filters_scale=1)))
    before = list(built.state_dict())
    with compiled(built, _CPU, True):
        assert list(built.state_dict()) == before and built._compiled_call_impl is not None
    assert list(built.state_dict()) == before and built._compiled_call_impl is None


def test_without_a_compiler_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RunError, match=r"no C\+\+ compiler \(no-such-compiler\)"):
        small_training(tmp_path / "out", small_scan(), execution={"compile": True})
    assert not (tmp_path / "out").exists()


def test_a_python_that_is_too_new_for_pytorch_is_told_in_one_sentence(monkeypatch, tmp_path) -> None:
    def refuse(self) -> None:
        raise RuntimeError("Dynamo is not supported on Python 3.12+")  # PyTorch 2.2

    monkeypatch.setenv("CXX", sys.executable)  # whatever can be found
    monkeypatch.setattr(torch.nn.Module, "compile", refuse)
    with pytest.raises(RunError, match=r"cannot compile here \(Dynamo is not .*\): install a newer PyTorch"):
        small_training(tmp_path / "out", small_scan(), execution={"compile": True})


@_needs_compiler
@pytest.mark.processes
def test_a_compiler_that_fails_is_told_in_one_sentence(tmp_path: Path) -> None:
    """In a process of its own, whose compiler does nothing but fail and who has compiled nothing before."""
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    code = (
        "from pathlib import Path; from torch_scans import quiet, small_scan, small_training\n"
        "try: small_training(Path('out'), small_scan(), execution={'compile': True})\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )
    environment = os.environ | {
        "CXX": str(broken),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    (said,) = done.stdout.splitlines()
    assert said.startswith("RunError compile=True was given, but the network cannot be compiled here (")
    assert said.endswith("or leave compile at False")
