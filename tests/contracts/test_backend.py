"""Both backends are found by name and are what pinn-dispatch takes for a backend."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest
from pinn_dispatch.backend import shortcomings
from pinn_dispatch.registry import BACKENDS, installed_backends, load_backend

FRAMEWORKS = ("torch", "lightning", "tensorflow", "keras", "jax")
MODULES = {
    "pytorch": ("ptycho_torch.workflows.components", "pinn_torch"),
    "tensorflow": ("ptycho.workflows.components", "pinn_tf"),
}


@pytest.fixture(params=MODULES)
def backend(request):
    """The name of a backend whose framework is installed."""
    if find_spec(BACKENDS[request.param].framework) is None:
        pytest.skip(f"{BACKENDS[request.param].title} is not installed")
    return request.param


def test_the_backend_is_found_and_conforms(backend):
    assert backend in installed_backends()
    module = load_backend(backend)
    assert module.__name__ == MODULES[backend][0]
    assert shortcomings(module) == []


def test_choosing_the_backend_loads_no_framework_and_not_the_other_one(backend):
    code = (
        f"import sys; from pinn_dispatch.registry import load_backend; load_backend({backend!r}); import "
        f"{MODULES[backend][1]}\n"
        f"print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
