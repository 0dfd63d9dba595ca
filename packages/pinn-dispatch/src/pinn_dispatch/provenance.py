"""How a reconstruction came about, as far as its file, or the measures beside it, tell."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pinn_dispatch.reconstruction import FILE_NAME, PRODUCT_NAME, located, read_metadata

__all__ = ["METRICS_NAME", "Provenance", "provenance_of"]

METRICS_NAME = "metrics.json"


@attrs.frozen
class Provenance:
    """What is known of a reconstruction besides its image; None: it is not told.

    residual : R of the amplitudes, see `pinn_data.run.results.Reconstruction`
    seconds : from the arrays to the image
    engine : of the solver
    """

    patterns: int | None = None
    residual: float | None = None
    gridsize: int | None = None
    seconds: float | None = None
    backend: str | None = None
    architecture: str | None = None
    engine: str | None = None

    @classmethod
    def told_by(cls, facts: Mapping[str, Any]) -> Provenance:
        """From the names that `pinn infer` and the backends' workflows write; odd values count as untold."""

        def number(*names: str) -> float | None:
            found = (_finite(facts.get(name)) for name in names)
            return next((value for value in found if value is not None), None)

        def whole(name: str) -> int | None:
            value = number(name)
            return int(value) if value is not None and value.is_integer() else None

        def text(name: str) -> str | None:
            value = facts.get(name)
            return value if isinstance(value, str) else None

        return cls(
            patterns=whole("patterns"),
            residual=number("R", "residual"),
            gridsize=whole("gridsize"),
            seconds=number("seconds_total", "reconstruction_seconds"),
            backend=text("backend"),
            architecture=text("architecture"),
            engine=text("engine"),
        )

    def completed(self, other: Provenance) -> Provenance:
        """This, with what it lacks from `other`."""
        mine = {name: value for name, value in attrs.asdict(self).items() if value is not None}
        return attrs.evolve(other, **mine)


def _finite(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON has whole numbers of any length
        return None
    return number if math.isfinite(number) else None


def provenance_of(path: Path) -> Provenance:
    """What the file at `path`, or in that folder, tells of itself, and for what it leaves open the
    ``metrics.json`` beside a file that still has the name `pinn infer` gave it.

    Raises what `located` and `read_metadata` raise.
    """
    file = located(path)
    told = Provenance.told_by(read_metadata(file))
    return told.completed(_beside(file)) if file.name in (FILE_NAME, PRODUCT_NAME) else told


def _beside(file: Path) -> Provenance:
    try:
        facts = json.loads(file.with_name(METRICS_NAME).read_text("utf-8"))
    except (
        OSError,
        ValueError,
    ):  # it is no part of the reconstruction: whoever moved that may leave it behind
        return Provenance()
    return Provenance.told_by(facts) if isinstance(facts, dict) else Provenance()
