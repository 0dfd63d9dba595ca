"""Fields of configs as flags of a command line: written once, in the config, with its description.

A flag may be spelled ``--like-this`` and ``--like_this``. A flag that was not typed leaves no attribute
behind, so whoever merges flags with files and defaults knows what was typed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pinn_config.validation import field_types

__all__ = ["add_flags", "kebab", "reading"]


def kebab(arguments: Sequence[str]) -> list[str]:
    """The arguments with flags spelled ``--like-this`` where they came ``--like_this``; values are left
    alone.

    >>> kebab(["--n_groups=5", "a_b", "--", "--c_d"])
    ['--n-groups=5', 'a_b', '--', '--c_d']
    """
    out = []
    only_values = False
    for argument in arguments:
        only_values = only_values or argument == "--"
        if argument.startswith("--") and not only_values:
            name, equals, value = argument.partition("=")
            argument = name.replace("_", "-") + equals + value
        out.append(argument)
    return out


def add_flags(
    group: Any,
    kind: type,
    names: Iterable[str],
    *,
    defaults: Mapping[str, Any] | None = None,
    spelled: Mapping[str, str | Sequence[str]] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
    described: Mapping[str, str] | None = None,
) -> None:
    """Adds a flag for each named field of the config class `kind` to an argparse parser or group.

    The attribute has the field's name.

    defaults : defaults to show where they differ from those of the fields
    spelled : names of the flag where they differ from the name of the field; only one of several may be given
    choices : allowed texts, for fields whose type is plain text
    described : descriptions in place of the fields'
    """
    by_name = {item.name: item for item in fields(kind)}
    types = field_types(kind)
    for name in names:
        item = by_name[name]
        default = (defaults or {}).get(name, None if item.default is MISSING else item.default)
        default = item.metadata.get("unset") if default is None else default
        shown = "" if default is None else f" (default: {_in_words(default)})"
        spellings = (spelled or {}).get(name, name)
        first, *others = ("--" + s.replace("_", "-") for s in _several(spellings))
        allowed = (choices or {}).get(name)
        how = reading(types[name]) if allowed is None else {"choices": allowed}
        if how.get("type") is Path and name.endswith("_dir"):
            how["metavar"] = "DIR"
        where = group.add_mutually_exclusive_group() if others else group
        for flag in (first, *others):
            text = (described or {}).get(name, item.metadata["help"]) + shown
            text = text if flag == first else f"same as {first}"
            where.add_argument(
                flag, dest=name, default=argparse.SUPPRESS, help=text.replace("%", "%%"), **how
            )


def _in_words(default: Any) -> str:
    """A default as the help shows it."""
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else str(default)


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def reading(hint: Any) -> dict[str, Any]:
    """How argparse reads a value of the type `hint`: the arguments of ``add_argument``."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    options = [option for option in parts if option is not type(None)]
    if bool in options:
        return {"action": argparse.BooleanOptionalAction}
    literals = [value for option in options if get_origin(option) is Literal for value in get_args(option)]
    kind = next((option for option in options if option in (int, float, Path)), str)
    if literals and kind is str:
        return {"choices": literals}
    metavar = {int: "N", float: "X", Path: "FILE"}.get(kind, "NAME")
    if literals:
        return {"type": _or_literal(kind, literals), "metavar": "|".join([metavar, *literals])}
    return {"type": kind, "metavar": metavar}


def _or_literal(kind: Callable[[str], Any], literals: Sequence[str]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        return text if text in literals else kind(text)

    read.__name__ = f"{getattr(kind, '__name__', 'value')} or {' or '.join(literals)}"
    return read
