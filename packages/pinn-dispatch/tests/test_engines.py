"""The engine of the solver is the one that was named; by itself it is NumPy, or PyTorch on a GPU."""

from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import pytest
from pinn_dispatch import engines
from pinn_dispatch.engines import solver_operations
from pinn_dispatch.errors import BackendUnavailableError, UsageError
from pinn_dispatch.registry import ENGINES


@pytest.fixture
def pytorch(monkeypatch):
    """pytorch(on_gpu, error=None): an engine of that name is installed, and loading it may fail; it returns
    the devices that were asked for."""
    asked = []

    def install(on_gpu: bool, error: Exception | None = None) -> list:
        def load(name):
            assert name == "pytorch"
            if error is not None:
                raise error

            def operations(device=None):
                asked.append(device)
                return types.SimpleNamespace(name=name, on_gpu=on_gpu)

            return types.SimpleNamespace(operations=operations)

        monkeypatch.setattr(engines, "load_engine_module", load)
        monkeypatch.setattr(engines, "installed_backends", lambda group: ["pytorch"])
        return asked

    return install


def test_numpy_by_its_name_runs_on_the_cpu_alone():
    assert solver_operations("numpy").name == "numpy" and solver_operations("numpy", "cpu").real == np.float32
    with pytest.raises(
        ValueError, match="'numpy' was asked for on 'cuda', but it runs on the CPU alone: choose"
    ):
        solver_operations("numpy", "cuda")


def test_an_unknown_name_is_one_sentence_with_all_that_are_known():
    with pytest.raises(
        UsageError, match=r"engine 'jax' is unknown: choose 'numpy', 'pytorch' or 'tensorflow'$"
    ):
        solver_operations("jax")


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_an_engine_that_is_not_installed_is_told_and_nothing_else_is_taken(engine, monkeypatch):
    monkeypatch.setattr("pinn_dispatch.registry.metadata.entry_points", lambda **_: ())
    with pytest.raises(BackendUnavailableError, match="no installed package provides it: run pip install"):
        solver_operations(engine)
    assert solver_operations().name == "numpy"


def test_a_gpu_that_pytorch_sees_is_taken(pytorch, monkeypatch):
    asked = pytorch(on_gpu=True)
    monkeypatch.setattr(engines, "_may_have_gpu", lambda: True)
    assert solver_operations(device="auto").name == "pytorch" and asked == [None]
    assert solver_operations(device="cuda").name == "pytorch" and asked[-1] == "cuda"
    assert solver_operations(device="cpu").name == "numpy" and len(asked) == 2


def test_without_a_gpu_pytorch_is_not_taken(pytorch, monkeypatch):
    asked = pytorch(on_gpu=False)
    monkeypatch.setattr(engines, "_may_have_gpu", lambda: False)
    assert solver_operations().name == "numpy" and asked == []
    monkeypatch.setattr(engines, "_may_have_gpu", lambda: True)
    assert solver_operations().name == "numpy" and asked == [None]


def test_a_broken_pytorch_does_not_keep_the_solver_from_running(pytorch, monkeypatch, caplog):
    pytorch(on_gpu=True, error=BackendUnavailableError("PyTorch backend selected, but it cannot be imported"))
    monkeypatch.setattr(engines, "_may_have_gpu", lambda: True)
    assert (
        solver_operations().name == "numpy" and "cannot be imported; the solver runs on NumPy" in caplog.text
    )
    for named in ({"engine": "pytorch"}, {"device": "cuda"}):
        with pytest.raises(BackendUnavailableError):
            solver_operations(**named)


@pytest.mark.processes
def test_asking_for_numpy_loads_no_framework():
    code = (
        "import sys; from pinn_dispatch.engines import solver_operations\n"
        "solver_operations('numpy'); solver_operations(device='cpu')\n"
        "print({'torch', 'lightning', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
