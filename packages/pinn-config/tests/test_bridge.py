"""Laws of the bridge: exact, total, one way, without memory."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from pathlib import Path

import pytest
from config_strategies import configs, inferences, models, trainings
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import (
    KEY_MAPPINGS,
    ConfigError,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    dataclass_to_legacy_dict,
    update_legacy_dict,
)
from pinn_config.bridge import BRIDGED_KEYS

# Specification, sections 5.1 to 5.3, `backend` of 4.8 and our own fields, written by hand: field to key.
MODEL_KEYS = {
    "N": "N",
    "gridsize": "gridsize",
    "n_filters_scale": "n_filters_scale",
    "model_type": "model_type",
    "amp_activation": "amp_activation",
    "object_big": "object.big",
    "probe_big": "probe.big",
    "probe_mask": "probe.mask",
    "pad_object": "pad_object",
    "probe_scale": "probe_scale",
    "gaussian_smoothing_sigma": "gaussian_smoothing_sigma",
    "architecture": "architecture",
    "cbam_encoder": "cbam_encoder",
    "cbam_bottleneck": "cbam_bottleneck",
    "cbam_decoder": "cbam_decoder",
    "eca_encoder": "eca_encoder",
    "eca_decoder": "eca_decoder",
    "spatial_decoder": "spatial_decoder",
    "decoder_spatial_kernel": "decoder_spatial_kernel",
    "batch_norm": "batch_norm",
    "use_shared_decoder": "use_shared_decoder",
    "decoder_last_c_outer_fraction": "decoder_last_c_outer_fraction",
    "decoder_last_amp_channels": "decoder_last_amp_channels",
}
TRAINING_KEYS = {
    "train_data_file": "train_data_file_path",
    "test_data_file": "test_data_file_path",
    "batch_size": "batch_size",
    "nepochs": "nepochs",
    "mae_weight": "mae_weight",
    "nll_weight": "nll_weight",
    "realspace_mae_weight": "realspace_mae_weight",
    "realspace_weight": "realspace_weight",
    "nphotons": "nphotons",
    "n_groups": "n_groups",
    "n_images": "n_images",
    "n_subsample": "n_subsample",
    "subsample_seed": "subsample_seed",
    "neighbor_count": "neighbor_count",
    "neighbor_function": "neighbor_function",
    "min_neighbor_distance": "min_neighbor_distance",
    "max_neighbor_distance": "max_neighbor_distance",
    "scan_pattern": "scan_pattern",
    "positions_provided": "positions.provided",
    "probe_trainable": "probe.trainable",
    "intensity_scale_trainable": "intensity_scale.trainable",
    "output_dir": "output_prefix",
    "sequential_sampling": "sequential_sampling",
    "backend": "backend",
    "predicted_neighbors": "predicted_neighbors",
    "validation_groups": "validation_groups",
    "amp_loss": "amp_loss",
    "phase_loss": "phase_loss",
    "amp_loss_coeff": "amp_loss_coeff",
    "phase_loss_coeff": "phase_loss_coeff",
    "phase_subtraction": "phase_subtraction",
    "refine": "refine",
}
INFERENCE_KEYS = {
    "model_path": "model_path",
    "test_data_file": "test_data_file_path",
    "n_groups": "n_groups",
    "n_images": "n_images",
    "n_subsample": "n_subsample",
    "subsample_seed": "subsample_seed",
    "neighbor_count": "neighbor_count",
    "neighbor_function": "neighbor_function",
    "min_neighbor_distance": "min_neighbor_distance",
    "max_neighbor_distance": "max_neighbor_distance",
    "scan_pattern": "scan_pattern",
    "debug": "debug",
    "output_dir": "output_prefix",
    "backend": "backend",
    "patch_weighting": "patch_weighting",
    "border_px": "border_px",
    "refine": "refine",
}


def expected(config: TrainingConfig | InferenceConfig) -> dict:
    """The flat dictionary by the tables above."""
    keys = TRAINING_KEYS if isinstance(config, TrainingConfig) else INFERENCE_KEYS
    found = {key: getattr(config.model, name) for name, key in MODEL_KEYS.items()}
    found |= {key: getattr(config, name) for name, key in keys.items()}
    return {key: str(value) if isinstance(value, Path) else value for key, value in found.items()}


@given(configs)
def test_every_field_reaches_exactly_its_key(config) -> None:
    cfg: dict = {}
    update_legacy_dict(cfg, config)
    assert cfg == dataclass_to_legacy_dict(config) == expected(config)
    assert not any(isinstance(value, Path) for value in cfg.values())


def test_the_tables_name_every_field() -> None:
    for kind, keys in (
        (ModelConfig, MODEL_KEYS),
        (TrainingConfig, TRAINING_KEYS),
        (InferenceConfig, INFERENCE_KEYS),
    ):
        assert {item.name for item in fields(kind)} - {"model"} == set(keys)
    everything = {*MODEL_KEYS.values(), *TRAINING_KEYS.values(), *INFERENCE_KEYS.values()}
    assert everything == BRIDGED_KEYS
    assert len(KEY_MAPPINGS) == 9


foreign = st.dictionaries(st.text().filter(lambda key: key not in BRIDGED_KEYS), st.integers(), max_size=4)


@given(st.lists(configs, max_size=3), configs, foreign)
def test_nothing_of_a_former_run_survives_and_foreign_keys_do(history, config, others) -> None:
    cfg = dict(others)
    for former in history:
        update_legacy_dict(cfg, former)
    update_legacy_dict(cfg, config)
    assert cfg == {**others, **expected(config)}


@given(configs)
def test_bridging_is_idempotent_and_one_way(config) -> None:
    before = copy.deepcopy(config)
    once: dict = {}
    update_legacy_dict(once, config)
    twice = dict(once)
    update_legacy_dict(twice, config)
    twice["N"] = -1
    assert config == before
    assert once == expected(config)


@given(trainings)
def test_none_replaces_a_former_value(config) -> None:
    cfg: dict = {}
    update_legacy_dict(cfg, replace(config, n_subsample=7, subsample_seed=3, test_data_file=Path("old.npz")))
    update_legacy_dict(cfg, replace(config, n_subsample=None, subsample_seed=None, test_data_file=None))
    assert (cfg["n_subsample"], cfg["subsample_seed"], cfg["test_data_file_path"]) == (None, None, None)


@given(models, trainings)
def test_a_bare_network_writes_its_keys_and_no_others(model, config) -> None:
    cfg: dict = {}
    update_legacy_dict(cfg, config)
    update_legacy_dict(cfg, model)
    assert cfg == expected(replace(config, model=model))


@given(configs, inferences)
def test_an_invalid_config_writes_nothing(good, bad) -> None:
    cfg: dict = {}
    update_legacy_dict(cfg, good)
    before = dict(cfg)
    bad.model.N, bad.model.gridsize, bad.backend = 0, -1, "jax"
    with pytest.raises(ConfigError) as caught:
        update_legacy_dict(cfg, bad)
    assert cfg == before
    assert [problem.split()[0] for problem in caught.value.problems] == ["N", "gridsize", "backend"]


@pytest.mark.parametrize("other", [PyTorchExecutionConfig(), {"N": 64}, None, ModelConfig])
def test_nothing_else_is_bridged(other) -> None:
    cfg: dict = {}
    with pytest.raises(TypeError, match="cannot be bridged"):
        update_legacy_dict(cfg, other)
    assert cfg == {}


def test_a_missing_network_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"^model must be a ModelConfig, not None$"):
        update_legacy_dict({}, TrainingConfig(None))


def test_the_ptychodus_sequence() -> None:
    config = TrainingConfig(
        model=ModelConfig(N=0), train_data_file=Path(), test_data_file=None, output_dir=Path()
    )
    config.model.N = 64
    cfg: dict = {}
    update_legacy_dict(cfg, config)
    assert (cfg["N"], cfg["train_data_file_path"], cfg["output_prefix"]) == (64, ".", ".")
