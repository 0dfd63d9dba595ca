"""Both backends are found by name, are what pinn-dispatch takes for a backend, and return the same table.

A backend runs in a process of its own: the two frameworks do not go together in one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from pinn_data.workflow_results import RESULT_KEYS
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


_WORKFLOWS = """
import importlib, json, sys
from pathlib import Path
import numpy as np
from pinn_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_data.testing import small_scan

name, folder = sys.argv[1:]
functions = importlib.import_module(name)
config = TrainingConfig(ModelConfig(n_filters_scale=1), nepochs=1, n_groups=12, output_dir=Path(folder))
execution = PyTorchExecutionConfig(logger_backend="none", enable_checkpointing=False)
ran = functions.run_cdi_example(
    small_scan(), small_scan(rows=3), config, M=None, do_stitching=True, execution_config=execution
)
alone = functions.train_cdi_model(small_scan(), None, config, execution)
again = functions.reassemble_cdi_image(small_scan(rows=3), config, M=None, execution_config=execution)


def kind(value):
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, Path):
        return f"Path {value.name}"
    if isinstance(value, dict):
        return {key: kind(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(kind, value)]
    # A model is of a class of its backend's.
    plain = isinstance(value, (str, int, float, type(None)))
    return type(value).__name__ if plain else value.__class__.__module__.partition(".")[2]


tables = {"ran": ran[2], "alone": alone, "again": again[2]}
found = {title: {key: kind(value) for key, value in table.items()} for title, table in tables.items()}
print(json.dumps(found | {"images": [kind(image) for image in (*ran[:2], *again[:2])]}))
"""
_MODELS = {"diffraction_to_obj": "models", "autoencoder": "models"}
_LOSSES = ["list", "float"]


@pytest.mark.processes
def test_the_workflow_functions_return_the_same_table(backend, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _WORKFLOWS, MODULES[backend][0], str(tmp_path / "run")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    shape = found["images"][0].partition(" ")[2]
    trained = {
        "backend": "str",
        "bundle_path": "Path wts.h5.zip",
        "history": {"train_loss": _LOSSES, "val_loss": _LOSSES},
        "history_epochs": "int",
        "models": _MODELS,
        "model_instance": "models",
        "intensity_scale": "float",
        "parameters": "int",
        "training_seconds": "float",
    }
    stitched = {
        "object": f"complex64 {shape}",
        "amplitude": f"float32 {shape}",
        "phase": f"float32 {shape}",
        "coverage": f"float32 {shape}",
        "canvas_origin": ["tuple", "int", "int"],
        "positions": "float64 (9, 2)",
        "probe": "complex64 (64, 64)",
        "residual": "float",
        "gridsize": "int",
        "reconstruction_seconds": "float",
    }
    assert tuple(found["ran"]) == RESULT_KEYS
    assert found["ran"] == trained | stitched
    unvalidated = {"history": {"train_loss": _LOSSES, "val_loss": "NoneType"}}
    assert found["alone"] == trained | dict.fromkeys(stitched, "NoneType") | unvalidated
    nothing = dict.fromkeys(trained, "NoneType") | {"backend": "str", "bundle_path": "Path run"}
    assert found["again"] == nothing | stitched
    assert found["images"] == [f"float32 {shape}"] * 4
    assert not [path for path in tmp_path.iterdir() if path.name != "run"]
