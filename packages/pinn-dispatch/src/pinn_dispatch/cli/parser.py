"""The command line of `pinn`: its commands, and flags in either spelling."""

from __future__ import annotations

import argparse

from pinn_data.command.flags import kebab
from pinn_data.command.parser import CommandParser

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
your own scan:        pinn reconstruct --data scan.npz --output image
with a network:       pinn train --data scan.npz --output run
                      pinn infer --model run --data scan.npz --output image
another file format:  pinn convert beamline.cxi --guess-probe --output scan.npz
'pinn COMMAND --help' lists the flags of a command; flags may be written with hyphens or underscores
"""


class Parser(CommandParser):
    """The parser of `pinn` and of each of its commands."""

    usage_error = UsageError


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; nothing heavy is imported for it."""
    parser = Parser(
        prog="pinn",
        description="Reconstruct ptychographic scans with a physics solver or with a neural network that "
        "learns from the scan itself, without labels.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pinn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        added = command.add(commands)
        for sub in added if isinstance(added, tuple) else (added,):
            talk = sub.add_argument_group("messages")
            talk.add_argument("--quiet", action="store_true", help="print results only, no progress")
            talk.add_argument("--debug", action="store_true", help="log details and show tracebacks")
            sub.set_defaults(run=command.run)
            if command is completion:
                sub.set_defaults(whole_parser=parser)
    return parser
