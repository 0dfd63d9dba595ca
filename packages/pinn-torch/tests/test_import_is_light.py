"""Importing loads no framework, and a missing or old PyTorch is one sentence; in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types

import pytest


def _run(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "pinn_torch",
        "pinn_torch.workflows",
        "pinn_torch.errors",
        "pinn_torch.bundles",
        "pinn_torch.components",
        "ptycho_torch.workflows.components",
    ],
)
def test_importing_loads_no_framework(module):
    frameworks = {"torch", "lightning", "tensorflow", "keras", "jax"}
    assert _run(f"import sys, {module}\nprint({frameworks} & set(sys.modules))").strip() == "set()"


def test_names_of_the_package_lead_to_the_workflows():
    code = """
import sys, pinn_torch
from pinn_torch import Reconstruction, TrainingResult, reconstruct, train
from pinn_torch import workflows
assert train is workflows.train and set(pinn_torch.__all__) <= set(dir(pinn_torch))
assert not hasattr(pinn_torch, "nothing")
print('torch' in sys.modules)
"""
    assert _run(code).strip() == "False"


@pytest.mark.parametrize("call", ["train(None, None)", "reconstruct(None, None)"])
def test_without_torch_the_message_says_what_to_install(call):
    code = f"""
import sys
sys.modules['torch'] = None
from pinn_torch.workflows import reconstruct, train
try:
    {call}
except RuntimeError as error:
    print(type(error).__name__, isinstance(error.__cause__, ImportError), error)
"""
    name, cause, text = _run(code).strip().split(" ", 2)
    assert (name, cause) == ("TorchMissingError", "True")
    assert text.startswith("PyTorch backend selected, but") and "`pip install torch>=2.2`" in text


@pytest.mark.parametrize(
    ("version", "works"),
    [("2.1.2+cu118", False), ("1.13.1", False), ("2.2.0", True), ("2.10.0a0", True), ("3.0", True)],
)
def test_an_old_torch_is_refused(monkeypatch, version, works):
    from pinn_torch.errors import TorchMissingError
    from pinn_torch.requirements import require_torch

    pretended = types.ModuleType("torch")
    pretended.__version__ = version
    monkeypatch.setitem(sys.modules, "torch", pretended)
    if works:
        assert require_torch() is pretended
    else:
        with pytest.raises(TorchMissingError, match=r"is too old: .*`pip install torch>=2\.2`") as caught:
            require_torch()
        assert version in str(caught.value)


@pytest.mark.parametrize(
    ("triton", "loaded", "works"),
    [
        ("3.7.0", False, False),
        ("3.9.0+git1", False, False),
        ("3.6.1", False, True),
        (None, False, True),
        ("3.9.0", True, True),
    ],
)
def test_a_tensorflow_that_would_make_triton_abort_is_told(monkeypatch, triton, loaded, works):
    from importlib.metadata import PackageNotFoundError

    from pinn_torch import requirements
    from pinn_torch.errors import TorchMissingError

    def version(of):
        if triton is None:
            raise PackageNotFoundError(of)
        return triton

    monkeypatch.setattr(requirements, "version", version)
    monkeypatch.setitem(
        sys.modules, "tensorflow.python.pywrap_dlopen_global_flags", types.ModuleType("flags")
    )
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    if loaded:
        monkeypatch.setitem(sys.modules, "triton", types.ModuleType("triton"))
    if works:
        assert requirements.require_torch() is sys.modules["torch"]
    else:
        with pytest.raises(TorchMissingError, match=f"TensorFlow before.*Triton {re.escape(triton)}"):
            requirements.require_torch()
