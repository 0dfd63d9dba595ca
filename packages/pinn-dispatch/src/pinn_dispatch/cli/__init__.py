"""The command `pinn`.

Each command is a module with ``add(commands)``, which describes its flags and imports nothing heavy, and
``run(args)``, which does the work. This one turns what happened into an exit code: 0 done, 1 failed, 2 bad
input or usage, 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from pinn_config.exit_codes import INTERRUPTED, end_interrupted, explained

from pinn_dispatch.cli.parser import build_parser, kebab
from pinn_dispatch.cli.report import listen_to_log

__all__ = ["main"]

_SMALLER = "a smaller part of the scan with --region, or a smaller batch"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command in `argv` (default: the process's own) and returns the exit code.

    What went wrong is one sentence on the error stream; the traceback only with ``--debug``.
    """
    arguments = kebab(sys.argv[1:] if argv is None else argv)
    try:
        args = build_parser().parse_args(arguments)
        listen_to_log(quiet=args.quiet, debug=args.debug)
        args.run(args)
    except KeyboardInterrupt:
        print("pinn: interrupted; what was complete before is kept", file=sys.stderr)
        if argv is None:  # the process is the command
            end_interrupted()
        return INTERRUPTED
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        code, sentence = explained(error, "pinn", smaller=_SMALLER)
        print(f"pinn: error: {sentence}", file=sys.stderr)
        return code
    return 0
