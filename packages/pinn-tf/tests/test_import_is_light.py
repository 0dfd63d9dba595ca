"""Importing what a client's main process imports loads no framework; a missing TensorFlow is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
from pinn_tf.errors import TensorFlowMissingError
from pinn_tf.requirements import require_tensorflow


def _run(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_LIGHT = (
    "pinn_tf",
    "pinn_tf.errors",
    "pinn_tf.container",
    "pinn_tf.loader",
    "pinn_tf.probe",
    "ptycho",
    "ptycho.config.config",
    "ptycho.params",
    "ptycho.raw_data",
    "ptycho.loader",
    "ptycho.probe",
    "ptycho.tf_helper",
    "ptycho.nongrid_simulation",
)


@pytest.mark.processes
def test_importing_loads_no_framework():
    frameworks = {"torch", "lightning", "tensorflow", "keras", "jax"}
    code = f"import importlib, sys\nfor name in {_LIGHT}:\n    importlib.import_module(name)\n"
    code += f"    print(name, {frameworks} & set(sys.modules))"
    lines = _run(code).splitlines()
    assert lines == [f"{name} set()" for name in _LIGHT]


@pytest.mark.processes
def test_without_tensorflow_the_message_says_what_to_install():
    code = """
import sys
sys.modules['tensorflow'] = None
from pinn_tf.requirements import require_tensorflow
try:
    require_tensorflow()
except RuntimeError as error:
    print(type(error).__name__, isinstance(error.__cause__, ImportError), error)
"""
    name, cause, text = _run(code).strip().split(" ", 2)
    assert (name, cause) == ("TensorFlowMissingError", "True")
    assert text.startswith("TensorFlow backend selected, but") and "`pip install tensorflow>=2.16`" in text


@pytest.mark.parametrize(
    ("version", "works"),
    [("2.15.1", False), ("1.15.5", False), ("2.16.0", True), ("2.20.0rc1", True), ("3.0", True)],
)
def test_an_old_tensorflow_is_refused(monkeypatch, version, works):
    pretended = types.ModuleType("tensorflow")
    pretended.__version__ = version
    monkeypatch.setitem(sys.modules, "tensorflow", pretended)
    if works:
        assert require_tensorflow() is pretended
    else:
        with pytest.raises(
            TensorFlowMissingError, match=r"is too old: .*`pip install tensorflow>=2\.16`"
        ) as e:
            require_tensorflow()
        assert version in str(e.value)


def test_a_keras_that_runs_on_something_else_is_refused(monkeypatch):
    import keras

    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(TensorFlowMissingError, match="Keras runs on jax here: start with KERAS_BACKEND"):
        require_tensorflow()
