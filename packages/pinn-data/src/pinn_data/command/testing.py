"""The law of help texts, for the tests of every command line.

The help of a flag starts with a noun phrase or an imperative in lower case, ends without a full stop, gives
its unit in square brackets and its default once, in round ones. A description starts with an imperative.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

__all__ = ["all_parsers", "parser_faults", "text_faults"]

_LONGEST = 240
_LONGEST_SUMMARY = 100  # of the line for a command in the list of all

_UNITS = "(object )?(pixels|metres|seconds|electronvolts)"
_PHRASES = {
    "a riddle at the start": r"(what|who|whom|whose|whether|how|which|where|when|why|of|than|then|those)\b",
    "an article at the start": r"(the|a|an|another)\b",
    "a capital at the start": r"[A-Z][a-z]",
    "a full stop at the end": r".*[.!;:,]$",
    "a value as a riddle": r".*(\bnone: |: not\b|\bnone: none\b|\b0: )",
    "two defaults": r".*default\b.*\bdefault[ :]",
    "a unit outside square brackets": rf".*(, |\bin ){_UNITS}(;|,|$| \()",
    "an inversion or a paraphrase": r".*\b(so many|so long|so far|told by|is told|do not tell|found out|"
    r"beats? it|in place of|but for|besides$|is looked|are looked|is to be|lies behind|everything that)\b",
}


def text_faults(text: str) -> list[str]:
    """What is wrong with the help of a flag or setting, in words; [] if nothing."""
    if not text.strip():
        return ["no help"]
    faults = [name for name, pattern in _PHRASES.items() if re.match(pattern, text)]
    return faults + [f"{len(text)} characters"] * (len(text) > _LONGEST)


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """`parser`, its commands, and theirs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from all_parsers(sub)


def parser_faults(parser: argparse.ArgumentParser) -> list[str]:
    """What is wrong with the help of one parser, a line for each fault."""
    faults = []
    description = " ".join((parser.description or "").split())
    if not re.match(r"[A-Z][a-z]*[^s ] .*\.$", description):
        faults.append(f"description is no imperative sentence: {description!r}")
    for group in parser._action_groups:
        if group.title and not re.match(r"(?!how\b|what\b)[a-z][a-z]*( [a-z]+){0,2}$", group.title):
            faults.append(f"group: {group.title!r}")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for item in action._choices_actions:
                found = text_faults(item.help or "")
                found += ["too long"] * (len(item.help or "") > _LONGEST_SUMMARY)
                faults += [f"{item.dest}: {fault}: {item.help!r}" for fault in found]
        elif not isinstance(action, argparse._HelpAction | argparse._VersionAction):
            name = "/".join(action.option_strings) or action.dest
            faults += [f"{name}: {fault}: {action.help!r}" for fault in _action_faults(action)]
    return faults


def _action_faults(action: argparse.Action) -> list[str]:
    text = (action.help or "").replace("%%", "%")
    faults = text_faults(text)
    has_default = action.default not in (None, False, argparse.SUPPRESS)
    if has_default and "default" not in text:
        faults.append("no default")
    if action.metavar in ("M", "EV", "PX", "S", "T") and not re.search(r"\[[^]]+\]", text):
        faults.append("no unit in square brackets")
    return faults
