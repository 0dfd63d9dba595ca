"""Parts of a scan by name: a region of positions such as ``y<238``, and every other frame."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

import attrs

from pinn_dispatch.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pinn_data.scan.scan import Scan

__all__ = ["FRAMES", "Region", "select"]

FRAMES = ("all", "even", "odd")

_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_TERM = re.compile(r"\s*([yx])\s*(<=|>=|<|>)\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@attrs.frozen
class Region:
    """Conditions on scan positions (object pixels) that must all hold: (axis, comparison, bound) each."""

    text: str
    conditions: tuple[tuple[str, str, float], ...]

    @classmethod
    def parse(cls, text: str) -> Region:
        """The region that `text` describes: comparisons of y or x with a number, separated by commas.

        Raises UsageError for anything else.
        """
        conditions = []
        for part in text.split(","):
            match = _TERM.fullmatch(part)
            if match is None:
                raise UsageError(
                    f"region {text!r} is not understood at {part.strip()!r}: write comparisons of y or x "
                    "with a number, separated by commas, for example 'y<238' or 'x>=100,y<50'"
                )
            conditions.append((match[1], match[2], float(match[3])))
        return cls(text, tuple(conditions))

    def mask(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) bool for positions (n, 2) as (y, x): which ones lie in the region."""
        import numpy as np

        inside = np.ones(len(positions), dtype=bool)
        for axis, comparison, bound in self.conditions:
            inside &= _COMPARISONS[comparison](positions[:, "yx".index(axis)], bound)
        return inside


def select(scan: Scan, region: Region | None = None, frames: str = "all") -> Scan:
    """The frames of `scan` inside `region`; of these, ``even`` or ``odd`` by their number in the file.

    Raises UsageError where nothing is left, saying where the scan lies.
    """
    import numpy as np

    keep = np.ones(len(scan), dtype=bool) if region is None else region.mask(scan.positions)
    if frames != "all":
        keep &= np.arange(len(scan)) % 2 == FRAMES.index(frames) - 1
    if keep.all():
        return scan
    if not keep.any():
        (y0, x0), (y1, x1) = scan.positions.min(axis=0), scan.positions.max(axis=0)
        wanted = " and ".join(
            part
            for part in (f"region {region.text!r}" if region else "", f"{frames} frames" * (frames != "all"))
            if part
        )
        raise UsageError(
            f"{wanted} leaves none of the {len(scan)} frames: y runs from {y0:.1f} to {y1:.1f} and x from "
            f"{x0:.1f} to {x1:.1f}, so choose bounds in that range"
        )
    return scan.select(keep)
