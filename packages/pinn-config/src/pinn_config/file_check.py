"""All errors of a configuration file, each with its line.

`pinn_config.files` reads a file or refuses it; here a person who edits one is told all at once.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pinn_config.architecture import network
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError, ConfigFileError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import EXECUTION, StrictLoader, field_value, read_bytes
from pinn_config.quoting import one_line
from pinn_config.superseded import current_settings
from pinn_config.validation import field_types, located_problems, shown

__all__ = ["Finding", "check_file", "kind_of"]

_SECTIONS: dict[str, type] = {"model": ModelConfig, EXECUTION: PyTorchExecutionConfig}


@dataclass(frozen=True, order=True)
class Finding:
    """One error of a configuration file.

    line : counted from 1
    key : the setting, those of a section as ``model.gridsize``; empty where the file is none
    problem : one sentence: what was given, what is allowed
    """

    line: int
    key: str
    problem: str


@dataclass(frozen=True)
class _Entry:
    line: int
    value: Any


def kind_of(path: str | os.PathLike[str]) -> type:
    """`InferenceConfig` if more keys of the file are its own than a `TrainingConfig`'s, else the latter.

    Raises as `check_file`.
    """
    try:
        entries, _ = _read(path)
    except ConfigFileError:
        return TrainingConfig
    known = {
        kind: sum(key in field_types(kind) for key in entries) for kind in (TrainingConfig, InferenceConfig)
    }
    return max(known, key=lambda kind: known[kind])


def check_file(
    path: str | os.PathLike[str], kind: type, defaults: Mapping[str, Any] | None = None
) -> list[Finding]:
    """What is wrong with the file as a description of `kind`, in the order of its lines.

    defaults : what holds where the file says nothing, in its form; in place of that of the configs

    Raises ConfigFileNotFoundError, or another OSError of a file that cannot be read.
    """
    try:
        entries, findings = _read(path)
    except ConfigFileError as error:
        return [Finding(_line_of(error.__cause__), "", str(error))]
    wrong = {finding.key for finding in findings}
    values: dict[str, Any] = {}
    for key, entry in entries.items():
        section, _, name = key.rpartition(".")
        holder = _SECTIONS.get(section, kind)
        if key in _SECTIONS and (key == EXECUTION or key in field_types(kind)):
            problem = None
            if entry.value is not _SECTION:
                problem = f"{key} must be a section of 'key: value' lines, not {shown(entry.value)}"
        else:
            values[key], problem = field_value(name, entry.value, holder)
        if problem:
            findings.append(Finding(entry.line, key, problem))
            wrong.add(key)
    values = {key: value for key, value in values.items() if key not in wrong}
    for names, sentence in _problems(values, wrong, kind, defaults or {}):
        key = next((name for name in names if name in entries), names[0])
        section = key.rpartition(".")[0]
        found = entries.get(key) or entries.get(section)
        findings.append(Finding(found.line if found else 1, key, sentence))
    return sorted(findings)


_SECTION = object()


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, _Entry], list[Finding]]:
    """Dotted key to entry, and keys that come twice or are no text."""
    loader = StrictLoader(read_bytes(path))
    try:
        root = loader.get_single_node()
        entries: dict[str, _Entry] = {}
        findings: list[Finding] = []
        if root is None or (isinstance(root, yaml.ScalarNode) and loader.construct_object(root) is None):
            return entries, findings
        if not isinstance(root, yaml.MappingNode):
            assert isinstance(root, (yaml.ScalarNode, yaml.SequenceNode))
            raise ConfigFileError(f"{path} holds a {root.id}: it must hold 'key: value' lines.")
        for key, entry in _entries(loader, root, "", findings):
            entries[key] = entry
        return current_settings(entries, str(path)), findings
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ConfigFileError):
            raise
        raise ConfigFileError(f"{path} is not valid YAML: {one_line(error, 300)}.") from error
    finally:
        loader.dispose()


def _entries(
    loader: StrictLoader, node: yaml.MappingNode, before: str, findings: list[Finding]
) -> Iterator[tuple[str, _Entry]]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        name = loader.construct_object(key_node, deep=True)
        if not isinstance(name, str):
            findings.append(
                Finding(
                    line, f"{before}{name}", f"the key {shown(name)} is not text: write the name of a setting"
                )
            )
            continue
        if name in seen:
            problem = f"{name!r} is set twice, first in line {seen[name]}: keep one of them"
            findings.append(Finding(line, before + name, problem))
            continue
        seen[name] = line
        if isinstance(value_node, yaml.MappingNode) and not before and name in _SECTIONS:
            yield name, _Entry(line, _SECTION)
            yield from _entries(loader, value_node, f"{name}.", findings)
            continue
        value = loader.construct_object(value_node, deep=True)
        # A section without a line below it says nothing.
        empty = value is None and not before and name in _SECTIONS
        yield before + name, _Entry(line, _SECTION if empty else value)


def _line_of(error: BaseException | None) -> int:
    mark = getattr(error, "problem_mark", None)
    return 1 if mark is None else mark.line + 1


def _problems(
    values: Mapping[str, Any], wrong: Collection[str], kind: type, defaults: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Errors of values that have the right types; `wrong` are those that are not."""

    def part(section: str) -> dict[str, Any]:
        start = f"{section}." if section else ""
        below = dict(defaults.get(section) or {}) if section else dict(defaults)
        for name in _SECTIONS:
            below.pop(name, None)
        return below | {
            k[len(start) :]: v
            for k, v in values.items()
            if k.startswith(start) and "." not in k[len(start) :]
        }

    model = ModelConfig(**part("model"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        config = kind(model=model, **part(""))
    found = located_problems(config, wrong)
    yield from found
    execution = PyTorchExecutionConfig()
    for name, value in part(EXECUTION).items():
        setattr(execution, name, value)
    yield from located_problems(execution, wrong, f"{EXECUTION}.")
    in_network = any(key.startswith("model.") for names, _ in found for key in names) or any(
        key.startswith("model") for key in wrong
    )
    if not in_network and any(key.startswith("model.") for key in values):
        try:
            network(model)
        except ConfigError as error:
            told = re.findall(r"\w+", str(error))
            yield (
                tuple(f"model.{word}" for word in told if f"model.{word}" in values) or ("model",),
                str(error),
            )
