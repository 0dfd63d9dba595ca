"""`pinn` as a process of its own, with the backend that needs no framework, which waits before one of its
files takes its name.

Arguments: that file's name, then those of `pinn`. Says ``waiting`` on the error stream and goes on only when
it is asked to stop.
"""

import os
import signal
import sys
import time
from importlib import metadata
from pathlib import Path

from pinn_dispatch import registry
from pinn_dispatch.cli import main

NAME = sys.argv.pop(1)
_replace, _entry_points = os.replace, metadata.entry_points


def _waiting(source, target, **options):
    if Path(target).name == NAME:
        print("waiting", file=sys.stderr, flush=True)
        while True:
            time.sleep(0.05)
    _replace(source, target, **options)


def _points(*, group, name=None):
    if group != registry.ENTRY_POINTS:
        return _entry_points(group=group)
    return [metadata.EntryPoint("pytorch", "fake_backend", group)] if name in (None, "pytorch") else []


# Processes that tests start in the background ignore it otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.replace = _waiting
metadata.entry_points = _points
registry.util.find_spec = lambda name: object()
sys.exit(main())
