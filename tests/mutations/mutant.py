"""One wrong change, and the tables of them."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import attrs

__all__ = ["KINDS", "ROOT", "Mutant", "MutantError", "node_of", "read_tables"]

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

TABLES = Path(__file__).with_name("table")

KINDS = {
    "sign": "flip a sign",
    "swap": "swap x and y",
    "conj": "drop a conjugate",
    "fftshift": "drop an fftshift",
    "bridge": "drop the bridge call",
    "batch": "collapse a batch",
}


class MutantError(ValueError):
    """A row of a table that does not fit the source."""


@attrs.frozen
class Mutant:
    """A change of one file of a package's source; the fields are those of a table's row."""

    package: str
    id: str
    kind: str = attrs.field(validator=attrs.validators.in_(KINDS))
    file: str
    was: str
    becomes: str
    tests: tuple[str, ...] = attrs.field(converter=tuple, validator=attrs.validators.min_len(1))

    @property
    def path(self) -> Path:
        """The file, from the root of the repository."""
        return Path("packages", self.package, "src", self.file)

    def applied(self, source: str) -> str:
        """The source with the change in it.

        Raises MutantError where the text does not stand there exactly once, or the result is no Python.
        """
        count = source.count(self.was)
        if count != 1:
            raise MutantError(
                f"{self.id}: its text stands {count} times in {self.path}, but must stand there once: bring "
                f"the row in {self.package}.toml up to date"
            )
        changed = source.replace(self.was, self.becomes)
        if changed == source:
            raise MutantError(f"{self.id}: nothing changes in {self.path}")
        try:
            ast.parse(changed)
        except SyntaxError as error:
            raise MutantError(f"{self.id}: what becomes of {self.path} is no Python ({error})") from error
        return changed


def read_tables() -> list[Mutant]:
    """All mutants, by package and in the order of the tables.

    Raises MutantError for an id that stands there twice.
    """
    found = [
        Mutant(package=path.stem, **row)
        for path in sorted(TABLES.glob("*.toml"))
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    ]
    names = [mutant.id for mutant in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MutantError(f"the ids {', '.join(twice)} stand in the tables more than once")
    return found


def node_of(cited: str) -> str:
    """The node id of a test, from the root, that is cited the short way: paths begin in ``packages/``, or are
    those of ``tests/``."""
    return cited if cited.startswith("tests/") else f"packages/{cited}"
