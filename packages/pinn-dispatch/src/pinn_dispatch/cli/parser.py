"""The command line of `pinn`: its commands, and flags in either spelling."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pinn_data.command.flags import kebab

from pinn_dispatch import __version__
from pinn_dispatch.cli import (
    compare,
    completion,
    config,
    convert,
    demo,
    doctor,
    evaluate,
    infer,
    info,
    reconstruct,
    simulate,
    train,
)
from pinn_dispatch.errors import UsageError

__all__ = ["COMMANDS", "Parser", "build_parser", "kebab"]

COMMANDS = (
    *(demo, reconstruct, train, infer, evaluate, compare),
    *(simulate, convert, info, config, doctor, completion),
)

_EPILOG = """\
a first look:         pinn demo
a scan of your own:   pinn reconstruct --data scan.npz --output image
with a network:       pinn train --data scan.npz --output run
                      pinn infer --model run --data scan.npz --output image
a file of others:     pinn convert beamline.cxi --guess-probe --output scan.npz
every flag is accepted with hyphens and with underscores; 'pinn COMMAND --help' lists those of a command
"""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are exceptions with one sentence."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help')")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; nothing heavy is imported for it."""
    parser = Parser(
        prog="pinn",
        description="Neural reconstruction of ptychographic scans, learned without labels from the scan "
        "itself.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pinn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        added = command.add(commands)
        for sub in added if isinstance(added, tuple) else (added,):
            sub.allow_abbrev = False
            talk = sub.add_argument_group("what is shown")
            talk.add_argument("--quiet", action="store_true", help="no progress, only results")
            talk.add_argument("--debug", action="store_true", help="log in detail; show tracebacks")
            sub.set_defaults(run=command.run)
            if command is completion:
                sub.set_defaults(whole_parser=parser)
    return parser
