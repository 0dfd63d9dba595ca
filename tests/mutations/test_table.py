"""The tables of mutants fit the source and name tests that exist.

That the tests notice the mutants is not shown here, but by ``python -m tests.mutations``.
"""

from __future__ import annotations

import ast
from functools import cache

import pytest

from mutations.mutant import KINDS, ROOT, Mutant, MutantError, node_of, read_tables

MUTANTS = read_tables()


@cache
def _tests_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_it_still_applies_and_names_tests_that_exist(mutant):
    mutant.applied((ROOT / mutant.path).read_text(encoding="utf-8"))
    for test in mutant.tests:
        path, _, name = node_of(test).partition("::")
        assert name in _tests_in(path)


def test_every_kind_is_there_in_every_package_that_has_it():
    """By backend, for what one of them notices says nothing of the other."""
    kinds = {
        package: {m.kind for m in MUTANTS if m.package == package} for package in {m.package for m in MUTANTS}
    }
    assert kinds["pinn-torch"] == kinds["pinn-tf"] == set(KINDS)
    assert kinds["pinn-data"] == set(KINDS) - {"bridge"}
    assert kinds["pinn-dispatch"] >= {"bridge", "swap", "conj"}
    assert kinds["pinn-config"] >= {"bridge", "sign"}


def mutant(was: str, becomes: str) -> Mutant:
    return Mutant("pinn-data", "m", "sign", "pinn_data/x.py", was, becomes, ["a::b"])


@pytest.mark.parametrize(
    ("was", "becomes", "why"),
    [
        ("a + b", "a - b", "0 times"),
        ("x", "y", "2 times"),
        ("= x", "= (", "no Python"),
        ("x = x", "x = x", "nothing"),
    ],
)
def test_a_row_that_does_not_fit_is_told(was, becomes, why):
    with pytest.raises(MutantError, match=why):
        mutant(was, becomes).applied("x = x\n")


def test_a_mutant_is_the_source_with_one_change():
    assert mutant("= x", "= -x").applied("x = x\n") == "x = -x\n"
