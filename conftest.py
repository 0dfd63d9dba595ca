"""Test processes side by side (`pytest -n auto`) have one thread each: with more they wait for each other."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(_name, "1")

_PACKAGES = ("pinn_archive", "pinn_config", "pinn_data", "pinn_dispatch", "pinn_tf", "pinn_torch")

_LONGEST = ("test_two_backends.py", "test_documented_commands.py", "test_cli_runs.py", "test_stopping.py")
"""Files of which one process runs all: they begin, so that no process ends long after the other."""


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
