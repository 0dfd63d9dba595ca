"""Reports all errors of a configuration at once.

One table of bounds and the types of the fields are the rules; a few that concern two fields follow. Paths are
not looked at: ``Path()`` is a legitimate stand-in, and whoever opens a file says which one is missing.
"""

from __future__ import annotations

import math
import numbers
import reprlib
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from pinn_config.errors import ConfigError
from pinn_config.refining import parse_parts

if TYPE_CHECKING:
    from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig

__all__ = [
    "PRECISION_HINTS",
    "allowed",
    "field_types",
    "located_problems",
    "problems_of",
    "shown",
    "type_problem",
    "validate",
    "validate_execution_config",
    "validate_inference_config",
    "validate_model_config",
    "validate_training_config",
]

# (strictly, bound): > bound or >= bound; None as a value is allowed where the type of the field allows it.
_BOUNDS: Mapping[str, tuple[bool, int]] = {
    "N": (False, 2),
    "gridsize": (False, 1),
    "n_filters_scale": (False, 1),
    "probe_scale": (True, 0),
    "gaussian_smoothing_sigma": (False, 0),
    "decoder_spatial_kernel": (False, 1),
    "decoder_last_c_outer_fraction": (True, 0),
    "decoder_last_amp_channels": (False, 1),
    "batch_size": (False, 1),
    "nepochs": (False, 1),
    "mae_weight": (False, 0),
    "nll_weight": (False, 0),
    "realspace_mae_weight": (False, 0),
    "realspace_weight": (False, 0),
    "amp_loss_coeff": (False, 0),
    "phase_loss_coeff": (False, 0),
    "nphotons": (True, 0),
    "n_groups": (False, 1),
    "n_images": (False, 1),
    "n_subsample": (False, 1),
    "subsample_seed": (False, 0),
    "neighbor_count": (False, 0),
    "min_neighbor_distance": (False, 0),
    "max_neighbor_distance": (True, 0),
    "predicted_neighbors": (False, 0),
    "validation_groups": (False, 1),
    "border_px": (False, 0),
    "devices": (False, 1),
    "gradient_clip_val": (True, 0),
    "accum_steps": (True, 0),
    "num_workers": (False, 0),
    "prefetch_factor": (False, 1),
    "learning_rate": (True, 0),
    "warmup_steps": (False, 0),
    "checkpoint_save_top_k": (False, -1),
    "early_stop_patience": (True, 0),
    "inference_batch_size": (True, 0),
    "middle_trim": (False, 0),
}

PRECISION_HINTS: Mapping[str, str] = {
    "16-true": "half-precision weights lose the small gradients of the phase; use '16-mixed'",
    "bf16-true": "bfloat16 weights have 8 significant bits, too few for the phase; use 'bf16-mixed'",
    "64-true": "the network is trained in single precision; use '32-true'",
}

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict, _REPR.maxstring, _REPR.maxother = 2, 4, 4, 80, 80

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}


def validate(config: Any) -> None:
    """Returns if `config` can be run: a network, a training, a reconstruction, or how it is executed.

    Raises
    ------
    ConfigError
        Its ``problems`` hold one sentence for each error.
    """
    problems = problems_of(config)
    if problems:
        raise ConfigError(*problems)


def validate_model_config(config: ModelConfig) -> None:
    """`validate`, under the historical name."""
    validate(config)


def validate_training_config(config: TrainingConfig) -> None:
    """`validate`, under the historical name; the network is included."""
    validate(config)


def validate_inference_config(config: InferenceConfig) -> None:
    """`validate`, under the historical name; the network is included, the files are not looked at."""
    validate(config)


def validate_execution_config(config: Any) -> None:
    """`validate`, for a `PyTorchExecutionConfig`."""
    validate(config)


def problems_of(config: Any) -> list[str]:
    """One sentence for each error of `config`, in the order of its fields; the network first."""
    return [sentence for _, sentence in located_problems(config)]


def located_problems(
    config: Any, unknown: Collection[str] = (), before: str = ""
) -> list[tuple[tuple[str, ...], str]]:
    """`problems_of` with the fields that each is about, those of the network as ``model.N``.

    unknown : fields, so named, whose values are not those that were meant; nothing is said of them
    before : what the names of the fields begin with
    """
    problems: list[tuple[tuple[str, ...], str]] = []
    sound: dict[str, Any] = {}
    for name, hint in field_types(type(config)).items():
        value = getattr(config, name)
        if before + name in unknown:
            continue
        if name == "model":
            problems += _model_problems(value, unknown)
            continue
        problem = type_problem(name, value, hint) or _bound_problem(name, value)
        if problem:
            problems.append(((before + name,), problem))
        else:
            sound[name] = value
    joint = _joint_problems(sound, getattr(config, "model", None))
    return problems + [(tuple(before + name for name in names), sentence) for names, sentence in joint]


def field_types(kind: type) -> dict[str, Any]:
    """Field name to type of the dataclass `kind`, in the order of its fields."""
    return _field_types(kind)


# Apart: to type checkers, a cached function takes no class whose instances cannot be hashed.
@cache
def _field_types(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


def type_problem(name: str, value: Any, hint: Any) -> str | None:
    """None if `value` has the type `hint`; otherwise a sentence that says what is allowed.

    A whole number is also a number, but true and false are neither.
    """
    if any(_is_a(value, option) for option in _options(hint)):
        return None
    if name == "precision" and isinstance(value, str) and value in PRECISION_HINTS:
        return f"precision {value!r} is not supported: {PRECISION_HINTS[value]}"
    return f"{name} must be {_described(hint)}, not {shown(value)}"


def _model_problems(model: Any, unknown: Collection[str]) -> list[tuple[tuple[str, ...], str]]:
    from pinn_config.configs import ModelConfig

    if not isinstance(model, ModelConfig):
        return [(("model",), f"model must be a ModelConfig, not {shown(model)}")]
    return located_problems(model, unknown, "model.")


def _bound_problem(name: str, value: Any) -> str | None:
    if name not in _BOUNDS or not isinstance(value, numbers.Real):
        return None
    strictly, bound = _BOUNDS[name]
    if not _is_finite(value):
        return f"{name} must be {'>' if strictly else '>='} {bound} and finite, not {shown(value)}"
    if value < bound or (value == bound and strictly):
        return f"{name} must be {'>' if strictly else '>='} {bound}, not {shown(value)}"
    return None


def _joint_problems(sound: Mapping[str, Any], model: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Rules about values rather than ranges, each with its fields; a field that is wrong by itself is left
    out."""
    if sound.get("N", 0) % 2:
        yield ("N",), f"N must be even, not {sound['N']}"
    if sound.get("decoder_spatial_kernel", 1) % 2 == 0:
        kernel = sound["decoder_spatial_kernel"]
        yield ("decoder_spatial_kernel",), f"decoder_spatial_kernel must be odd, not {kernel}"
    if (sound.get("decoder_last_c_outer_fraction") or 0) > 1:
        share = shown(sound["decoder_last_c_outer_fraction"])
        yield (
            ("decoder_last_c_outer_fraction",),
            f"decoder_last_c_outer_fraction must be <= 1, not {share}",
        )
    maps, gridsize = sound.get("decoder_last_amp_channels"), sound.get("gridsize")
    if maps is not None and gridsize is not None and maps not in (1, gridsize**2):
        fitting = "1" if gridsize == 1 else f"1 or gridsize**2 = {gridsize**2}"
        yield (
            ("decoder_last_amp_channels", "gridsize"),
            f"decoder_last_amp_channels must be {fitting}, not {maps}",
        )
    if "architecture" in sound and sound["architecture"] not in _architectures():
        known = ", ".join(repr(name) for name in _architectures())
        yield ("architecture",), f"architecture must be one of {known}, not {sound['architecture']!r}"
    if None not in (sound.get("n_images"), sound.get("n_groups")) and sound["n_images"] != sound["n_groups"]:
        yield (
            ("n_images", "n_groups"),
            f"n_images ({sound['n_images']}) and n_groups ({sound['n_groups']}) differ: "
            "n_images is the deprecated name of n_groups, so give n_groups only",
        )
    if sound.get("realspace_mae_weight", 0) > 0 and sound.get("realspace_weight", 1) == 0:
        yield (
            ("realspace_mae_weight", "realspace_weight"),
            "realspace_mae_weight is > 0 while realspace_weight is 0: give realspace_weight > 0 too",
        )
    weights = ("mae_weight", "nll_weight", "realspace_weight")
    if all(sound.get(name) == 0 for name in weights) and getattr(model, "model_type", None) == "pinn":
        yield (
            weights,
            f"{', '.join(weights)} are all 0, so nothing would be learned: set one of them > 0",
        )
    if sound.get("refine") is not None:
        try:
            parse_parts(sound["refine"])
        except ConfigError as error:
            yield ("refine",), str(error)
    yield from _distance_problems(sound)
    for name in ("persistent_workers", "prefetch_factor"):
        if sound.get(name) and sound.get("num_workers") == 0:
            yield (name, "num_workers"), f"{name} needs num_workers > 0, but num_workers is 0"


def _architectures() -> tuple[str, ...]:
    # Here and not above, because the description of the network imports the configs.
    from pinn_config.architecture import ARCHITECTURES

    return ARCHITECTURES


def _distance_problems(sound: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    low, high = sound.get("min_neighbor_distance"), sound.get("max_neighbor_distance")
    names = ("max_neighbor_distance", "min_neighbor_distance")
    if low is not None and high is not None and low >= high:
        yield (
            names,
            f"max_neighbor_distance ({high}) must be > min_neighbor_distance ({low}): raise the first or "
            "lower the second",
        )
    if sound.get("neighbor_function") == "Nearest" and (low or high is not None):
        yield (
            (*names, "neighbor_function"),
            "min_neighbor_distance and max_neighbor_distance have no meaning for neighbor_function "
            "'Nearest': choose 'Min_dist' or '4_quadrant', or leave them out",
        )


def allowed(name: str, hint: Any) -> str:
    """What the field `name` of the type `hint` may be besides its type, for a comment: its words, or its
    bound; empty if that is all."""
    words = [
        value for option in _options(hint) if get_origin(option) is Literal for value in get_args(option)
    ]
    if name == "architecture":
        words = list(_architectures())
    if words:
        others = {bool: "true, false", int: "a whole number", float: "a number", type(None): "null"}
        return ", ".join([*words, *(others[option] for option in _options(hint) if option in others)])
    if name in _BOUNDS:
        strictly, bound = _BOUNDS[name]
        return f"{'>' if strictly else '>='} {bound}"
    return ""


def shown(value: Any) -> str:
    """`value` for a message: its repr, shortened where it is long or nested."""
    return _REPR.repr(value)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_a(value: Any, option: Any) -> bool:
    if get_origin(option) is Literal:
        return isinstance(value, str) and value in get_args(option)
    if option is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    if option is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return isinstance(value, option)


def _described(hint: Any) -> str:
    words = []
    for option in _options(hint):
        if get_origin(option) is Literal:
            values = [repr(value) for value in get_args(option)]
            words.append(values[0] if len(values) == 1 else "one of " + ", ".join(values))
        else:
            words.append("None" if option is type(None) else _NAMES[option])
    return " or ".join(words)
