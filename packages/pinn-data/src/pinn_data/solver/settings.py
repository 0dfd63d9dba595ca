"""What the solver may find, and for how long it may look."""

from __future__ import annotations

import attrs

from pinn_data.errors import DataRangeError

__all__ = ["AUTOMATIC", "PARTS", "SolverSettings", "parse_parts"]

PARTS = ("probe", "positions", "background", "bad-pixels", "affine", "intensity")
"""What can be refined besides the object."""

AUTOMATIC = frozenset(PARTS) - {"affine"}
"""What may be refined unless a caller says otherwise: an affine map is searched for only where it is named,
because the search takes longer than all else together."""


def parse_parts(text: str) -> frozenset[str]:
    """The parts that a command line names: 'auto', 'none', or some of :data:`PARTS` with commas between.

    Raises DataRangeError for another word.
    """
    words = [word.strip().lower().replace("_", "-") for word in text.split(",") if word.strip()]
    if words == ["auto"]:
        return AUTOMATIC
    if words == ["none"]:
        return frozenset()
    unknown = [word for word in words if word not in PARTS]
    if unknown or not words:
        given = unknown[0] if unknown else text
        raise DataRangeError(
            f"refine={given!r} was given, but auto, none, or some of {', '.join(PARTS)} with commas between "
            f"is "
            "needed"
        )
    return frozenset(words)


@attrs.frozen
class SolverSettings:
    """What is asked of the solver.

    refine : what may be found besides the object, some of :data:`PARTS`. Positions, frame intensities and an
        affine map are kept only if held-out frames are predicted better with them.
    modes : incoherent modes of the probe; None: as many as the scan's probe has
    guess_probe : whether the first probe is made from the patterns, not taken from the scan
    seconds : after which the solver ends with what it has; None: no limit
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
