"""The command `pinn`.

Each command is a module with ``add(commands)``, which describes its flags and imports nothing heavy, and
``run(args)``, which does the work and may return an exit code of its own. This one turns what happened into
an exit code: 0 done, 1 failed, 2 bad input or usage, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from pinn_data.command.exit_codes import FAILED, end_now, explained
from pinn_data.command.stop_requests import StopRequest, stop_requests_heeded

from pinn_dispatch.cli.parser import build_parser, kebab
from pinn_dispatch.cli.shared.report import listen_to_log

__all__ = ["main"]

_SMALLER = "a smaller part of the scan with --region, or a smaller batch"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command in `argv` (default: the process's own) and returns the exit code.

    What went wrong is one sentence on the error stream; the traceback only with ``--debug``.
    """
    arguments = kebab(sys.argv[1:] if argv is None else argv)
    with stop_requests_heeded() as request:
        try:
            args = build_parser().parse_args(arguments)
            listen_to_log(quiet=args.quiet, debug=args.debug)
            return args.run(args) or 0
        except BrokenPipeError:  # of `pinn ... | head`: who read the results has seen enough
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except KeyboardInterrupt:
            return _stopped(request, argv)
        except Exception as error:
            if request.came:  # so it is what the request did to somebody who was at work
                return _stopped(request, argv)
            if "--debug" in arguments:
                traceback.print_exc()
            code, sentence = explained(error, "pinn", smaller=_SMALLER)
            print(f"pinn: error: {sentence}", file=sys.stderr)
            return code


def _stopped(request: StopRequest, argv: Sequence[str] | None) -> int:
    """Called where the exception is still handled, so that nothing that a framework's threads work with is
    taken away before the end."""
    request.ignore_more()
    print("pinn: interrupted; finished results are kept", file=sys.stderr)
    if argv is None:  # the process is the command
        end_now(request.exit_code)
    return request.exit_code
