"""The examples in the docstrings hold."""

import doctest
import importlib
import pkgutil

import pinn_config


def test_the_examples_in_the_docstrings_hold() -> None:
    names = [f"pinn_config.{info.name}" for info in pkgutil.iter_modules(pinn_config.__path__)]
    results = [doctest.testmod(importlib.import_module(name)) for name in names]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) > 0
