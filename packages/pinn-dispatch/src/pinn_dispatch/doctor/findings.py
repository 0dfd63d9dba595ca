"""What was found out: fine, worth knowing, or to be mended with a command."""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["Finding", "note", "ok", "problem"]


@attrs.frozen
class Finding:
    """One line of the report.

    mend : the command that mends it; every problem has one
    """

    level: Literal["ok", "note", "problem"]
    subject: str
    says: str
    mend: str | None = None


def ok(subject: str, says: str) -> Finding:
    """Something is as it should be."""
    return Finding("ok", subject, says)


def note(subject: str, says: str, mend: str | None = None) -> Finding:
    """Something that works, but that a person may want to know or to change."""
    return Finding("note", subject, says, mend)


def problem(subject: str, says: str, mend: str) -> Finding:
    """Something that does not work."""
    return Finding("problem", subject, says, mend)
