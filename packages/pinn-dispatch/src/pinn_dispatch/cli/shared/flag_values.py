"""Parsers of structured flag values, whose error messages reach the user unchanged."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from pinn_dispatch.errors import UsageError

__all__ = ["box", "explaining"]

T = TypeVar("T")


def explaining(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` for argparse, which would replace the sentence of any ValueError by one of its own."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def box(text: str) -> tuple[int, int, int, int]:
    """(row0, row1, column0, column1) from ``R0,R1,C0,C1``; raises UsageError."""
    try:
        r0, r1, c0, c1 = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a region of interest: write four whole numbers R0,R1,C0,C1, for example "
            "40,280,40,280"
        ) from error
    return r0, r1, c0, c1
