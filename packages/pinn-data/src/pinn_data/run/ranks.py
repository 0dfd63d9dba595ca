"""The processes that compute one result together, as shared code sees them."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import attrs
from numpy.typing import NDArray

__all__ = ["ONE_PROCESS", "OneProcess", "Ranks"]

T = TypeVar("T")


class Ranks(Protocol):
    """One of several equal processes. All of them call these functions in the same order."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports to people."""

    def part(self, count: int) -> slice:
        """The numbers of ``range(count)`` that belong to this process; consecutive, perhaps none."""

    def gather(self, part: NDArray[Any], count: int) -> NDArray[Any] | None:
        """All `count` rows, of which each process has its `part`; None except in the first process."""

    def first(self, value: T) -> T:
        """The value of the first process."""

    def add_up(self, values: NDArray[Any]) -> NDArray[Any]:
        """`values` summed over the processes, in place."""


@attrs.frozen
class OneProcess:
    """A process that computes alone."""

    is_first: bool = True

    def part(self, count: int) -> slice:
        return slice(0, count)

    def gather(self, part: NDArray[Any], count: int) -> NDArray[Any]:
        return part

    def first(self, value: T) -> T:
        return value

    def add_up(self, values: NDArray[Any]) -> NDArray[Any]:
        return values


ONE_PROCESS = OneProcess()
