"""Everything a run is configured with, from whatever was given: *payloads* (specification, sections 4.8, 4.9
and 7; cli_flag_rationale.md).

What a setting is, is decided by the levels of `pinn_torch.settings.precedence`, and the payload says of every
setting which level that was. The canonical config is bridged to the legacy dictionary before any data are
read (CONFIG-001); the execution config never is. Importing this loads no framework.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pinn_archive.reader import find_archive
from pinn_config import configs as canonical
from pinn_config import legacy
from pinn_config.bridge import update_legacy_dict
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import problems_of, shown
from pinn_data.archives.stored_configs import read_archived_configs
from pinn_data.files.npz_header import ScanHeader, read_scan_header

from pinn_torch import BACKEND
from pinn_torch.errors import PathNotFoundError
from pinn_torch.settings.config_bridge import to_inference_config, to_model_config, to_training_config
from pinn_torch.settings.config_params import DataConfig, InferenceConfig, ModelConfig, TrainingConfig
from pinn_torch.settings.config_support import OPTIONS, Honoured
from pinn_torch.settings.paths import existing_file
from pinn_torch.settings.precedence import (
    Applied,
    Level,
    Settings,
    canonical_defaults,
    execution_level,
    resolve,
)
from pinn_torch.settings.pytorch_view import data_config, inference_config, model_config, training_config
from pinn_torch.settings.setting_names import translated

__all__ = [
    "INFERENCE_SETTINGS",
    "TRAINING_SETTINGS",
    "InferencePayload",
    "TrainingPayload",
    "create_inference_payload",
    "create_training_payload",
]

_LOG = logging.getLogger(__name__)

Given = Mapping[str, Any] | None
T = TypeVar("T")


def _names(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind) if item.name not in ("model", "n_images"))


_MODEL, _EXECUTION = _names(canonical.ModelConfig), _names(PyTorchExecutionConfig)
_TRAINING, _INFERENCE = _names(canonical.TrainingConfig), _names(canonical.InferenceConfig)

TRAINING_SETTINGS = _MODEL + _TRAINING + _EXECUTION
"""Settings of a training, each under the name of its canonical field."""

INFERENCE_SETTINGS = _MODEL + _INFERENCE + _EXECUTION
"""Settings of a reconstruction; those of the network are the archive's."""

# How groups were made for the training is how they are made for the reconstruction, unless told otherwise.
_GROUPING = (
    "neighbor_count",
    "neighbor_function",
    "min_neighbor_distance",
    "max_neighbor_distance",
    "scan_pattern",
)

# What the PyTorch defaults say of the layers of the network 'refined', the only one that they know.
_LAYERS = (
    "cbam_encoder",
    "cbam_bottleneck",
    "cbam_decoder",
    "eca_encoder",
    "eca_decoder",
    "spatial_decoder",
    "decoder_spatial_kernel",
    "batch_norm",
    "use_shared_decoder",
    "decoder_last_c_outer_fraction",
    "decoder_last_amp_channels",
)


@dataclass(frozen=True)
class TrainingPayload:
    """What a training is run with.

    tf_training_config : the canonical config (the name is historical), with the network under ``model``
    pt_data_config, pt_model_config, pt_training_config, pt_inference_config : the same in the terms of the
        PyTorch configs, as far as those have the fields
    execution_config : how it is executed
    overrides_applied : setting to value and the level of the five that gave it
    file_facts : setting to value, of the others, which the file itself says and no level: ``N``, and
        ``nphotons`` where its metadata tell
    """

    tf_training_config: canonical.TrainingConfig
    pt_data_config: DataConfig
    pt_model_config: ModelConfig
    pt_training_config: TrainingConfig
    pt_inference_config: InferenceConfig
    execution_config: PyTorchExecutionConfig
    overrides_applied: Mapping[str, Applied]
    file_facts: Mapping[str, Any]


@dataclass(frozen=True)
class InferencePayload:
    """What a reconstruction is run with; as `TrainingPayload`.

    file_facts : the network, and of how groups are made what no override says: those of the archive
    """

    tf_inference_config: canonical.InferenceConfig
    pt_data_config: DataConfig
    pt_model_config: ModelConfig
    pt_inference_config: InferenceConfig
    execution_config: PyTorchExecutionConfig
    overrides_applied: Mapping[str, Applied]
    file_facts: Mapping[str, Any]


def create_training_payload(
    train_data_file: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    overrides: Given = None,
    execution_config: PyTorchExecutionConfig | None = None,
    *,
    cli_defaults: Given = None,
    execution_given: Collection[str] | None = None,
) -> TrainingPayload:
    """Configures a training on the scan in `train_data_file`, which goes to `output_dir`.

    overrides : setting to value, in any of the names of `pinn_torch.settings.setting_names`; beats everything
        else. ``n_groups`` must be here or in `cli_defaults`
    execution_config : beats everything but `overrides`, in all of its fields
    execution_given : names of the fields that count, where not all do: those that were typed on a command
        line
    cli_defaults : what a command line takes where no flag was typed

    ``N`` comes from the file; ``nphotons`` too where its metadata tell.

    Raises
    ------
    FileNotFoundError
        No such data file.
    ValueError
        A file that is no scan, unknown settings, values that cannot be run. Nothing was bridged then.
    """
    header = _header("Training", train_data_file)
    asked = translated("overrides", overrides or {}, TRAINING_SETTINGS)
    _say_paths(asked, train_data_file=train_data_file, output_dir=output_dir)
    _same_size(asked.get("N"), header, train_data_file)
    if asked.get("test_data_file") is not None:
        _header("Test", asked["test_data_file"])
    usual = translated("cli_defaults", cli_defaults or {}, TRAINING_SETTINGS)
    execution_asked = execution_level(execution_config, execution_given)
    if asked.get("n_groups", usual.get("n_groups")) is None:
        raise ConfigError("n_groups is not known: give overrides={'n_groups': ...}, the groups to draw")
    photons = {} if header.nphotons is None else {"nphotons": header.nphotons}
    facts = _without({"N": header.N} | photons, asked)
    applied = resolve(
        {
            Level.OVERRIDE: asked,
            Level.EXECUTION: execution_asked,
            Level.CLI: usual,
            Level.PYTORCH: _pytorch_defaults(asked, usual),
            Level.CANONICAL: canonical_defaults(
                canonical.ModelConfig, canonical.TrainingConfig, PyTorchExecutionConfig
            ),
        }
    )
    applied = _without(applied, facts)
    values = {name: one.value for name, one in applied.items()} | facts
    execution = _runnable(canonical.TrainingConfig, values)
    data, model = data_config(values), model_config(values)
    training, inference = training_config(values), inference_config(values)
    network = to_model_config(data, model, {name: values[name] for name in _MODEL})
    config = to_training_config(network, data, model, training, {name: values[name] for name in _TRAINING})
    update_legacy_dict(legacy.cfg, config)
    applied = _as_held(applied, config, network, execution)
    _tell("training", applied, facts)
    return TrainingPayload(config, data, model, training, inference, execution, applied, facts)


def create_inference_payload(
    model_path: str | os.PathLike[str],
    test_data_file: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    overrides: Given = None,
    execution_config: PyTorchExecutionConfig | None = None,
    *,
    cli_defaults: Given = None,
    execution_given: Collection[str] | None = None,
) -> InferencePayload:
    """Configures the reconstruction of the scan in `test_data_file` with the archive at `model_path`.

    The archive says what the network is, and how groups are made where nobody says otherwise; ``n_groups``
    left out means all. Arguments and levels are those of `create_training_payload`.

    Raises
    ------
    FileNotFoundError
        No archive, or no data file.
    ValueError
        An archive or a file that cannot be read as such, patterns of another size than the network's, an
        override that contradicts the archive, and what `create_training_payload` raises.
    """
    if not Path(model_path).exists():
        raise PathNotFoundError(f"Model archive not found: {model_path}: give wts.h5.zip, or its folder")
    trained, _ = read_archived_configs(find_archive(model_path), BACKEND)
    header = _header("Test", test_data_file)
    asked = translated("overrides", overrides or {}, INFERENCE_SETTINGS)
    _say_paths(asked, model_path=model_path, test_data_file=test_data_file, output_dir=output_dir)
    network = {name: getattr(trained.model, name) for name in _MODEL}
    _same_network(asked, network, model_path)
    if header.N != trained.model.N:
        raise ConfigError(
            f"the patterns of {test_data_file} are {header.N} x {header.N}, but the model in {model_path} is "
            f"for N={trained.model.N}: crop or pad the patterns, or choose another model"
        )
    # The defaults of a command line for a network are for one that is yet to be trained.
    usual = translated("cli_defaults", cli_defaults or {}, INFERENCE_SETTINGS)
    asked = _without(asked, network)
    facts = network | _without({name: getattr(trained, name) for name in _GROUPING}, asked)
    applied = resolve(
        {
            Level.OVERRIDE: asked,
            Level.EXECUTION: execution_level(execution_config, execution_given),
            Level.CLI: usual,
            Level.PYTORCH: {"backend": "pytorch"},
            Level.CANONICAL: canonical_defaults(canonical.InferenceConfig, PyTorchExecutionConfig),
        }
    )
    applied = _without(applied, facts)
    values = {name: one.value for name, one in applied.items()} | facts
    execution = _runnable(canonical.InferenceConfig, values)
    data, inference = data_config(values), inference_config(values)
    config = to_inference_config(trained.model, data, inference, {name: values[name] for name in _INFERENCE})
    update_legacy_dict(legacy.cfg, config)
    applied = _as_held(applied, config, trained.model, execution)
    _tell("reconstruction", applied, facts)
    return InferencePayload(config, data, model_config(values), inference, execution, applied, facts)


def _header(what: str, path: str | os.PathLike[str]) -> ScanHeader:
    return read_scan_header(existing_file(what, path))


def _without(settings: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    return {name: value for name, value in settings.items() if name not in names}


def _say_paths(asked: Settings, **paths: str | os.PathLike[str]) -> None:
    """Puts the paths that have an argument of their own among the overrides."""
    for name, path in paths.items():
        if name in asked and Path(asked[name]) != Path(path):
            raise ConfigError(
                f"{name} is {path} as an argument and {asked[name]} in overrides: give only the argument"
            )
        asked[name] = Path(path)


def _runnable(kind: type, values: Settings) -> PyTorchExecutionConfig:
    """The execution settings, once all of `values` are known to be such as can be run.

    Raises ConfigError with everything that is wrong.
    """
    network = canonical.ModelConfig(**{name: values[name] for name in _MODEL})
    problems = problems_of(kind(model=network, **{name: values[name] for name in _names(kind)}))
    if values["backend"] != "pytorch":
        problems.append(f"backend={shown(values['backend'])} was given, but this is the PyTorch backend")
    try:
        execution = PyTorchExecutionConfig(**{name: values[name] for name in _EXECUTION})
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return execution


def _same_size(asked: int | None, header: ScanHeader, path: str | os.PathLike[str]) -> None:
    if asked is not None and asked != header.N:
        raise ConfigError(
            f"N={shown(asked)} was given, but the patterns of {path} are {header.N} x {header.N}: leave N "
            "out, since it is taken from the file"
        )


def _same_network(asked: Settings, network: Settings, path: str | os.PathLike[str]) -> None:
    wrong = [name for name in network if name in asked and asked[name] != network[name]]
    if wrong:
        said = ", ".join(f"{name}={shown(asked[name])}" for name in wrong)
        known = ", ".join(f"{name}={shown(network[name])}" for name in wrong)
        raise ConfigError(
            f"{said} was given, but the model in {path} has {known}: leave it out, since the archive "
            "defines the network"
        )


def _pytorch_defaults(*above: Settings) -> Settings:
    """What level 4 says: the settings that the PyTorch configs have, at their defaults, in canonical terms.

    `above` are the levels over it that may choose another network than the one which those describe. A
    default of None says nothing, and neither do N and nphotons, which are the data's.
    """
    data, model, training = DataConfig(), ModelConfig(), TrainingConfig()
    network = to_model_config(data, model)
    needed = {"nphotons": 1.0, "train_data_file": Path(), "n_groups": 1}
    config = to_training_config(network, data, model, training, needed)
    architecture = next(
        (level["architecture"] for level in above if "architecture" in level), model.architecture
    )
    silent = {"N", *needed} | (set(_LAYERS) if architecture != model.architecture else set())
    found = {"backend": config.backend}
    for option in (o for kind in (DataConfig, ModelConfig, TrainingConfig) for o in OPTIONS[kind].values()):
        for target in option.becomes if isinstance(option, Honoured) else ():
            section, _, name = target.partition(".")
            source = {"model": network, "training": config, "both": config}.get(section)
            if source is not None and name not in silent and getattr(source, name) is not None:
                found[name] = getattr(source, name)
    return found


def _as_held(applied: Mapping[str, Applied], *configs: Any) -> dict[str, Applied]:
    """The record with the values as the configs hold them: text that became a path, None a default."""
    return {
        name: Applied(next(getattr(config, name) for config in configs if hasattr(config, name)), one.level)
        for name, one in applied.items()
    }


def _tell(run: str, applied: Mapping[str, Applied], facts: Settings) -> None:
    """One line for what was asked for and what else is not the canonical default; all of it on request."""
    usual = canonical_defaults(
        canonical.ModelConfig, canonical.TrainingConfig, canonical.InferenceConfig, PyTorchExecutionConfig
    )
    parts, whole = [], [f"the file itself: {_listed(facts)}"]
    for level in Level:
        said = {n: one.value for n, one in applied.items() if one.level is level}
        asked = level in (Level.OVERRIDE, Level.EXECUTION)
        chosen = {n: value for n, value in said.items() if asked or value != usual[n]}
        if chosen and level not in (Level.PYTORCH, Level.CANONICAL):
            parts.append(f"{level.value}: {_listed(chosen)}")
        whole.append(f"{level.value}: {_listed(said)}")
    odd = {n: value for n, value in facts.items() if value != usual[n]}
    if odd:
        parts.append(f"the file itself: {_listed(odd)}")
    _LOG.info("settings of the %s; %s", run, "; ".join(parts))
    _LOG.debug("all settings of the %s; %s", run, "; ".join(whole))


def _listed(settings: Settings) -> str:
    return ", ".join(
        f"{name}={value if isinstance(value, Path) else shown(value)}" for name, value in settings.items()
    )
