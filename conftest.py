"""How tests run: with TensorFlow; one thread in each process of `pytest -n auto`, so that none waits."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(_name, "1")

_PACKAGES = ("pinn_archive", "pinn_config", "pinn_data", "pinn_dispatch", "pinn_tf", "pinn_torch")

_LONGEST = ("test_two_backends.py", "test_documented_commands.py", "test_cli_runs.py", "test_stopping.py")
"""Files of which one process runs all: they begin, so that no process ends long after the other."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """In the environment of a clone, adds TensorFlow and starts again.

    `uv run pinn demo` shares that environment and does without; no test may be left out for it.
    """
    root = Path(__file__).resolve().parent
    if Path(sys.prefix).resolve() != root / ".venv" or find_spec("pinn_tf") is not None:
        return None
    print("adding TensorFlow, which the tests need, to .venv (uv run --group tensorflow)", file=sys.stderr)
    again = [os.environ.get("UV", "uv"), "run", "--group", "tensorflow", "pytest"]
    return subprocess.call([*again, *config.invocation_params.args], cwd=config.invocation_params.dir)


@pytest.fixture(autouse=True)
def _levels_of_logs() -> Iterator[None]:
    """A command that a test calls in this process says how much is logged; the next test does not hear it."""
    loggers = [logging.getLogger(name) for name in _PACKAGES]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
