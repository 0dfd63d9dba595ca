"""The command `pinn-torch`: ``train`` and ``infer`` without any other package of a command line.

``python -m ptycho_torch.train`` and ``python -m ptycho_torch.inference`` are the same two commands. Showing
help loads no framework.
"""

from __future__ import annotations

from collections.abc import Sequence

from pinn_torch import __version__
from pinn_torch.cli import inference, train
from pinn_torch.cli.command import FlagParser, finished

__all__ = ["build_parser", "main"]

_EPILOG = """\
pinn-torch train --train_data_file scan.npz --output_dir run
pinn-torch infer --model_path run --test_data other.npz --output_dir image
'pinn-torch COMMAND --help' lists the flags of a command; flags may be written with hyphens or underscores
"""


def build_parser() -> FlagParser:
    """The whole command line; nothing heavy is imported for it."""
    parser = FlagParser(
        prog="pinn-torch",
        description="Train a network on a ptychographic scan without labels, and reconstruct scans with it.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"pinn-torch {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in (("train", train), ("infer", inference)):
        sub = commands.add_parser(name, help=command.SUMMARY, description=command.DESCRIPTION)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command in `argv` (default: the process's own) and returns the exit code."""
    return finished(build_parser(), argv, lambda args: args.run(args))
