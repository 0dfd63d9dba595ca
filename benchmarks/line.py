"""One line of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Line"]


@dataclass
class Line:
    """What was measured.

    figure : the absolute figure, with its unit: it drifts with the machine
    ratio, of : the figure relative to another one of the same process, and which
    wanted : bound on the ratio (or on the figure, where `of` is a unit), for example (">=", 0.75)
    beside : another ratio worth reading
    memory_mib : peak resident memory of the process; the command fills it in
    numbers : everything measured, for the JSON
    """

    what: str
    figure: str
    ratio: float | None = None
    of: str = ""
    wanted: tuple[str, float] | None = None
    beside: str = ""
    memory_mib: float | None = None
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        if self.wanted is None or self.ratio is None:
            return None
        sign, bound = self.wanted
        return self.ratio >= bound if sign == ">=" else self.ratio <= bound
