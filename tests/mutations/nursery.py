"""A process that imports the libraries once, and forks a child of it for every run of tests.

``python nursery.py LIBRARY...`` reads one order a line from its input: JSON with ``folder``, ``arguments`` of
pytest, and ``seconds``. It answers each with a line: the child's exit code, or -1 where it had to be ended.
A child has the libraries, nothing of the packages, and takes these from the folder. Most of a run's time is
that of importing a framework, which is so spent once.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["OUTPUT"]

OUTPUT = "output.txt"
"""In the folder: what the child's tests printed."""

_ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    for name in sys.argv[1:]:
        with contextlib.suppress(ImportError):  # a test that needs it says so itself
            importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            os._exit(_tested(order))
        print(_ended(child, order["seconds"]), flush=True)


def _tested(order: dict[str, Any]) -> int:
    folder = Path(order["folder"])
    os.setsid()  # whatever the tests start can be ended with them
    output = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(output, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    sources = sorted(str(path) for path in folder.glob("packages/*/src"))
    own = {"", str(_ROOT), str(Path(__file__).parent), *map(str, _ROOT.glob("packages/*/src"))}
    sys.path[:] = [*sources, *(path for path in sys.path if path not in own)]
    os.environ["PYTHONPATH"] = os.pathsep.join(sources)  # of what the tests start
    # Bytecode is told from its source by size and second: that of a mutant could be taken for the source's.
    os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    importlib.invalidate_caches()
    import pytest

    try:
        return int(pytest.main(order["arguments"], plugins=[_FirstExample()]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


class _FirstExample:
    """A law is broken by the first example that breaks it: to look for the smallest takes half a minute."""

    def pytest_collection(self) -> None:
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.reuse, Phase.generate)
        settings.register_profile("mutations", parent=settings.default, phases=phases)
        settings.load_profile("mutations")


def _ended(child: int, seconds: float) -> int:
    """The child's exit code; it is ended after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        time.sleep(0.02)


if __name__ == "__main__":
    main()
