"""The configurations of the PyTorch backend: what programs outside build, send and change."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import fields, is_dataclass

import pinn_torch.settings.config_params as own
import ptycho_torch.config_params as historical
import pytest

CLASSES = [getattr(own, name) for name in own.__all__]

# What stock ptychodus 1.7.0 passes (reconstructor.py, `_build_configs`), with its defaults.
PTYCHODUS = {
    "DataConfig": {
        "N": 128,
        "C": 4,
        "normalize": "Batch",
        "neighbor_function": "Nearest",
        "scan_pattern": "Isotropic",
        "probe_normalize": True,
        "x_bounds": (0.1, 0.9),
        "y_bounds": (0.1, 0.9),
        "min_neighbor_distance": 0.0,
        "max_neighbor_distance": 3.0,
        "K_quadrant": 30,
        "n_subsample": 7,
        "probe_scale": 4.0,
        "K": 6,
        "grid_size": (2, 2),
        "probe_ramp_removal": False,
        "data_scaling": "Parseval",
        "phase_subtraction": True,
    },
    "ModelConfig": {
        "mode": "Unsupervised",
        "object_big": True,
        "probe_big": True,
        "loss_function": "Poisson",
        "amp_activation": "silu",
        "cbam_encoder": True,
        "decoder_last_amp_channels": 4,
        "use_shared_decoder": False,
        "intensity_scale_trainable": False,
        "intensity_scale": 10000.0,
        "max_position_jitter": 10,
        "num_datasets": 1,
        "C_model": 4,
        "C_forward": 4,
        "amp_loss": None,
        "phase_loss": None,
        "amp_loss_coeff": 1.0,
        "phase_loss_coeff": 1.0,
        "n_filters_scale": 2,
        "probe_mask": None,
        "eca_decoder": False,
        "batch_norm": False,
        "edge_pad": 10,
        "decoder_last_c_outer_fraction": 0.125,
        "cbam_bottleneck": False,
        "cbam_decoder": False,
        "spatial_decoder": False,
        "decoder_spatial_kernel": 7,
        "eca_encoder": False,
        "offset": 6,
        "probe_reference_coeff": 0.0,
        "amplitude_variance_loss": False,
        "amplitude_variance_coeff": 0.01,
    },
    "TrainingConfig": {
        "epochs": 50,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "n_devices": 1,
        "num_workers": 4,
        "accum_steps": 1,
        "epochs_fine_tune": 0,
        "fine_tune_gamma": 0.1,
        "gradient_clip_val": None,
        "nll": True,
        "device": "cuda",
        "strategy": "ddp_spawn",
        "framework": "Lightning",
        "orchestrator": "Lightning",
        "scheduler": "Default",
        "warmup_epochs": 0,
        "min_lr_ratio": 0.1,
        "notes": "",
        "model_name": "PtychoPINNv2",
        "enable_staged_finetuning": False,
        "finetune_stage1_epochs": 7,
        "finetune_stage2_epochs": 7,
        "finetune_stage3_epochs": 5,
        "finetune_stage1_lr_decoder": 0.1,
        "finetune_stage2_lr_encoder_top": 0.01,
        "finetune_stage2_lr_decoder": 0.05,
        "finetune_stage2_lr_phase_head": 0.1,
        "finetune_stage3_lr_encoder_bottom": 0.005,
        "finetune_stage3_lr_encoder_top": 0.01,
        "finetune_stage3_lr_decoder": 0.02,
        "finetune_stage3_lr_phase_head": 0.05,
        "finetune_skip_stage3": True,
        "finetune_early_stop_patience": 3,
        "finetune_val_split": 0.05,
    },
    "InferenceConfig": {
        "batch_size": 1000,
        "middle_trim": 32,
        "experiment_number": 0,
        "patch_weighting": "probe",
        "pad_eval": True,
        "window": 20,
    },
    "DatagenConfig": {},
}

# Where ptychodus says otherwise than the public implementation's own defaults.
_DIFFERENT = {"N", "decoder_last_amp_channels", "probe_mask", "strategy", "orchestrator"}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_field_is_described_and_has_a_default(kind):
    assert is_dataclass(kind)
    for item in fields(kind):
        assert item.metadata["help"] and "\n" not in item.metadata["help"], item.name
    assert kind() == kind()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_ptychodus_passes_is_kept_and_survives_the_way_to_a_child_process(kind):
    given = PTYCHODUS[kind.__name__]
    config = pickle.loads(pickle.dumps(kind(**given)))  # noqa: S301 - what ptychodus does
    assert config == kind(**given)
    assert {name: getattr(config, name) for name in given} == given
    defaults = kind()
    for name in given.keys() - _DIFFERENT:
        assert getattr(defaults, name) == given[name], name


def test_the_number_of_devices_is_clamped_by_assignment():
    config = own.TrainingConfig(n_devices=8)
    config.n_devices = 1
    assert config.n_devices == 1


def test_lists_are_not_shared():
    own.TrainingConfig().training_directories.append("somewhere")
    assert own.TrainingConfig().training_directories == []


def test_the_historical_module_names_the_same_classes():
    assert set(historical.__all__) == set(own.__all__)
    for name in own.__all__:
        assert getattr(historical, name) is getattr(own, name)


@pytest.mark.parametrize("module", ["pinn_torch.settings.config_params", "ptycho_torch.config_params"])
def test_importing_loads_no_framework(module):
    code = f"import sys, {module}\nprint({{'torch', 'lightning', 'tensorflow', 'keras'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "set()"
