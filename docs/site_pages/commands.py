"""Reference of the commands: every option of `pinn` and `pinn-torch`, read from their parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pinn_dispatch.cli.parser
import pinn_torch.cli

from site_pages.markdown import code, escaped, table

__all__ = ["FOLDER", "command_pages", "leaf_parsers", "subcommands"]

FOLDER = "reference/commands"


def command_pages() -> dict[str, str]:
    """A page for each command of each program, and one that lists them."""
    pages = {}
    overview = ["# Commands", ""]
    for parser in (pinn_dispatch.cli.parser.build_parser(), pinn_torch.cli.build_parser()):
        overview += [f"## {parser.prog}", "", escaped(parser.description or ""), ""]
        rows = []
        for name, (command, summary) in subcommands(parser).items():
            page = f"{parser.prog}-{name}.md"
            pages[f"{FOLDER}/{page}"] = _page(command)
            rows.append((f"[{code(command.prog)}]({page})", escaped(summary)))
        overview += [table(("command", "does"), rows), *_epilog(parser)]
    return {f"{FOLDER}/index.md": "\n".join(overview)} | pages


def subcommands(parser: argparse.ArgumentParser) -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """Name to parser and summary of the commands directly below a parser."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            found |= {name: (sub, summaries.get(name, "")) for name, sub in action.choices.items()}
    return found


def leaf_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every parser at or below this one that has no commands of its own."""
    below = subcommands(parser)
    for sub, _ in below.values():
        yield from leaf_parsers(sub)
    if not below:
        yield parser


def _page(parser: argparse.ArgumentParser, level: int = 1) -> str:
    parts = [f"{'#' * level} {parser.prog}", "", escaped(parser.description or ""), ""]
    below = subcommands(parser)
    for sub, _ in below.values():
        parts.append(_page(sub, level + 1))
    if not below:
        usage = parser.format_usage().removeprefix("usage: ")
        parts += ["```text", usage.rstrip(), "```", ""]
        for group in parser._action_groups:
            rows = [_row(parser, action) for action in group._group_actions if _is_shown(action)]
            if rows:
                title = group.title or "options"
                parts += [f"{'#' * (level + 1)} {title[0].upper()}{title[1:]}", ""]
                parts += [escaped(group.description), ""] if group.description else []
                parts.append(table(("option", "meaning"), rows))
        parts += _epilog(parser)
    return "\n".join(parts)


def _is_shown(action: argparse.Action) -> bool:
    return action.help is not argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    formatter = parser._get_formatter()
    value = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    if not action.option_strings:
        shown = [formatter._format_args(action, action.dest)]
    else:
        shown = [f"{option} {value}".strip() for option in action.option_strings]
    meaning = formatter._expand_help(action) if action.help else ""
    return "<br>".join(code(text) for text in shown), escaped(meaning)


def _epilog(parser: argparse.ArgumentParser) -> list[str]:
    return ["```text", parser.epilog.rstrip(), "```", ""] if parser.epilog else []
