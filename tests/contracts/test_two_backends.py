"""What one backend saved the other opens, and it gives the same object: each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pinn_data.files.npz import write_scan
from pinn_data.testing import small_scan

pytestmark = pytest.mark.processes

_BACKENDS = ("pytorch", "tensorflow")
_NETWORKS = [("cnn", 1), ("cnn", 2), ("unet", 2), ("refined", 1), ("refined", 2), ("unrolled", 2)]

# Networks with weights that nobody trained, in archives of this backend: save(architecture, gridsize).
_SAVE = {
    "pytorch": """
import torch
from pinn_torch.archive.model_archive import save_model
from pinn_torch.model.module import PtychoPINN_Lightning

def save(architecture, gridsize, **model):
    model = ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1, **model)
    name = f"pytorch-{architecture}-{gridsize}" + ("-attention" if model.cbam_encoder else "")
    torch.manual_seed(gridsize)
    module = PtychoPINN_Lightning(model, torch.from_numpy(probe_modes(scan.probe)), 2.0)
    save_model(folder / name, module, TrainingConfig(model=model, neighbor_count=3), None, {})

save("cnn", 1, cbam_encoder=True)
""",
    "tensorflow": """
from pinn_config.execution import PyTorchExecutionConfig
from pinn_tf.archive.model_archive import TrainedModel, save_model
from pinn_tf.model.module import PtychoPINN
from pinn_tf.model.network import write_weights

def save(architecture, gridsize):
    model = ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1)
    module = PtychoPINN(model, probe_modes(scan.probe), 2.0, seed=gridsize)
    config = TrainingConfig(model=model, neighbor_count=3)
    trained = TrainedModel(module, config, PyTorchExecutionConfig(), {})
    save_model(folder / f"tensorflow-{architecture}-{gridsize}", trained)
    np.savez(folder / f"start_{architecture}_{gridsize}.npz", **write_weights(module.network))
""",
}
_BEGIN = """
import sys
from pathlib import Path
import numpy as np
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_data.files.npz import read_scan
from pinn_data.optics.probe import probe_modes

folder, networks = Path(sys.argv[1]), {networks}
scan = read_scan(folder / "scan.npz")
"""
_SAVE_ALL = """
for architecture, gridsize in networks:
    save(architecture, gridsize)
"""
_RECONSTRUCT = """
from pinn_dispatch.dispatch import load_inference_bundle_with_backend
from {package}.workflows import reconstruct

assert not any(other in sys.modules for other in {foreign})
for archive in sorted(folder.glob("*-*")):
    try:
        config = InferenceConfig(ModelConfig(), neighbor_count=3, refine="none")
        found = reconstruct(archive, scan, config)
    except ValueError as error:
        (archive / "{backend}.txt").write_text(str(error))
    else:
        np.savez(archive / "{backend}.npz", object=found.object, residual=found.residual)
attention = folder / "pytorch-cnn-1-attention"
try:
    load_inference_bundle_with_backend(attention, InferenceConfig(ModelConfig(), backend="{backend}"))
except ValueError as error:
    (attention / "opened by {backend}.txt").write_text(str(error))
"""
# Wheels of TensorFlow that make their symbols global have Triton, which PyTorch loads, abort the process.
_THEN_PYTORCH = """
from pinn_torch.workflows import reconstruct

found = reconstruct(folder / "pytorch-refined-2", scan, config)
np.savez(folder / "pytorch-refined-2" / "after TensorFlow.npz", object=found.object)
"""
_PACKAGES = {"pytorch": "pinn_torch", "tensorflow": "pinn_tf"}
_FRAMEWORKS = {"pytorch": "torch", "tensorflow": "tensorflow"}


def _run(folder: Path, program: str) -> None:
    begin = _BEGIN.format(networks=_NETWORKS)
    command = [sys.executable, "-c", begin + program, str(folder)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """A folder with an archive of each network by each backend, and in each what both made of it."""
    folder = tmp_path_factory.mktemp("archives")
    write_scan(folder / "scan.npz", small_scan(), unit="counts")
    for backend in _BACKENDS:
        _run(folder, _SAVE[backend] + _SAVE_ALL)
    for backend in _BACKENDS:
        (other,) = set(_BACKENDS) - {backend}
        foreign = (_FRAMEWORKS[other], _PACKAGES[other])
        values = {"package": _PACKAGES[backend], "backend": backend, "foreign": foreign}
        then = _THEN_PYTORCH if backend == "tensorflow" else ""
        _run(folder, _RECONSTRUCT.format(**values) + then)
    return folder


@pytest.mark.parametrize(("architecture", "gridsize"), _NETWORKS)
@pytest.mark.parametrize("wrote", _BACKENDS)
def test_the_same_archive_gives_the_same_object_by_either_backend(archives, wrote, architecture, gridsize):
    archive = archives / f"{wrote}-{architecture}-{gridsize}"
    first, second = (np.load(archive / f"{backend}.npz") for backend in _BACKENDS)
    difference = np.linalg.norm(first["object"] - second["object"]) / np.linalg.norm(first["object"])
    assert difference < 3e-4  # untrained steps of the physics amplify what the frameworks round
    assert first["residual"] == pytest.approx(float(second["residual"]), rel=1e-4)


def test_one_process_may_use_both_backends(archives):
    alone, after = (
        archives / "pytorch-refined-2" / f"{name}.npz" for name in ("pytorch", "after TensorFlow")
    )
    np.testing.assert_array_equal(np.load(after)["object"], np.load(alone)["object"])


def test_a_layer_of_pytorch_alone_is_named_with_both_backends(archives):
    archive = archives / "pytorch-cnn-1-attention"
    assert (archive / "pytorch.npz").exists() and not (archive / "tensorflow.npz").exists()
    assert not (archive / "opened by pytorch.txt").exists()
    for file in ("tensorflow.txt", "opened by tensorflow.txt"):
        said = (archive / file).read_text()
        for part in ("'pytorch'", "'tensorflow'", "'encoder0/cbam/channel'", "channel_attention"):
            assert part in said, said


# Three epochs of three steps from weights that both get.
_LEARN = """
from {package}.training import run as training
from pinn_config.execution import PyTorchExecutionConfig
from {package}.model.network import read_weights
from {package}.workflows import train

build = {build}

def started(*given, **settings):
    module = build(*given, **settings)
    with np.load(start) as weights:
        read_weights(module.network, dict(weights))
    return module

{build} = started
execution = PyTorchExecutionConfig(
    accelerator="cpu", learning_rate={rate}, scheduler="Exponential", warmup_steps=10,
    gradient_clip_val=0.5, logger_backend="none", enable_checkpointing=False, enable_progress_bar=False,
)
for architecture, gridsize in networks:
    start = folder / f"start_{{architecture}}_{{gridsize}}.npz"
    config = TrainingConfig(
        ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1),
        nepochs=3, n_groups=12, neighbor_count=5, batch_size=4, probe_trainable=True,
        output_dir=folder / f"learned-{backend}-{{architecture}}-{{gridsize}}",
    )
    steps = train(scan, config, execution, seed=5).history
    np.save(start.with_suffix(".{backend}-{rate}.npy"), [row["train_loss"] for row in steps])
"""
_BUILD = {"pytorch": "training.PtychoPINN_Lightning.of", "tensorflow": "training.PtychoPINN"}


@pytest.fixture(scope="module")
def losses(archives):
    """``losses(backend, rate, architecture, gridsize)``: of every step, at this learning rate."""
    for backend, rate in (("pytorch", 1e-4), ("tensorflow", 1e-4), ("pytorch", 1e-15)):
        values = {"package": _PACKAGES[backend], "build": _BUILD[backend]}
        _run(archives, _LEARN.format(backend=backend, rate=rate, **values))
    return lambda backend, rate, name, gridsize: np.load(
        archives / f"start_{name}_{gridsize}.{backend}-{rate}.npy"
    )


@pytest.mark.parametrize(("architecture", "gridsize"), _NETWORKS)
def test_the_same_training_takes_the_same_steps_with_either_backend(losses, architecture, gridsize):
    """Same weights to begin with, same seed: the batches, the objective, the schedule, clipping, and Adam.

    With a warm-up: Adam's first step has the same size for a derivative of rounding errors as for any other.
    """
    network = architecture, gridsize
    first, second = losses("pytorch", 1e-4, *network), losses("tensorflow", 1e-4, *network)
    assert len(first) == len(second) == 9
    learned = np.abs(first - losses("pytorch", 1e-15, *network)).max()
    assert learned > 1e-3 and np.abs(first - second).max() < 0.1 * learned
