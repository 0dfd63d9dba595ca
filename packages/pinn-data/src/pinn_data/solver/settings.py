"""What the solver may find, and for how long it may look."""

from __future__ import annotations

import attrs
from pinn_config.refining import AUTOMATIC, PARTS, parse_parts

from pinn_data.errors import DataRangeError

__all__ = ["AUTOMATIC", "PARTS", "SolverSettings", "parse_parts"]


@attrs.frozen
class SolverSettings:
    """What is asked of the solver.

    refine : what may be found besides the object, some of :data:`PARTS`. Positions, frame intensities and an
        affine map are kept only if held-out frames are predicted better with them.
    modes : incoherent modes of the probe; None: as many as the scan's probe has
    guess_probe : whether the first probe is made from the patterns, not taken from the scan
    seconds : after which the solver ends with what it has; None: no limit

    Raises ConfigError for other parts, DataRangeError for other modes and seconds.
    """

    refine: frozenset[str] = AUTOMATIC
    modes: int | None = None
    guess_probe: bool = False
    seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        if not self.refine <= frozenset(PARTS):
            parse_parts(",".join(sorted(self.refine)))
        if self.modes is not None and not 1 <= self.modes <= 40:
            raise DataRangeError(f"modes={self.modes} was given, but 1 to 40 probe modes are possible")
        if self.seconds is not None and not self.seconds > 0:
            raise DataRangeError(f"seconds={self.seconds} was given, but a time above 0 is needed")
