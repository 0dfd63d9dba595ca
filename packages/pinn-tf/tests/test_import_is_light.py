"""Importing what a client's main process imports loads no framework; a missing TensorFlow is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
from pinn_tf.errors import TensorFlowMissingError
from pinn_tf.runtime.requirements import require_tensorflow
from pinn_tf.runtime.startup_notes import without_notes


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
    "pinn_tf.workflows",
    "pinn_tf.runtime.requirements",
    "pinn_tf.components",
    "pinn_tf.components",
    "pinn_tf.historical.container",
    "pinn_tf.training.last_training",
    "pinn_tf.historical.loader",
    "pinn_tf.historical.probe",
    "pinn_tf.historical.saved_models",
    "ptycho",
    "ptycho.config.config",
    "ptycho.params",
    "ptycho.raw_data",
    "ptycho.loader",
    "ptycho.probe",
    "ptycho.tf_helper",
    "ptycho.nongrid_simulation",
    "ptycho.model",
    "ptycho.model_manager",
    "ptycho.workflows.components",
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
from pinn_tf.runtime.requirements import require_tensorflow
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
    require_tensorflow()  # Keras is not made anew on what is pretended
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


@pytest.mark.processes
def test_a_machine_without_a_gpu_hears_of_none_and_environment_and_symbols_stay_as_they_were():
    """A file in the user's home may name another backend for Keras; the variable says which it shall be."""
    code = """
import os, sys
os.environ.pop('TF_CPP_MIN_LOG_LEVEL', None); os.environ.pop('KERAS_BACKEND', None)
before = set(os.environ)
from pinn_tf.runtime.requirements import require_tensorflow
tensorflow = require_tensorflow()
tensorflow.constant(1) + 1
print('after', file=sys.stderr)
print(sorted(set(os.environ) - before), file=sys.stderr)
# What of another library's C++ functions has TensorFlow's in its place is aborted (private_symbols).
flags = 'tensorflow.python.pywrap_dlopen_global_flags'
print(flags in sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout == "False\n"
    said, _, rest = done.stderr.partition("after\n")
    assert [line for line in said.splitlines() if line.startswith(("I0", "WARNING: All"))] == []
    assert "(303)" not in said
    assert "KERAS_BACKEND" not in rest and "TF_CPP_MIN_LOG_LEVEL" in rest


def test_notes_are_left_out_and_errors_are_not():
    notes = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1795342240.217380   30529 port.cc:153] oneDNN custom operations are on.\n"
        "2026-01-01 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.\n"
        "To enable the following instructions: AVX2 AVX512F, rebuild TensorFlow.\n"
    )
    absent = (
        "I0000 00:00:1.2 3 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not\n"
    )
    failed = "E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error\n"
    others = "W0000 00:00:1.2 3 x.cc:1] a warning\nE0000 00:00:1.2 3 x.cc:1] an error\nnot of TensorFlow\n"
    assert without_notes(notes + absent + failed + others) == others
    assert without_notes(notes + failed + others) == failed + others
    missing = (
        "2026-01-01 10:00:00.123456: E external/local_xla/xla/stream_executor/cuda/cuda_platform.cc:51] "
        "failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)\n"
    )
    assert without_notes(notes + missing + others) == others
    assert without_notes("") == ""


def test_a_keras_that_runs_on_something_else_is_refused(monkeypatch):
    import keras

    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(
        TensorFlowMissingError, match=r"Keras runs on 'jax' in this process: set .*KERAS_BACKEND=tensorflow"
    ):
        require_tensorflow()
