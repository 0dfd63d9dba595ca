"""What the solver found of a scan besides the image, its probe and positions, as any file keeps it.

==================================  ======================  ==================================================
entry                               shape, dtype            meaning
==================================  ======================  ==================================================
``xcoords_start``, ``ycoords_…``    (n,) float64            the positions before the solver, object pixels
``mode_shares``                     (modes,) float64        of the light
``background``                      () or (N, N) float64    counts besides the diffraction
``bad_pixels``                      ([n,] N, N) bool        optional: pixels that were left out
``frame_intensity``                 (n,) float64            optional: brightness of each frame, mean 1
``frame_misfit``                    (n,) float64            1 where only counting noise is left
``pixel_misfit``                    (N, N) float64          the same of each detector pixel; NaN: not measured
``solver``                          (k,) uint8              one JSON object in UTF-8: decisions, R, its course
==================================  ======================  ==================================================

A reconstruction NPZ holds them beside its other entries, a ptychodus product in the group ``ptychopinn``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import DataFormatError, DataRangeError, ShapeError
from pinn_data.scan.measured_pixels import as_background, as_bad_pixels, check_fit
from pinn_data.scan.positions import validate_positions

__all__ = ["ENTRIES", "Refined"]

ENTRIES = (
    "xcoords_start",
    "ycoords_start",
    "mode_shares",
    "background",
    "bad_pixels",
    "frame_intensity",
    "frame_misfit",
    "pixel_misfit",
    "solver",
)
_OPTIONAL = ("bad_pixels", "frame_intensity")
_MOST_JSON_BYTES = 2**24


def _background(value: ArrayLike) -> NDArray[np.float64]:
    found = as_background(value)
    return np.zeros(np.shape(value)) if found is None else found


def _numbers(value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise DataRangeError(
            f"the result of the solver has dtype {array.dtype}, but real numbers are needed: solve again"
        )
    return array.astype(np.float64)


@attrs.frozen(eq=False)
class Refined:
    """The table above, in memory; `facts` are the JSON object.

    Raises ShapeError, DataRangeError, PositionError for parts that cannot be.
    """

    positions_start: NDArray[np.float64] = attrs.field(converter=validate_positions)
    mode_shares: NDArray[np.float64] = attrs.field(converter=_numbers)
    background: NDArray[np.float64] = attrs.field(converter=_background)
    bad_pixels: NDArray[np.bool_] | None = attrs.field(converter=as_bad_pixels)
    frame_intensity: NDArray[np.float64] | None = attrs.field(converter=attrs.converters.optional(_numbers))
    frame_misfit: NDArray[np.float64] = attrs.field(converter=_numbers)
    pixel_misfit: NDArray[np.float64] = attrs.field(converter=_numbers)
    facts: Mapping[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        n, shape = len(self.positions_start), self.pixel_misfit.shape
        alike = [self.frame_misfit, *([] if self.frame_intensity is None else [self.frame_intensity])]
        if len(shape) != 2 or any(part.shape != (n,) for part in alike) or self.mode_shares.ndim != 1:
            raise ShapeError(
                f"misfits of {self.frame_misfit.shape} frames and {shape} pixels do not fit {n} positions: "
                "solve again"
            )
        check_fit(self.bad_pixels, self.background, (n, *shape))

    def check_frames(self, frames: int) -> None:
        """Returns if it is about so many frames; raises ShapeError."""
        if len(self.positions_start) != frames:
            raise ShapeError(
                f"the result of the solver is for {len(self.positions_start)} frames, but there are "
                f"{frames} positions: solve again"
            )

    @property
    def course(self) -> list[tuple[str, float, float]]:
        """Stage, seconds and R of each epoch, as far as the facts tell them."""
        rows = self.facts.get("history")
        found = []
        for row in rows if isinstance(rows, list) else []:
            try:
                found.append((str(row["stage"]), float(row["seconds"]), float(row["R"])))
            except (
                KeyError,
                TypeError,
                ValueError,
            ):  # something was only tried, or it is somebody else's row
                continue
        return found

    def entries(self) -> dict[str, NDArray[Any]]:
        """The entries of the table; what is None is left out."""
        arrays: dict[str, NDArray[Any]] = {
            "xcoords_start": self.positions_start[:, 1],
            "ycoords_start": self.positions_start[:, 0],
            "solver": np.frombuffer(json.dumps(dict(self.facts), allow_nan=False).encode(), np.uint8),
        }
        parts = {name: getattr(self, name) for name in ENTRIES if name not in arrays}
        return arrays | {name: array for name, array in parts.items() if array is not None}

    @classmethod
    def read(cls, holds: Callable[[str], bool], read: Callable[[str], NDArray[Any]]) -> Refined | None:
        """What a file holds; None where the solver had no part in it.

        Law: ``Refined.read(e.__contains__, e.__getitem__)`` of ``e = r.entries()`` is r.

        Raises DataFormatError (no JSON), and what `read` and this class raise.
        """
        if not all(holds(name) for name in ENTRIES if name not in _OPTIONAL):
            return None
        parts: dict[str, Any] = {name: read(name) if holds(name) else None for name in ENTRIES}
        x, y, text = (parts.pop(name) for name in ("xcoords_start", "ycoords_start", "solver"))
        if x.ndim != 1 or x.shape != y.shape:
            raise ShapeError(
                f"xcoords_start has shape {x.shape} and ycoords_start {y.shape}, but both need one number "
                "per frame: solve again"
            )
        return cls(np.stack([y, x], axis=1), **parts, facts=_facts(text))


def _facts(text: NDArray[Any]) -> dict[str, Any]:
    if text.dtype != np.uint8 or text.ndim != 1 or text.size > _MOST_JSON_BYTES:
        raise DataFormatError(
            f"'solver' is {text.dtype} {text.shape}, but JSON as bytes is needed: write the file again"
        )
    try:
        value = json.loads(text.tobytes())
    except (ValueError, RecursionError) as error:
        raise DataFormatError(f"'solver' is not JSON ({error}): write the file again") from error
    if not isinstance(value, dict):
        raise DataFormatError("'solver' is not a JSON object: write the file again")
    return value
