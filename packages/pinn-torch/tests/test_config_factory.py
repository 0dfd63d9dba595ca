"""Payloads: the highest level that gives a setting wins, and the record says which that was."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_archive import ModelPayload, write_archive
from pinn_config import legacy
from pinn_config.bridge import BRIDGED_KEYS, dataclass_to_legacy_dict
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_torch.settings import config_params as pt
from pinn_torch.settings.config_bridge import to_execution_config, to_model_config
from pinn_torch.settings.config_factory import (
    INFERENCE_SETTINGS,
    TRAINING_SETTINGS,
    create_inference_payload,
    create_training_payload,
)
from pinn_torch.settings.precedence import Applied, Level, canonical_defaults, execution_level, resolve
from torch_scans import small_scan, small_training

# Three values of each setting that may all be run with whatever the others are.
_CANONICAL = {
    "gridsize": (1, 2, 3),
    "n_filters_scale": (1, 3, 4),
    "amp_activation": ("relu", "softplus", "sigmoid"),
    "object_big": (False, True, False),
    "probe_mask": (True, False, True),
    "probe_scale": (1.5, 2.5, 3.5),
    "architecture": ("unet", "unrolled", "refined"),
    "cbam_encoder": (False, True, False),
    "batch_size": (3, 5, 7),
    "nepochs": (11, 12, 13),
    "nll_weight": (0.25, 0.5, 0.75),
    "mae_weight": (0.125, 0.375, 0.625),
    "nphotons": (1e3, 2e3, 3e3),
    "n_groups": (21, 22, 23),
    "n_subsample": (8, 9, 10),
    "subsample_seed": (0, 1, 2),
    "neighbor_count": (4, 5, 8),
    "neighbor_function": ("4_quadrant", "Min_dist", "Nearest"),
    "probe_trainable": (True, False, True),
    "sequential_sampling": (True, False, True),
    "predicted_neighbors": (0, 1, 2),
    "validation_groups": (1, 2, 3),
}
_EXECUTION = {
    "accelerator": ("auto", "gpu", "mps"),
    "devices": (2, 3, 4),
    "deterministic": (False, "warn", True),
    "precision": ("auto", "bf16-mixed", "16-mixed"),
    "compile": (True, False, True),
    "gradient_clip_val": (0.5, 1.0, 2.0),
    "accum_steps": (2, 3, 4),
    "num_workers": (1, 2, 3),
    "learning_rate": (1e-4, 2e-4, 3e-4),
    "scheduler": ("Exponential", "MultiStage", "Adaptive"),
    "enable_progress_bar": (True, False, True),
    "checkpoint_save_top_k": (-1, 0, 2),
    "early_stop_patience": (1, 2, 3),
    "logger_backend": ("csv", "none", "tensorboard"),
    "inference_batch_size": (2, 4, 8),
}
_VALUES = _CANONICAL | _EXECUTION


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory) -> Path:
    """A scan whose metadata do not tell its photons."""
    return _write(tmp_path_factory.mktemp("scan") / "scan.npz")


def _write(path: Path, N: int = 64, **more) -> Path:
    n = 6
    np.savez(
        path,
        xcoords=np.arange(n) * 3.0,
        ycoords=np.arange(n) * 2.0,
        diff3d=np.ones((n, N, N), np.float32) * 1.5,
        probeGuess=np.ones((N, N), complex),
        **more,
    )
    return path


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> Path:
    """The archive of a training with groups of its own making."""
    folder = tmp_path_factory.mktemp("model")
    return small_training(
        folder, small_scan(), gridsize=2, neighbor_count=7, neighbor_function="4_quadrant"
    ).archive


def _value_in(payload, name):
    """A setting as the configs of a training payload hold it."""
    config = payload.tf_training_config
    for holder in (config, config.model, payload.execution_config):
        if hasattr(holder, name):
            return getattr(holder, name)
    raise AssertionError(name)


def _drawn_execution(data, subset):
    """(arguments of a factory, what level 2 then says): no config, one that counts whole, or one of which
    some fields are named, as a command line does."""
    given_ = {name: _EXECUTION[name][1] for name in data.draw(subset, "execution") & set(_EXECUTION)}
    counts = data.draw(st.sampled_from(["not at all", "whole", "as named"]), "an execution config counts")
    if counts == "not at all":
        return {}, {}
    made = PyTorchExecutionConfig(**given_)
    if counts == "whole":
        return {"execution_config": made}, vars(made)
    return {"execution_config": made, "execution_given": set(given_)}, given_


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_the_highest_level_that_gives_a_setting_wins_and_the_record_says_so(
    scan_file, tmp_path_factory, data
):
    subset = st.sets(st.sampled_from(sorted(_VALUES)))
    overrides = {name: _VALUES[name][0] for name in data.draw(subset, "overrides")}
    arguments, execution = _drawn_execution(data, subset)
    cli = {name: _VALUES[name][2] for name in data.draw(subset, "cli") | {"n_groups"}}
    payload = create_training_payload(
        scan_file, scan_file.parent / "out", overrides, cli_defaults=cli, **arguments
    )
    record = payload.overrides_applied
    assert sorted([*record, *payload.file_facts]) == sorted(TRAINING_SETTINGS)
    assert payload.file_facts == {"N": 64}
    levels = ((Level.OVERRIDE, overrides), (Level.EXECUTION, execution), (Level.CLI, cli))
    for name in TRAINING_SETTINGS:
        expected = next((Applied(level[name], rank) for rank, level in levels if name in level), None)
        if expected is not None:
            assert record[name] == expected
        elif name in ("train_data_file", "output_dir"):
            assert record[name].level is Level.OVERRIDE
        elif name != "N":
            assert record[name].level in (Level.PYTORCH, Level.CANONICAL)
        held = payload.file_facts["N"] if name == "N" else record[name].value
        assert _value_in(payload, name) == held, name


def test_the_levels_are_the_five_of_the_rationale():
    """What the file itself says is none of them."""
    assert [level.value.lower() for level in Level] == [
        "explicit overrides",
        "execution config",
        "cli defaults",
        "pytorch config defaults",
        "canonical defaults",
    ]


def test_the_table_of_values_covers_both_kinds_of_settings():
    assert set(_CANONICAL) <= set(TRAINING_SETTINGS) - {f.name for f in fields(PyTorchExecutionConfig)}
    assert set(_EXECUTION) <= {f.name for f in fields(PyTorchExecutionConfig)}
    assert max(Counter(TRAINING_SETTINGS).values()) == max(Counter(INFERENCE_SETTINGS).values()) == 1


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(Level), st.dictionaries(st.sampled_from("abcde"), st.integers())))
def test_resolving_is_taking_the_first_level_that_has_a_say(levels):
    found = resolve(levels)
    assert set(found) == {name for values in levels.values() for name in values}
    for name, applied in found.items():
        assert applied.level is next(level for level in Level if name in levels.get(level, {}))
        assert applied.value == levels[applied.level][name]


def test_pytorch_defaults_are_what_the_pytorch_configs_become(scan_file, tmp_path):
    payload = create_training_payload(scan_file, tmp_path, {"n_groups": 4})
    default = to_model_config(pt.DataConfig(), pt.ModelConfig())
    assert payload.tf_training_config.model == default
    assert payload.tf_training_config.neighbor_count == pt.DataConfig().K == 6
    record = payload.overrides_applied
    for name in ("gridsize", "cbam_encoder", "amp_activation", "neighbor_count", "nepochs", "backend"):
        assert record[name].level is Level.PYTORCH, name
    # What no PyTorch config has, and what it does not own.
    for name in ("predicted_neighbors", "probe_trainable", "nphotons", "accelerator", "num_workers"):
        assert record[name].level is Level.CANONICAL, name
    assert payload.execution_config == PyTorchExecutionConfig()
    assert payload.tf_training_config.nphotons == TrainingConfig(ModelConfig()).nphotons


@pytest.mark.parametrize("level", ["overrides", "cli_defaults"])
def test_pytorch_defaults_of_layers_are_those_of_the_network_cnn(scan_file, tmp_path, level):
    given_ = {"overrides": {"n_groups": 4}} | {level: {"n_groups": 4, "architecture": "unrolled"}}
    payload = create_training_payload(scan_file, tmp_path, **given_)
    assert not payload.tf_training_config.model.cbam_encoder
    assert payload.tf_training_config.model.gridsize == 2


def test_the_pytorch_configs_of_a_payload_say_the_same(scan_file, tmp_path):
    asked = {
        "gridsize": 3,
        "n_groups": 9,
        "neighbor_function": "4_quadrant",
        "max_neighbor_distance": 12.0,
        "neighbor_count": 17,
        "model_type": "supervised",
        "amp_activation": "relu",
        "nll_weight": 0.0,
        "mae_weight": 1.0,
        "max_epochs": 8,
        "learning_rate": 3e-4,
        "logger": "csv",
        "num_workers": 2,
        "inference_batch_size": 5,
    }
    payload = create_training_payload(scan_file, tmp_path, asked)
    data, model = payload.pt_data_config, payload.pt_model_config
    assert (data.C, model.C_model, model.C_forward, data.grid_size) == (9, 9, 9, (3, 3))
    assert (data.K_quadrant, data.max_neighbor_distance) == (17, 12.0)
    assert (model.mode, model.loss_function, payload.pt_training_config.epochs) == ("Supervised", "MAE", 8)
    assert to_model_config(data, model) == payload.tf_training_config.model
    execution = to_execution_config(payload.pt_training_config, payload.pt_inference_config)
    for name in ("learning_rate", "logger_backend", "num_workers", "inference_batch_size", "devices"):
        assert getattr(execution, name) == getattr(payload.execution_config, name), name


def test_names_of_the_pytorch_configs_and_of_the_command_line_are_understood(scan_file, tmp_path):
    payload = create_training_payload(
        scan_file,
        tmp_path,
        {
            "n_images": 33,
            "epochs": 4,
            "K": 9,
            "grid_size": (1, 1),
            "mode": "Unsupervised",
            "amp_activation": "silu",
            "loss_function": "MAE",
            "device": "cpu",
            "n_devices": 2,
            "accumulate_grad_batches": 2,
            "intensity_scale": 10000.0,  # at its default, so there is nothing to refuse
        },
    )
    config, execution = payload.tf_training_config, payload.execution_config
    assert (config.n_groups, config.nepochs, config.neighbor_count) == (33, 4, 9)
    assert (config.model.gridsize, config.model.amp_activation) == (1, "swish")
    assert (config.nll_weight, config.mae_weight) == (0.0, 1.0)
    assert (execution.accelerator, execution.devices, execution.accum_steps) == ("cpu", 2, 2)
    assert "intensity_scale" not in payload.overrides_applied


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"n_grups": 3}, "overrides: unknown setting 'n_grups': did you mean 'n_groups'"),
        ({"zzz": 3}, "unknown setting 'zzz': choose one of N, accelerator, accum_steps"),
        ({"x_bounds": (0, 1)}, "x_bounds belongs to the clients of pinn_torch.api"),
        ({"intensity_scale": 2.0}, "intensity_scale=2.0 cannot be honoured: it is measured"),
        ({"C": 4}, r"C is not a separate setting, it is gridsize\*\*2: give gridsize"),
        (
            {"epochs": 3, "max_epochs": 4},
            "epochs and max_epochs are two names of nepochs with different values, 3 and 4",
        ),
        ({"grid_size": (1, 2)}, "Non-square grids not supported"),
        ({"mode": "pinn"}, "Invalid mode 'pinn'"),
        ({"N": 128}, "N=128 was given, but the patterns of .* are 64 x 64: leave N out"),
        ({"output_dir": "elsewhere"}, "output_dir is .* as an argument and elsewhere in overrides"),
        ({"backend": "tensorflow"}, "backend='tensorflow' was given, but this is the PyTorch backend"),
        ({"gridsize": "two"}, "gridsize must be a whole number, not 'two'"),
        ({"num_workers": -1}, "num_workers must be >= 0, not -1"),
        ({"learning_rate": 0}, "learning_rate must be > 0, not 0"),
        ({"inference_batch_size": 0}, "inference_batch_size must be > 0, not 0"),
        ({"n_groups": None}, "n_groups is not known: give overrides="),
        ({"decoder_last_amp_channels": 3}, r"must be 1 or gridsize\*\*2 = 4, not 3"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_bridged(scan_file, tmp_path, overrides, message):
    before = dict(legacy.cfg)
    with pytest.raises(ValueError, match=message) as caught:
        create_training_payload(scan_file, tmp_path, {"n_groups": 4} | overrides)
    assert "\n" not in str(caught.value)
    assert legacy.cfg == before


def test_all_problems_are_told_at_once(scan_file, tmp_path):
    with pytest.raises(ConfigError) as caught:
        create_training_payload(scan_file, tmp_path, {"n_groups": 0, "nepochs": 0, "num_workers": -2})
    assert [p.split()[0] for p in caught.value.problems] == ["nepochs", "n_groups", "num_workers"]


def test_paths_that_are_not_there(scan_file, tmp_path, model_path):
    with pytest.raises(FileNotFoundError, match=r"^Training data file not found: .*nowhere\.npz$"):
        create_training_payload(tmp_path / "nowhere.npz", tmp_path, {"n_groups": 4})
    with pytest.raises(
        FileNotFoundError, match=r"^Training data file not found: .*, which is a folder: give the"
    ):
        create_training_payload(tmp_path, tmp_path, {"n_groups": 4})
    with pytest.raises(FileNotFoundError, match=r"^Test data file not found: .*no\.npz$"):
        create_training_payload(scan_file, tmp_path, {"n_groups": 4, "test_data_file": tmp_path / "no.npz"})
    with pytest.raises(FileNotFoundError, match=r"^Test data file not found: .*no\.npz$"):
        create_inference_payload(model_path, tmp_path / "no.npz", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^Model archive not found: .*nothing: give wts\.h5\.zip"):
        create_inference_payload(tmp_path / "nothing", scan_file, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no model archive in .*: the folder should hold"):
        create_inference_payload(tmp_path, scan_file, tmp_path)


def test_a_file_that_is_no_scan_is_an_error_and_not_a_guess(tmp_path):
    (tmp_path / "scan.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match=r"scan\.npz is a truncated or damaged NPZ file"):
        create_training_payload(tmp_path / "scan.npz", tmp_path, {"n_groups": 4})


def test_photons_come_from_the_metadata_unless_somebody_knows_better(tmp_path):
    path = _write(tmp_path / "scan.npz", metadata=np.array('{"nphotons": 4321}'))
    payload = create_training_payload(path, tmp_path, {"n_groups": 4}, cli_defaults={"nphotons": 5})
    assert payload.file_facts == {"N": 64, "nphotons": 4321.0}
    assert not payload.file_facts.keys() & payload.overrides_applied.keys()
    payload = create_training_payload(path, tmp_path, {"n_groups": 4, "nphotons": 1e5})
    assert payload.overrides_applied["nphotons"] == Applied(1e5, Level.OVERRIDE)
    assert payload.file_facts == {"N": 64}


@pytest.mark.parametrize("N", [64, 128, 256])
def test_the_size_of_the_network_is_that_of_the_patterns(tmp_path, N):
    payload = create_training_payload(_write(tmp_path / "scan.npz", N), tmp_path, {"n_groups": 4})
    assert payload.tf_training_config.model.N == payload.pt_data_config.N == N


@settings(deadline=None, max_examples=30)
@given(st.sets(st.sampled_from(sorted(_EXECUTION))))
def test_the_canonical_config_is_bridged_and_the_execution_never_is(scan_file, tmp_path_factory, names):
    foreign = {key: value for key, value in legacy.cfg.items() if key not in BRIDGED_KEYS}
    payload = create_training_payload(
        scan_file,
        scan_file.parent / "out",
        {"n_groups": 4},
        PyTorchExecutionConfig(**{name: _EXECUTION[name][0] for name in names}),
    )
    expected = dataclass_to_legacy_dict(payload.tf_training_config)
    assert {key: value for key, value in legacy.cfg.items() if key in BRIDGED_KEYS} == expected
    assert {key: value for key, value in legacy.cfg.items() if key not in BRIDGED_KEYS} == foreign
    execution_names = {item.name for item in fields(PyTorchExecutionConfig)}
    assert not execution_names & set(expected)


def test_no_pattern_is_read_before_the_configuration_is_bridged(tmp_path):
    """CONFIG-001: patterns that are damaged are found by who reads them, which the factory does not."""
    path = tmp_path / "scan.npz"
    np.savez(
        path,
        xcoords=np.arange(99.0),
        ycoords=np.arange(99.0),
        diff3d=np.full((99, 64, 64), -1.0),  # negative: `read_scan` refuses it
        probeGuess=np.ones((64, 64), complex),
    )
    create_training_payload(path, tmp_path / "marked", {"n_groups": 4})
    assert legacy.get("output_prefix") == str(tmp_path / "marked")


def test_an_execution_config_counts_whole_or_in_the_fields_that_are_named():
    assert execution_level(None) == {}
    config = PyTorchExecutionConfig(num_workers=2, learning_rate=1e-3)
    assert execution_level(config) == vars(config)
    assert execution_level(config, ["learning_rate"]) == {"learning_rate": 1e-3}
    assert execution_level(config, []) == {}
    with pytest.raises(ConfigError, match="execution_given names 'lr', but PyTorchExecutionConfig has no"):
        execution_level(config, ["lr"])


@pytest.mark.parametrize("run", ["training", "reconstruction"])
def test_a_flag_typed_with_its_default_beats_the_command_lines_default(scan_file, tmp_path, model_path, run):
    make = create_training_payload if run == "training" else create_inference_payload
    paths = (scan_file, tmp_path) if run == "training" else (model_path, scan_file, tmp_path)
    arguments = {
        "overrides": {"n_groups": 4},
        "execution_config": PyTorchExecutionConfig(accelerator="cpu", learning_rate=1e-3),
        "cli_defaults": {"accelerator": "auto", "learning_rate": 5e-3},
    }
    whole = make(*paths, **arguments)
    assert whole.overrides_applied["accelerator"] == Applied("cpu", Level.EXECUTION)
    assert whole.overrides_applied["learning_rate"] == Applied(1e-3, Level.EXECUTION)
    assert whole.execution_config == arguments["execution_config"]
    typed = make(*paths, execution_given={"accelerator"}, **arguments)
    assert typed.overrides_applied["accelerator"] == Applied("cpu", Level.EXECUTION)
    assert typed.overrides_applied["learning_rate"] == Applied(5e-3, Level.CLI)


def test_the_record_has_the_values_that_the_configs_hold(scan_file, tmp_path):
    given_ = {"n_groups": 4, "test_data_file": str(scan_file), "logger_backend": None}
    payload = create_training_payload(str(scan_file), str(tmp_path), given_)
    record = payload.overrides_applied
    assert record["test_data_file"] == Applied(scan_file, Level.OVERRIDE)
    assert record["train_data_file"] == Applied(scan_file, Level.OVERRIDE)
    assert record["logger_backend"] == Applied("mlflow", Level.OVERRIDE)
    assert payload.execution_config.logger_backend == "mlflow"


def test_the_choices_are_logged_once(tmp_path, caplog):
    path = _write(tmp_path / "scan.npz", 128)
    with caplog.at_level(logging.INFO, logger="pinn_torch"):
        create_training_payload(
            path, tmp_path, {"n_groups": 4, "nepochs": 50}, PyTorchExecutionConfig(learning_rate=5e-4)
        )
    (record,) = caplog.records
    text = record.getMessage()
    assert "explicit overrides: n_groups=4, " in text
    assert "execution config: accelerator='cpu', " in text and ", learning_rate=0.0005, " in text
    assert "n_groups=4, nepochs=50, " in text  # asked for, though it is the default
    assert text.endswith("the file itself: N=128") and "canonical" not in text


def test_a_reconstruction_takes_the_network_and_the_making_of_groups_from_the_archive(
    scan_file, tmp_path, model_path
):
    for path in (model_path, model_path.parent):
        payload = create_inference_payload(path, scan_file, tmp_path)
        config = payload.tf_inference_config
        assert (config.model.gridsize, config.model.n_filters_scale) == (2, 1)
        assert (config.neighbor_count, config.neighbor_function) == (7, "4_quadrant")
        assert (config.n_groups, config.backend) == (None, "pytorch")
        assert payload.pt_data_config.grid_size == (2, 2)
        assert payload.pt_model_config.n_filters_scale == 1
        assert payload.file_facts["gridsize"] == 2 and "gridsize" not in payload.overrides_applied
        assert {*payload.overrides_applied, *payload.file_facts} == set(INFERENCE_SETTINGS)
        assert legacy.cfg["model_path"] == str(path) and legacy.cfg["gridsize"] == 2


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_the_levels_of_a_reconstruction(scan_file, model_path, data):
    values = {name: _VALUES[name] for name in _VALUES if name in (*_EXECUTION, "n_groups", "neighbor_count")}
    subset = st.sets(st.sampled_from(sorted(values)))
    overrides = {name: values[name][0] for name in data.draw(subset, "overrides")}
    arguments, execution = _drawn_execution(data, subset)
    cli = {name: values[name][2] for name in data.draw(subset, "cli")}
    payload = create_inference_payload(
        model_path, scan_file, scan_file.parent, overrides, cli_defaults=cli | {"gridsize": 1}, **arguments
    )
    record, facts = payload.overrides_applied, payload.file_facts
    assert sorted([*record, *facts]) == sorted(INFERENCE_SETTINGS)
    assert facts["gridsize"] == 2
    assert facts.get("neighbor_count") == (None if "neighbor_count" in overrides else 7)
    levels = (
        (Level.OVERRIDE, overrides),
        (Level.EXECUTION, execution),
        (Level.CLI, cli),
        (Level.CANONICAL, canonical_defaults(InferenceConfig, PyTorchExecutionConfig)),
    )
    for name in set(values) - facts.keys():
        assert record[name] == next(Applied(level[name], rank) for rank, level in levels if name in level)
    holders = (payload.tf_inference_config, payload.tf_inference_config.model, payload.execution_config)
    for name, value in ({name: applied.value for name, applied in record.items()} | facts).items():
        held = [getattr(holder, name) for holder in holders if hasattr(holder, name)]
        assert held == [value], name


def test_what_contradicts_the_archive_is_refused(scan_file, tmp_path, model_path):
    assert create_inference_payload(model_path, scan_file, tmp_path, {"gridsize": 2, "N": 64})
    with pytest.raises(ValueError, match=r"gridsize=1 was given, but the model in .* has gridsize=2: leave"):
        create_inference_payload(model_path, scan_file, tmp_path, {"gridsize": 1})
    other = _write(tmp_path / "large.npz", 128)
    with pytest.raises(ValueError, match=r"large\.npz are 128 x 128, but the model in .* is for N=64: crop"):
        create_inference_payload(model_path, other, tmp_path)


def test_an_archive_that_is_none_is_an_error(scan_file, tmp_path):
    (tmp_path / "wts.h5.zip").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="wts"):
        create_inference_payload(tmp_path, scan_file, tmp_path)


def test_an_archive_of_another_backend_is_told_with_both_names(scan_file, tmp_path):
    path = write_archive(
        tmp_path,
        models={"diffraction_to_obj": ModelPayload({})},
        params={"N": 64},
        arrays={},
        backend="tensorflow",
        provenance={},
    )
    with pytest.raises(
        ValueError, match=r"backend 'tensorflow' and cannot be opened by .* 'pytorch': choose"
    ):
        create_inference_payload(path, scan_file, tmp_path)


def test_payload_fields_have_their_historical_names(scan_file, tmp_path):
    payload = create_training_payload(scan_file, tmp_path, {"n_groups": 4})
    names = "tf_training_config pt_data_config pt_model_config pt_training_config pt_inference_config"
    assert set(vars(payload)) == {
        *names.split(),
        "execution_config",
        "overrides_applied",
        "file_facts",  # ours
    }
    for call, first in (
        (create_training_payload, "train_data_file output_dir overrides execution_config"),
        (create_inference_payload, "model_path test_data_file output_dir overrides execution_config"),
    ):
        assert list(inspect.signature(call).parameters)[: len(first.split())] == first.split()


def test_defaults_of_the_canonical_level_are_those_of_the_dataclasses():
    defaults = canonical_defaults(InferenceConfig, PyTorchExecutionConfig)
    for name, value in asdict(InferenceConfig(ModelConfig())).items():
        if name not in ("model", "n_images"):
            assert defaults[name] == value


def test_configuring_loads_no_framework(scan_file, tmp_path):
    code = f"""
import sys
from pinn_torch.settings.config_factory import create_training_payload
create_training_payload({str(scan_file)!r}, {str(tmp_path)!r}, {{'n_groups': 4}})
print({{'torch', 'lightning', 'tensorflow'}} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "set()"
