"""The PyTorch backend is found by name and is what pinn-dispatch takes for a backend."""

from __future__ import annotations

import subprocess
import sys

from pinn_dispatch.backend import shortcomings
from pinn_dispatch.registry import installed_backends, load_backend

FRAMEWORKS = ("torch", "lightning", "tensorflow", "keras", "jax")


def test_the_backend_is_found_and_conforms():
    assert "pytorch" in installed_backends()
    backend = load_backend("pytorch")
    assert backend.__name__ == "ptycho_torch.workflows.components"
    assert shortcomings(backend) == []


def test_choosing_the_backend_loads_no_framework_and_not_the_other_one():
    code = (
        "import sys; from pinn_dispatch.registry import load_backend; load_backend('pytorch'); import "
        "pinn_torch\n"
        f"print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
