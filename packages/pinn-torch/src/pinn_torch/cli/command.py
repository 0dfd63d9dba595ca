"""What every command does: read flags in both spellings, tell what went wrong in one sentence, end with an
exit code (0 done, 1 failed, 2 bad input or usage, 130 interrupted, 143 terminated)."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pinn_data.command.exit_codes import end_now, explained
from pinn_data.command.flags import kebab
from pinn_data.command.parser import CommandParser
from pinn_data.command.stop_requests import StopRequest, stop_requests_heeded

from pinn_torch.errors import UsageError

__all__ = ["FlagParser", "finished", "listen", "show_results", "warnings_told"]

_PACKAGES = ("pinn_archive", "pinn_config", "pinn_data", "pinn_torch")
_SMALLER = "a smaller batch, or fewer patterns with --n_subsample"


class FlagParser(CommandParser):
    """The parser of `pinn-torch` and of each of its commands.

    The parsed arguments hold every flag's value, typed or not, and in ``given`` the names of the typed ones.
    """

    usage_error = UsageError

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)
        self.untyped: dict[str, Any] = {}
        """Attribute to value where no flag was typed."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        if self.untyped:
            found.given = frozenset(vars(found)) & frozenset(self.untyped)
            for name in self.untyped.keys() - found.given:
                setattr(found, name, self.untyped[name])
        return found, rest


def finished(
    parser: FlagParser, argv: Sequence[str] | None, run: Callable[[argparse.Namespace], None]
) -> int:
    """Parses `argv`, runs, and returns the exit code.

    What went wrong is one sentence on the error stream; the traceback only with ``--debug``.
    """
    arguments = kebab(sys.argv[1:] if argv is None else argv)
    levels = {name: logging.getLogger(name).level for name in _PACKAGES}
    try:
        with stop_requests_heeded() as request:
            try:
                run(parser.parse_args(arguments))
                return 0
            except KeyboardInterrupt:
                return _stopped(request, parser.prog, argv)
            except Exception as error:
                if request.came:  # so it is what the request did to somebody who was at work
                    return _stopped(request, parser.prog, argv)
                if "--debug" in arguments:
                    traceback.print_exc()
                code, sentence = explained(error, parser.prog, smaller=_SMALLER)
                print(f"{parser.prog}: error: {sentence}", file=sys.stderr)
                return code
    finally:  # a program that calls the command keeps its own logging
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _stopped(request: StopRequest, command: str, argv: Sequence[str] | None) -> int:
    """Called where the exception is still handled, so that nothing that PyTorch's threads work with is taken
    away before the end."""
    request.ignore_more()
    print(
        f"{command}: interrupted; run the same command again to continue a training from its last epoch",
        file=sys.stderr,
    )
    if argv is None:  # the process is the command
        end_now(request.exit_code)
    return request.exit_code


def listen(*, quiet: bool, debug: bool) -> None:
    """Shows on the error stream what the packages log, and in one line what they warn of."""
    logging.basicConfig(format="%(message)s")
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    for name in _PACKAGES:
        logging.getLogger(name).setLevel(level)


@contextmanager
def warnings_told() -> Iterator[None]:
    """A block whose warnings, of deprecated flags too, are lines on the error stream."""

    def tell(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default", DeprecationWarning)
        warnings.showwarning = tell
        yield


def show_results(rows: dict[str, object]) -> None:
    """The results: a name and a value a line, aligned."""
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}", flush=True)
