"""`pinn completion`: a script with which a shell completes commands, flags, their values and files.

The script is static (shtab makes it from the flags), so that completing starts no Python.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["SHELLS", "add", "run"]

SHELLS = ("bash", "zsh", "fish")

_EPILOG = """\
bash:  pinn completion bash > ~/.local/share/bash-completion/completions/pinn   (needs bash-completion)
       or in ~/.bashrc:  eval "$(pinn completion bash)"
zsh:   pinn completion zsh > "${fpath[1]}/_pinn"
fish:  pinn completion fish > ~/.config/fish/completions/pinn.fish
"""


def add(commands: Any) -> argparse.ArgumentParser:
    """The flags of this command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="print a shell completion script for pinn",
        description="Print a completion script for a shell.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="shell")
    return parser


def run(args: argparse.Namespace) -> None:
    """Prints the script."""
    import shtab

    parser = args.whole_parser
    _complete_paths(parser, {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY})
    sys.stdout.write(shtab.complete(parser, shell=args.shell) + "\n")


def _complete_paths(parser: argparse.ArgumentParser, kinds: dict[str, Any]) -> None:
    """Says of every path whether it is a folder, by what stands for it in the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_paths(sub, kinds)
        elif action.type is Path:
            # The attribute is shtab's; argparse does not know it.
            action.complete = kinds["DIR" if action.metavar == "DIR" else "FILE"]  # type: ignore[attr-defined]
