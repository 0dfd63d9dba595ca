"""What is in a file: in words for a person, in plain values for a program, and as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
from pinn_config.quoting import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Description", "Picture", "words_of"]

_LONGEST = 100  # characters of a value that is not ours to shorten
_LONGEST_LINE = 1000


@attrs.frozen(eq=False)
class Picture:
    """One panel of a thumbnail.

    kind, image : 'pattern', (row, column) intensities, shown on a log scale; 'phase' and 'amplitude',
        (row, column) real; 'complex', (row, column) complex; 'positions', (n, 2) as (y, x); 'curve', (n,)
    known : (row, column) bool, pixels that hold something; None: all
    """

    title: str
    kind: Literal["pattern", "phase", "amplitude", "complex", "positions", "curve"]
    image: NDArray[Any]
    unit: str = ""
    known: NDArray[Any] | None = None


def _told(words: Mapping[str, object]) -> dict[str, str]:
    """What a file says of itself may be anything; a terminal gets a line of it without control characters."""
    return {one_line(name, _LONGEST): one_line(value, _LONGEST_LINE) for name, value in words.items()}


@attrs.frozen(eq=False)
class Description:
    """What one path holds.

    kind : 'scan', 'model archive', ...
    words : a name and a value a line, without control characters and not too long
    facts : the same and more, in the types of JSON
    pictures : for a thumbnail
    parts : of a folder, what is in it
    """

    path: Path
    kind: str
    words: Mapping[str, str] = attrs.field(converter=_told)
    facts: Mapping[str, Any]
    pictures: tuple[Picture, ...] = ()
    parts: tuple[Description, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        told = {"file": str(self.path), "kind": self.kind, **self.facts}
        return told | {"parts": [part.as_json() for part in self.parts]} if self.parts else told

    def all_pictures(self) -> tuple[Picture, ...]:
        """Its own pictures, then those of its parts."""
        return (*self.pictures, *(picture for part in self.parts for picture in part.all_pictures()))


def words_of(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Plain values under their names, those of inner mappings under dotted ones; what is None is left out."""
    rows: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            rows |= words_of(value, f"{before}{name}.")
        elif value is not None:
            text = " ".join(str(value).split())
            rows[f"{before}{name}"] = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return rows
