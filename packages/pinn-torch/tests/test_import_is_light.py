"""Importing loads no framework, and a missing or old PyTorch is one sentence; in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from torch_scans import small_scan


def _run(code: str | list[str]) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *(["-c", code] if isinstance(code, str) else code)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "pinn_torch",
        "pinn_torch.workflows",
        "pinn_torch.errors",
        "pinn_torch.components",
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


# Modules of `ptycho_torch` that need PyTorch to be imported at all, and what of the others needs none.
_NEEDS_TORCH = {"ptycho_torch.api.base_api", "ptycho_torch.lightning_utils", "ptycho_torch.model"}
_NEEDS_NONE = {
    "components.Reconstruction",
    "components.TrainingResult",
    "components.load_data",
    "components.save_outputs",
    "config_bridge.to_inference_config",
    "config_bridge.to_model_config",
    "config_bridge.to_training_config",
    "config_factory.InferencePayload",
    "config_factory.TrainingPayload",
    "config_factory.create_inference_payload",
    "config_factory.create_training_payload",
    "config_params.DataConfig",
    "config_params.DatagenConfig",
    "config_params.InferenceConfig",
    "config_params.ModelConfig",
    "config_params.TrainingConfig",
    "inference.build_parser",
    "shared.build_execution_config_from_args",
    "shared.resolve_accelerator",
    "shared.validate_paths",
    "train.build_parser",
}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("unusable", "cause", "said"),
    [
        ("hidden", "ModuleNotFoundError", "cannot be imported (import of torch halted"),
        ("broken", "OSError", "cannot be imported (libcudart.so.12: cannot open"),
        ("emptied", "AttributeError", "cannot be imported (module 'torch' has no attribute"),
        ("old", "NoneType", "2.1.2 is too old"),
    ],
)
def test_every_way_in_without_a_usable_torch_says_what_to_install(tmp_path, trained, unusable, cause, said):
    from pinn_data.files.npz import write_scan

    scan = write_scan(tmp_path / "scan.npz", small_scan())
    program = Path(__file__).with_name("without_torch.py")
    found = json.loads(
        _run([str(program), unusable, str(scan), str(trained("unrolled", 1)), str(tmp_path / "out")])
    )
    public = set(found.pop("public"))
    failed = {way: outcome for way, outcome in found.items() if outcome != "works"}
    modules = {way for way in found if way.startswith("ptycho_torch.")}
    called = found.keys() - modules
    # Every public name has been called, or is known to need no PyTorch.
    assert public == called | _NEEDS_NONE
    assert failed.keys() == called | _NEEDS_TORCH | {f"{name} again" for name in _NEEDS_TORCH}
    for way, (kind, by, sentence) in failed.items():
        assert "PyTorch backend selected, but PyTorch " in sentence, way
        assert said in sentence and sentence.endswith("with `pip install torch>=2.2`"), way
        if way.endswith(".main"):
            assert sentence.startswith("1: "), "a failure is exit code 1"
        else:
            assert (kind, by) == ("TorchMissingError", cause), way


@pytest.mark.parametrize(
    ("version", "works"),
    [("2.1.2+cu118", False), ("1.13.1", False), ("2.2.0", True), ("2.10.0a0", True), ("3.0", True)],
)
def test_an_old_torch_is_refused(monkeypatch, version, works):
    from pinn_torch.errors import TorchMissingError
    from pinn_torch.runtime.requirements import require_torch

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

    from pinn_torch.errors import TorchMissingError
    from pinn_torch.runtime import requirements

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
        with pytest.raises(TorchMissingError, match=f"already loaded TensorFlow.*Triton {re.escape(triton)}"):
            requirements.require_torch()
