"""Laws of validation: what is valid passes, each wrong field is named, all of them at once."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path

import pytest
from config_strategies import configs, executions, inferences, trainings
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import (
    ConfigError,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    validate,
)
from pinn_config.architecture import ARCHITECTURES
from pinn_config.validation import field_types, problems_of, validate_execution_config

WRONG = {
    "N": [0, -2, 7, 64.0, "64", True, None],
    "gridsize": [0, 1.5, None],
    "n_filters_scale": [0, "2"],
    "model_type": ["PINN", None, 1],
    "amp_activation": ["gelu", None],
    "object_big": [1, None, "yes"],
    "probe_scale": [0, -1.0, float("nan"), float("inf"), True],
    "gaussian_smoothing_sigma": [-0.1, "0"],
    "architecture": ["transformer-xl", None, ["cnn"]],
    "cbam_encoder": [1, None],
    "decoder_spatial_kernel": [0, -1, 4, 7.0, None],
    "decoder_last_c_outer_fraction": [0, -0.5, 1.5, float("nan"), "0.1"],
    "decoder_last_amp_channels": [0, 1.0, "1", True],
    "train_data_file": ["a.npz", 3],
    "batch_size": [0, 2.0],
    "nepochs": [0, 10.0],
    "mae_weight": [-1, None, float("inf")],
    "nll_weight": [-0.5],
    "realspace_weight": [-1],
    "nphotons": [0, -5, float("nan"), 10**400],
    "n_groups": [0, "512"],
    "n_images": [0],
    "n_subsample": [0, 1.0],
    "subsample_seed": [-1, 0.5],
    "neighbor_count": [-1, None],
    "neighbor_function": ["nearest", None, 4],
    "min_neighbor_distance": [-0.5, None, float("nan")],
    "max_neighbor_distance": [0, -2.0, "3", float("inf")],
    "scan_pattern": ["Hexagonal", None],
    "positions_provided": [None],
    "output_dir": [None, "out"],
    "backend": ["jax", "PyTorch", None],
    "model_path": [None],
    "debug": [0],
    "predicted_neighbors": [-1, 1.5, None],
    "validation_groups": [0, -1, 1.5, None],
    "amp_loss": ["TV", False],
    "phase_loss": ["total_variation", 0],
    "amp_loss_coeff": [-1, None],
    "phase_loss_coeff": [-0.1, float("inf"), True],
    "phase_subtraction": [1, None],
    "patch_weighting": ["illumination", None],
    "border_px": [-1, 2.0, None],
    "refine": ["all", "", "probe;positions", True],
}


@given(configs | executions)
def test_what_is_valid_passes(config) -> None:
    assert problems_of(config) == []
    validate(config)


@given(configs, st.data())
def test_every_wrong_field_is_named_once_and_all_at_once(config, data) -> None:
    places = dict.fromkeys(field_types(ModelConfig), config.model)
    places |= {name: config for name in field_types(type(config)) if name != "model"}
    names = data.draw(
        st.lists(st.sampled_from(sorted(WRONG.keys() & places.keys())), unique=True, min_size=1)
    )
    # A deprecated alias that differs is a problem of its own, checked below.
    for name in names:
        setattr(places[name], name, data.draw(st.sampled_from(WRONG[name])))
    with pytest.raises(ConfigError) as caught:
        validate(config)
    order = [name for name in places if name in names]
    found = [problem.split(" must be ")[0] for problem in caught.value.problems]
    assert sorted(found) == sorted(order)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_workers": -1}, "num_workers must be >= 0, not -1"),
        ({"learning_rate": 0}, "learning_rate must be > 0, not 0"),
        ({"warmup_steps": -1}, "warmup_steps must be >= 0, not -1"),
        ({"learning_rate": float("inf")}, "learning_rate must be > 0 and finite, not inf"),
        ({"inference_batch_size": 0}, "inference_batch_size must be > 0, not 0"),
        ({"accum_steps": 0}, "accum_steps must be > 0, not 0"),
        ({"checkpoint_save_top_k": -2}, "checkpoint_save_top_k must be >= -1, not -2"),
        ({"early_stop_patience": 0}, "early_stop_patience must be > 0, not 0"),
        ({"checkpoint_mode": "best"}, "checkpoint_mode must be one of 'min', 'max', not 'best'"),
        (
            {"accelerator": "npu"},
            "accelerator must be one of 'auto', 'cpu', 'gpu', 'cuda', 'tpu', 'mps', not 'npu'",
        ),
        (
            {"logger_backend": "wandb"},
            "logger_backend must be one of 'mlflow', 'csv', 'tensorboard', 'none', not 'wandb'",
        ),
        (
            {"scheduler": "Cosine"},
            "scheduler must be one of 'Default', 'Exponential', 'MultiStage', 'Adaptive', not 'Cosine'",
        ),
        ({"devices": True}, "devices must be a whole number or 'auto', not True"),
        ({"devices": 0}, "devices must be >= 1, not 0"),
        ({"deterministic": "yes"}, "deterministic must be true or false or 'warn', not 'yes'"),
        (
            {"precision": "64"},
            "precision must be one of '32-true', 'bf16-mixed', '16-mixed', 'auto', not '64'",
        ),
        ({"persistent_workers": True}, "persistent_workers needs num_workers > 0, but num_workers is 0"),
        ({"prefetch_factor": 2}, "prefetch_factor needs num_workers > 0, but num_workers is 0"),
        ({"gradient_clip_val": 0.0}, "gradient_clip_val must be > 0, not 0.0"),
        (
            {"gradient_clip_algorithm": "agc"},
            "gradient_clip_algorithm must be one of 'norm', 'value', not 'agc'",
        ),
    ],
)
def test_execution_settings_are_checked_on_construction(change, words) -> None:
    with pytest.raises(ValueError) as caught:
        PyTorchExecutionConfig(**change)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("precision", "instead"), [("bf16-true", "bf16-mixed"), ("16-true", "16-mixed"), ("64-true", "32-true")]
)
def test_a_precision_that_is_too_coarse_says_what_to_use(precision, instead) -> None:
    with pytest.raises(ConfigError, match=rf"precision '{precision}' is not supported: .*use '{instead}'"):
        PyTorchExecutionConfig(precision=precision)


def test_execution_problems_come_all_at_once_and_after_an_assignment_too() -> None:
    with pytest.raises(ConfigError) as caught:
        PyTorchExecutionConfig(num_workers=-1, learning_rate=0, accum_steps=0)
    assert len(caught.value.problems) == 3
    assert str(caught.value).startswith("3 settings are wrong: accum_steps must be > 0, not 0; num_workers")
    config = PyTorchExecutionConfig()
    config.num_workers = -1
    with pytest.raises(ConfigError, match="num_workers must be >= 0"):
        validate_execution_config(config)


def test_the_execution_defaults() -> None:
    config = PyTorchExecutionConfig()
    assert (config.accelerator, config.devices, config.precision, config.strategy) == (
        "cpu",
        1,
        "32-true",
        "auto",
    )
    assert (config.deterministic, config.accum_steps, config.gradient_clip_val) == (True, 1, None)
    assert (config.num_workers, config.pin_memory, config.persistent_workers, config.prefetch_factor) == (
        0,
        False,
        False,
        None,
    )
    assert (config.learning_rate, config.scheduler, config.inference_batch_size) == (1e-3, "Default", None)
    assert config.warmup_steps == 0
    assert (config.enable_progress_bar, config.enable_checkpointing, config.early_stop_patience) == (
        False,
        True,
        100,
    )
    assert (config.checkpoint_save_top_k, config.checkpoint_mode) == (1, "min")
    assert (config.checkpoint_monitor_metric, config.logger_backend) == ("val_loss", "mlflow")
    assert (config.middle_trim, config.pad_eval) == (0, False)
    assert PyTorchExecutionConfig(logger_backend=None).logger_backend == "mlflow"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_passes(architecture) -> None:
    validate(ModelConfig(architecture=architecture))


def test_rules_about_two_fields() -> None:
    config = TrainingConfig(ModelConfig(), nll_weight=0, realspace_mae_weight=0.5, n_groups=5)
    config.n_images = 6
    with pytest.raises(ConfigError) as caught:
        validate(config)
    differ, realspace, nothing = caught.value.problems
    assert "n_images (6) and n_groups (5) differ" in differ
    assert "give realspace_weight > 0 too" in realspace
    assert "are all 0" in nothing
    validate(TrainingConfig(ModelConfig(model_type="supervised"), nll_weight=0))


@pytest.mark.parametrize(
    ("gridsize", "maps", "allowed"),
    [(1, 4, "1"), (2, 2, "1 or gridsize**2 = 4"), (3, 4, "1 or gridsize**2 = 9")],
)
def test_amplitude_maps_are_one_or_one_for_each_pattern(gridsize, maps, allowed) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(ModelConfig(gridsize=gridsize, decoder_last_amp_channels=maps))
    assert str(caught.value) == f"decoder_last_amp_channels must be {allowed}, not {maps}"
    for sound in (None, 1, gridsize**2):
        validate(ModelConfig(gridsize=gridsize, decoder_last_amp_channels=sound))


def test_distances_of_neighbours_exclude_neither_each_other_nor_their_rule() -> None:
    for kind in (TrainingConfig, InferenceConfig):
        config = kind(ModelConfig(), neighbor_function="Min_dist", min_neighbor_distance=2.0)
        validate(config)
        config.max_neighbor_distance = 2.0
        assert problems_of(config) == [
            "max_neighbor_distance (2.0) must be > min_neighbor_distance (2.0): raise the first or lower "
            "the second"
        ]
        config.neighbor_function, config.max_neighbor_distance = "Nearest", None
        (problem,) = problems_of(config)
        assert "no meaning for neighbor_function 'Nearest': choose 'Min_dist'" in problem
        config.min_neighbor_distance, config.max_neighbor_distance = 0.0, 9.0
        assert problems_of(config) == [problem]


@pytest.mark.parametrize("model", [None, {"N": 64}, ModelConfig, TrainingConfig(ModelConfig())])
def test_the_network_must_be_one(model) -> None:
    for config in (TrainingConfig(model), InferenceConfig(model)):
        with pytest.raises(ConfigError, match=r"^model must be a ModelConfig"):
            validate(config)


@given(trainings | inferences)
def test_files_are_not_looked_at(config) -> None:
    config.test_data_file = Path("no/such/file.npz")
    validate(config)


def test_any_real_number_is_a_number() -> None:
    validate(ModelConfig(probe_scale=Fraction(1, 3), gaussian_smoothing_sigma=2))


def test_a_long_value_is_shortened() -> None:
    nested: list = [1]
    for _ in range(200):
        nested = [nested, nested]
    with pytest.raises(ConfigError) as caught:
        validate(ModelConfig(N=nested))
    assert len(str(caught.value)) < 200


@given(st.lists(st.text(), min_size=1))
def test_an_error_survives_pickling(problems) -> None:
    error = pickle.loads(pickle.dumps(ConfigError(*problems)))  # noqa: S301 - it was pickled here
    assert isinstance(error, ValueError)
    assert error.problems == tuple(problems)
    assert str(error) == str(ConfigError(*problems))


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_each_wrong_value_is_the_one_problem(name, value) -> None:
    for config in (TrainingConfig(ModelConfig()), InferenceConfig(ModelConfig(), n_groups=1)):
        place = next((part for part in (config, config.model) if hasattr(part, name)), None)
        if place is not None:
            setattr(place, name, value)
            assert [problem.split(" must be ")[0] for problem in problems_of(config)] == [name]
