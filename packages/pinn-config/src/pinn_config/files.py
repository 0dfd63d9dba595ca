"""Configs as YAML files: read strictly, written whole, with a comment for every field.

A file holds the fields of a `TrainingConfig` or `InferenceConfig` at its top, those of the network under
``model:`` and, if wanted, those of a `PyTorchExecutionConfig` under ``execution:``. What is left out has its
default. Law: ``load_run(save_run(path, c, e)) == (c, e)``.

Scalars are those of YAML 1.2: ``1e9`` is a number and ``no`` is text (PyYAML's own rules say the opposite).
Of its tags, those of the JSON schema are known, which build text, numbers, lists and dicts; none builds an
object. What is nested deeper than any configuration is refused where it begins, so that no file takes long.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml

from pinn_config.bridge import KEY_MAPPINGS
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigFileError, ConfigFileNotFoundError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.quoting import one_line
from pinn_config.suggestions import nearest
from pinn_config.superseded import current_settings
from pinn_config.validation import allowed, field_types, shown, type_problem
from pinn_config.whole_file import whole_file

__all__ = [
    "EXECUTION",
    "MAX_BYTES",
    "StrictLoader",
    "field_value",
    "from_mapping",
    "load_config",
    "load_mapping",
    "load_run",
    "read_bytes",
    "save_config",
    "save_run",
    "to_yaml",
    "write_template",
]

MAX_BYTES = 2**20
EXECUTION = "execution"
_MAX_DEPTH = 16  # of lists and sections; a configuration has 2
_MOST_UNKNOWN = 5  # unknown keys of a section that are looked at one by one

C = TypeVar("C", ModelConfig, TrainingConfig, InferenceConfig, PyTorchExecutionConfig)
R = TypeVar("R", TrainingConfig, InferenceConfig)


def load_config(path: str | os.PathLike[str], kind: type[C]) -> C:
    """The config of class `kind` that the YAML file at `path` describes; an empty file gives the defaults.

    Bounds are not checked (`pinn_config.validation.validate` does that, once the command line has had its
    say), except for execution settings, which check themselves.

    Raises
    ------
    ConfigFileNotFoundError
        No such file.
    ConfigFileError
        No YAML, a key twice, unknown keys (naming the nearest known one), wrong types; all problems at once.
    """
    return from_mapping(load_mapping(path), kind, str(path))


def load_run(path: str | os.PathLike[str], kind: type[R]) -> tuple[R, PyTorchExecutionConfig]:
    """The config and the execution settings in one file; without ``execution:`` the defaults of the latter.

    Raises what `load_config` raises, and `ConfigError` for execution settings that cannot work.
    """
    mapping = load_mapping(path)
    execution = mapping.pop(EXECUTION, None)
    if not isinstance(execution, (dict, type(None))):
        raise ConfigFileError(
            f"{path}: {EXECUTION} must be a section of 'key: value' lines, not {shown(execution)}"
        )
    config = from_mapping(mapping, kind, str(path))
    return config, from_mapping(execution or {}, PyTorchExecutionConfig, f"{path}, {EXECUTION}")


def load_mapping(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the YAML file at `path` says, as dicts, lists and scalars. The keys are not looked at, but former
    settings (`pinn_config.superseded`) are left out."""
    try:
        # Safe: the loader derives from SafeLoader and builds text, numbers, lists and dicts only.
        value = yaml.load(read_bytes(path), StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ConfigFileError):
            raise
        raise ConfigFileError(f"{path} is not valid YAML: {one_line(error, 300)}.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigFileError(f"{path} holds a {type(value).__name__}: it must hold 'key: value' lines.")
    return current_settings(value, str(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a configuration file, of which there are not many."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigFileNotFoundError(
            f"no configuration file at {path}: give the path of a YAML file."
        ) from error
    except IsADirectoryError as error:
        raise ConfigFileError(f"{path} is a folder: give the path of a YAML file in it.") from error
    if len(data) > MAX_BYTES:
        raise ConfigFileError(f"{path} has more than {MAX_BYTES} bytes, too many for a configuration file.")
    return data


def from_mapping(mapping: Mapping[str, Any], kind: type[C], where: str) -> C:
    """The config of class `kind` with the values of `mapping`; `where` names it in messages.

    The network may be a mapping under ``model``. Text becomes a path where a path belongs.

    Raises
    ------
    ConfigFileError
        Unknown keys and wrong types, all at once.
    """
    mapping = current_settings(mapping, where)
    problems: list[str] = []
    values = dict(_values(mapping, kind, where, problems))
    if "model" in field_types(kind):
        model = mapping.get("model")
        if isinstance(model, Mapping) or model is None:
            values["model"] = ModelConfig(
                **dict(_values(model or {}, ModelConfig, f"{where}, model", problems))
            )
        elif isinstance(model, ModelConfig):
            values["model"] = model
        else:
            problems.append(f"{where}: model must be a section of 'key: value' lines, not {shown(model)}")
    if problems:
        raise ConfigFileError(*problems)
    return kind(**values)


def save_config(path: str | os.PathLike[str], config: C) -> Path:
    """The path of the YAML file that was written: whole and in one step, every field with its description."""
    return _write(Path(path), to_yaml(config))


def save_run(path: str | os.PathLike[str], config: R, execution: PyTorchExecutionConfig) -> Path:
    """`save_config` with the execution settings in the same file, under ``execution:``."""
    return _write(Path(path), to_yaml(config, execution))


def write_template(path: str | os.PathLike[str], kind: type[C]) -> Path:
    """The path of a new YAML file with every field of `kind`, its default and its description, to be edited.

    Raises
    ------
    FileExistsError
        There is a file already; it is left alone.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already: give another name for the template, or delete it.")
    execution = PyTorchExecutionConfig() if kind in (TrainingConfig, InferenceConfig) else None
    return _write(path, to_yaml(from_mapping({}, kind, str(path)), execution))


def to_yaml(
    config: Any, execution: PyTorchExecutionConfig | None = None, *, unsaid: Collection[str] = ()
) -> str:
    """The text of the YAML file for `config` (None: without), and for `execution` if it is given.

    unsaid : fields whose lines are comments, so that reading the file leaves them out; ``model`` is all of it
    """
    lines = [] if config is None else list(_lines(config, "", unsaid))
    if execution is not None:
        lines += ["", *_section(EXECUTION, execution, unsaid)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _values(
    mapping: Mapping[str, Any], kind: type, where: str, problems: list[str]
) -> Iterator[tuple[str, Any]]:
    """Pairs of field and value of `mapping` but ``model``; what is wrong goes to `problems`."""
    types = field_types(kind)
    unknown = [key for key in mapping if key not in types]
    problems += [f"{where}: {_unknown(key, kind)}" for key in unknown[:_MOST_UNKNOWN]]
    if len(unknown) > _MOST_UNKNOWN:
        problems.append(f"{where}: {len(unknown) - _MOST_UNKNOWN} more keys are unknown")
    for key, value in mapping.items():
        if key not in types or key == "model":
            continue
        found, problem = field_value(key, value, kind)
        if problem:
            problems.append(f"{where}: {problem}")
        else:
            yield key, found


def field_value(key: Any, value: Any, kind: type) -> tuple[Any, str | None]:
    """`value` as the field `key` of `kind` takes it, and what is wrong with it, or None.

    ``model`` is not looked into.
    """
    types = field_types(kind)
    if key not in types:
        return value, _unknown(key, kind)
    if key == "model":
        return value, None
    if isinstance(value, str) and Path in (get_args(types[key]) or (types[key],)):
        value = Path(value)
    problem = type_problem(key, value, types[key])
    return value, problem and problem.replace(" or None", " or null")


def _unknown(key: Any, kind: type) -> str:
    """The sentence for a key that `kind` does not have, with what was probably meant."""
    known = list(field_types(kind))
    for name, legacy in KEY_MAPPINGS.items():
        if key == legacy and name in known:
            return f"{key!r} is the legacy key of {name!r}: write {name!r}"
    if "model" in known and key in field_types(ModelConfig):
        return f"{key!r} describes the network: write it under 'model:'"
    if "model" in known and key in field_types(PyTorchExecutionConfig):
        return f"{key!r} is an execution setting: write it under '{EXECUTION}:'"
    meant = nearest(str(key), known)
    if meant:
        return f"unknown key {shown(key)}: did you mean {meant!r}?"
    return f"unknown key {shown(key)}: choose one of {', '.join(known)}"


def _lines(config: Any, indent: str, unsaid: Collection[str]) -> Iterator[str]:
    model = getattr(config, "model", None)
    for item in fields(config):
        value = getattr(config, item.name)
        # The deprecated name is not taught; where it was used, n_groups has its value.
        if item.name == "model" or (item.name == "n_images" and value is None):
            continue
        comment = item.metadata.get("help", "")
        choices = allowed(item.name, field_types(type(config))[item.name])
        unset = item.metadata.get("unset")
        facts = [*([choices] if choices else []), *([f"null: {unset}"] if unset else [])]
        if facts:
            comment += f" ({'; '.join(facts)})"
        sign = "# " if item.name in unsaid else ""
        yield f"{indent}{sign}{item.name}: {_scalar(value, item.name)}  # {comment}"
    if model is not None and "model" not in unsaid:
        yield ""
        yield from _section("model", model, unsaid)


def _section(name: str, config: Any, unsaid: Collection[str]) -> Iterator[str]:
    yield f"{name}:"
    yield from _lines(config, "  ", unsaid)


def _scalar(value: Any, name: str) -> str:
    if isinstance(value, Path):
        value = str(value)
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ConfigFileError(
                f"{name} is {value!r}: a YAML file holds Unicode text only; rename the file."
            ) from error
        if _PLAIN.fullmatch(value) and not any(pattern.fullmatch(value) for _, pattern, _ in _SCALARS):
            return value
        return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")
    raise ConfigFileError(f"{name} is a {type(value).__name__}: a configuration file holds text and numbers.")


def _write(path: Path, text: str) -> Path:
    """Writes `text` so that `path` holds the old file or the new one, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return path


# Text that needs no quotes: words and paths that start with a letter.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*", re.ASCII)
# YAML 1.2, section 10.3.2 (core schema): tag, pattern, first characters.
_SCALARS = (
    ("tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+\Z", re.ASCII), list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z"
        ),
        list("-+.0123456789"),
    ),
)


class StrictLoader(yaml.SafeLoader):
    """`yaml.SafeLoader` with the scalars of YAML 1.2, without merge keys; a key may come once only.

    Tags beyond those of the scalars, of lists and of mappings are unknown: PyYAML's own for sets, dates and
    binary data have no place in a configuration, and fail in ways of their own.
    """

    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (None, *(f"tag:yaml.org,2002:{name}" for name in ("null", "str", "seq", "map")))
    }
    _depth = 0

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        # Here too, because the scanner reads ahead of the composer, more slowly with every open bracket.
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._check_depth(self._depth)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _check_depth(self, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"it is nested more than {_MAX_DEPTH} levels deep", self.get_mark()
            )

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} is not text", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} is set twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=True)

    def construct_bool(self, node: yaml.ScalarNode) -> bool:
        text = str(self.construct_scalar(node)).lower()
        if text not in ("true", "false"):
            raise ValueError(f"{shown(text)} is neither true nor false")
        return text == "true"

    def construct_int(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))

    def construct_float(self, node: yaml.ScalarNode) -> float:
        text = str(self.construct_scalar(node)).lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _register(loader: type[StrictLoader]) -> None:
    loader.yaml_implicit_resolvers = {}  # its own, and none of YAML 1.1
    for tag, pattern, first in _SCALARS:
        loader.add_implicit_resolver(tag, pattern, first)
    loader.add_constructor("tag:yaml.org,2002:bool", loader.construct_bool)
    loader.add_constructor("tag:yaml.org,2002:int", loader.construct_int)
    loader.add_constructor("tag:yaml.org,2002:float", loader.construct_float)


_register(StrictLoader)
