"""Defaults, the deprecated name, and what clients do with configs before they are valid."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest
from config_strategies import configs, executions
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig


def defaults(kind: type) -> dict:
    return {item.name: item.default for item in fields(kind) if item.default is not MISSING}


def test_the_defaults_of_the_public_implementation() -> None:
    # Layers of the public PyTorch implementation alone; ptychodus switches cbam_encoder on.
    torch_only = {
        "cbam_encoder": False,
        "cbam_bottleneck": False,
        "cbam_decoder": False,
        "eca_encoder": False,
        "eca_decoder": False,
        "spatial_decoder": False,
        "decoder_spatial_kernel": 7,
        "batch_norm": False,
        "use_shared_decoder": False,
        "decoder_last_c_outer_fraction": None,
        "decoder_last_amp_channels": None,
    }
    assert defaults(ModelConfig) == torch_only | {
        "N": 64,
        "gridsize": 1,
        "n_filters_scale": 2,
        "model_type": "pinn",
        "amp_activation": "sigmoid",
        "object_big": True,
        "probe_big": True,
        "probe_mask": False,
        "pad_object": True,
        "probe_scale": 4.0,
        "gaussian_smoothing_sigma": 0.0,
        "architecture": "refined",
    }
    # What the public implementation has no name for.
    own = {
        "predicted_neighbors": 3,
        "validation_groups": 256,
        "amp_loss": None,
        "phase_loss": None,
        "amp_loss_coeff": 1.0,
        "phase_loss_coeff": 1.0,
        "phase_subtraction": True,
        "patch_weighting": "probe",
        "border_px": 0,
        "refine": None,
    }
    assert {name: value for name, value in defaults(TrainingConfig).items() if name not in own} == {
        "train_data_file": None,
        "test_data_file": None,
        "batch_size": 16,
        "nepochs": 50,
        "mae_weight": 0.0,
        "nll_weight": 1.0,
        "realspace_mae_weight": 0.0,
        "realspace_weight": 0.0,
        "nphotons": 1e9,
        "n_groups": None,
        "n_images": None,
        "n_subsample": None,
        "subsample_seed": None,
        "neighbor_count": 4,
        "neighbor_function": "Nearest",
        "min_neighbor_distance": 0.0,
        "max_neighbor_distance": None,
        "scan_pattern": "Isotropic",
        "positions_provided": True,
        "probe_trainable": False,
        "intensity_scale_trainable": True,
        "output_dir": Path("training_outputs"),
        "sequential_sampling": False,
        "backend": "tensorflow",
    }
    assert {name: value for name, value in defaults(InferenceConfig).items() if name not in own} == {
        "model_path": Path(),
        "test_data_file": None,
        "n_groups": None,
        "n_images": None,
        "n_subsample": None,
        "subsample_seed": None,
        "neighbor_count": 4,
        "neighbor_function": "Nearest",
        "min_neighbor_distance": 0.0,
        "max_neighbor_distance": None,
        "scan_pattern": "Isotropic",
        "debug": False,
        "output_dir": Path("inference_outputs"),
        "backend": "tensorflow",
    }
    ours = {**defaults(InferenceConfig), **defaults(TrainingConfig)}
    assert {name: ours[name] for name in own} == own
    assert TrainingConfig(ModelConfig()).n_groups == 512
    assert InferenceConfig(ModelConfig(), Path("a"), Path("b.npz")).n_groups is None


def test_every_field_is_described() -> None:
    for kind in (ModelConfig, TrainingConfig, InferenceConfig, PyTorchExecutionConfig):
        for item in fields(kind):
            assert item.name == "model" or len(item.metadata["help"]) > 5, item.name


def test_descriptions_say_what_the_rationale_of_the_flags_asks() -> None:
    said = {item.name: item.metadata["help"] for item in fields(PyTorchExecutionConfig)}
    assert "reproducible" in said["deterministic"] and "off may be faster" in said["deterministic"]
    assert "best with persistent_workers" in said["num_workers"]
    assert "learning rate" in said["learning_rate"] and "1e-5 to 1e-2" in said["learning_rate"]


@pytest.mark.parametrize("kind", [TrainingConfig, InferenceConfig])
@given(n=st.integers(1, 10**6))
def test_n_images_becomes_n_groups_with_a_warning_at_the_caller(kind, n) -> None:
    with pytest.warns(DeprecationWarning, match="^Parameter 'n_images' is deprecated") as caught:
        config = kind(ModelConfig(), n_images=n)
    assert config.n_groups == config.n_images == n
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert replace(config).n_groups == n
        assert kind(ModelConfig(), n_groups=n).n_groups == n


def test_text_becomes_a_path() -> None:
    config = InferenceConfig(ModelConfig(), model_path="run", test_data_file="scan.npz", output_dir="out")
    assert (config.model_path, config.test_data_file, config.output_dir) == (
        Path("run"),
        Path("scan.npz"),
        Path("out"),
    )


@given(configs | executions)
def test_configs_survive_pickling(config) -> None:
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - it was pickled here


def test_what_is_filled_in_later_may_be_left_open() -> None:
    config = TrainingConfig(model=ModelConfig(N=0), train_data_file=Path(), output_dir=Path())
    again = pickle.loads(pickle.dumps(config))  # noqa: S301 - it was pickled here
    again.model.N = 128
    assert (again.model.N, config.model.N) == (128, 0)


def test_two_configs_share_nothing() -> None:
    first, second = TrainingConfig(ModelConfig()), TrainingConfig(ModelConfig())
    first.model.N = 8
    assert second.model.N == 64


def test_importing_loads_no_framework_and_no_numpy() -> None:
    heavy = {"torch", "tensorflow", "keras", "lightning", "numpy", "scipy"}
    code = (
        "import sys, pinn_config, pinn_config.files, pinn_config.legacy; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
