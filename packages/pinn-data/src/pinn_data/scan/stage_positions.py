"""Recorded stage positions, and what has to be known of them to say where the probe lay on the object."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import PositionError
from pinn_data.scan.positions import validate_positions

__all__ = ["METRES", "StageConvention"]

METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
"""Metres in each unit of length that positions may have; 'px' (object pixels) is the other one."""


@attrs.frozen
class StageConvention:
    """What recorded positions (y, x), along the rows and columns of the patterns, mean.

    unit : a length in `METRES`, or 'px'
    motion : 'sample' where the sample was moved, the probe's position on it being the negative; or 'probe'
    swap_xy : exchange x and y
    negate_y, negate_x : then reverse an axis
    """

    unit: str
    motion: Literal["sample", "probe"]
    swap_xy: bool = False
    negate_y: bool = False
    negate_x: bool = False

    def __attrs_post_init__(self) -> None:
        if self.unit not in METRES and self.unit != "px":
            raise PositionError(
                f"positions in {self.unit!r} were given, but the unit must be one of {', '.join(METRES)} or "
                "px"
            )

    @property
    def words(self) -> str:
        """The convention in words."""
        parts = [
            "sample motion, negated to give probe positions"
            if self.motion == "sample"
            else "positions of the probe on the object"
        ]
        if self.swap_xy:
            parts.append("x and y swapped")
        parts += [f"{axis} reversed" for axis, on in (("y", self.negate_y), ("x", self.negate_x)) if on]
        return f"in {self.unit}, {', '.join(parts)}"

    def on_object(self, recorded: ArrayLike) -> NDArray[np.float64]:
        """Where the probe lay (n, 2) as (y, x): rows down and columns to the right, in metres, or in pixels
        for 'px'.

        Raises what :func:`pinn_data.scan.positions.validate_positions` raises.
        """
        positions = validate_positions(recorded) * METRES.get(self.unit, 1.0)
        if self.motion == "sample":
            positions = -positions
        if self.swap_xy:
            positions = positions[:, ::-1]
        signs = np.array([-1.0 if self.negate_y else 1.0, -1.0 if self.negate_x else 1.0])
        return positions * signs + 0.0  # no negative zeros
