"""The parser of `pinn` and `pinn-torch`: its complaints are one sentence, with what was probably meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NoReturn

from pinn_config.suggestions import nearest

from pinn_data.command.flags import kebab
from pinn_data.errors import RequestError

__all__ = ["CommandParser"]


class CommandParser(argparse.ArgumentParser):
    """An `argparse` parser whose flags may be spelled ``--like-this`` and ``--like_this``, never abbreviated.

    A command line that cannot be read is an exception of the class `usage_error` with one sentence. The
    parser of each command complains itself about a flag that it does not know, so that the sentence can
    name a similar flag of that command.
    """

    usage_error: ClassVar[type[Exception]] = RequestError

    def __init__(self, **options: Any) -> None:
        super().__init__(**(options | {"allow_abbrev": False}))

    def error(self, message: str) -> NoReturn:
        raise self.usage_error(f"{message} (see '{self.prog} --help')")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        arguments = kebab(sys.argv[1:] if args is None else args)
        # Before argparse, which would complain first that the flag with the misspelled name is missing.
        self._refuse(self._unknown_flags(arguments))
        found, rest = super().parse_known_args(arguments, namespace)
        self._refuse(rest)
        return found, rest

    def _unknown_flags(self, arguments: Sequence[str]) -> list[str]:
        """The flags that this parser does not know; those behind the name of a command are its own."""
        unknown = []
        has_commands = any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        for argument in arguments:
            if argument in ("--", "-h", "--help") or (has_commands and not argument.startswith("-")):
                break
            flag = argument.partition("=")[0]
            if flag.startswith("--") and " " not in flag and flag not in self._option_string_actions:
                unknown.append(flag)
        return unknown

    def _refuse(self, unknown: Sequence[str]) -> None:
        if not unknown:
            return
        flags = [name for name in self._option_string_actions if name.startswith("--")]
        hints = dict.fromkeys(unknown)
        for word in hints:
            if word.startswith("--"):
                name = nearest(word[2:].partition("=")[0], [flag[2:] for flag in flags])
                hints[word] = name and f"--{name}"
        kind = "unknown flag" if all(word.startswith("-") for word in hints) else "unexpected argument"
        named = " and ".join(hints)
        meant = " and ".join(hint for hint in hints.values() if hint)
        self.error(f"{kind}{'s' * (len(hints) > 1)} {named}" + (f": did you mean {meant}?" if meant else ""))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"unknown command {value!r}: {_hint(value, action.choices)}")
        raise argparse.ArgumentError(action, f"invalid choice {value!r}: {_hint(value, action.choices)}")


def _hint(value: Any, choices: Iterable[Any]) -> str:
    names = [str(choice) for choice in choices]
    meant = nearest(str(value), names)
    return f"did you mean {meant!r}?" if meant else f"choose one of {', '.join(names)}"
