"""The rows of ``rows.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs

__all__ = ["Row", "read_rows"]

_FILE = Path(__file__).with_name("rows.toml")


@attrs.frozen
class Row:
    """One sentence or table row of the specification, and the tests that show it."""

    section: str
    says: str = attrs.field(validator=attrs.validators.min_len(1))
    tests: tuple[str, ...] = attrs.field(converter=tuple, validator=attrs.validators.min_len(1))
    remark: str = ""


def read_rows() -> list[Row]:
    """All rows, in the order of the specification."""
    sections = tomllib.loads(_FILE.read_text(encoding="utf-8"))["section"]
    return [Row(section=section["title"], **row) for section in sections for row in section["row"]]
