"""What a scan's metadata tell of lengths and light: the geometry that image, product and pictures inherit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["GEOMETRY_KEYS", "Geometry"]

GEOMETRY_KEYS = (
    "pixel_size_m",
    "pixel_height_m",
    "pixel_width_m",
    "photon_energy_eV",
    "detector_distance_m",
    "detector_pixel_m",
)
"""Keys of the metadata that a geometry is read from: ``pixel_size_m`` for square object pixels, else
``pixel_height_m`` and ``pixel_width_m``; ``detector_pixel_m`` as [height, width]."""


@attrs.frozen
class Geometry:
    """Physical sizes of an experiment; None where nobody told.

    pixel_size_m : (height, width) of an object pixel, as (y, x)
    photon_energy_eV : of the light
    detector_distance_m : from the object to the detector
    """

    pixel_size_m: tuple[float, float] | None = None
    photon_energy_eV: float | None = None
    detector_distance_m: float | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Geometry:
        """What metadata tell; a value that is no finite number above 0 tells nothing.

        >>> Geometry.of({"pixel_size_m": 2e-8}).pixel_size_m
        (2e-08, 2e-08)
        """
        height, width = (
            _length(metadata.get(key, metadata.get("pixel_size_m")))
            for key in ("pixel_height_m", "pixel_width_m")
        )
        return cls(
            None if height is None or width is None else (height, width),
            _length(metadata.get("photon_energy_eV")),
            _length(metadata.get("detector_distance_m")),
        )

    def metadata(self) -> dict[str, float]:
        """The entries of metadata that `of` reads: ``Geometry.of(g.metadata()) == g``."""
        known: dict[str, float] = {}
        if self.pixel_size_m is not None:
            height, width = self.pixel_size_m
            square = height == width
            known |= (
                {"pixel_size_m": height} if square else {"pixel_height_m": height, "pixel_width_m": width}
            )
        for key in ("photon_energy_eV", "detector_distance_m"):
            value = getattr(self, key)
            if value is not None:
                known[key] = value
        return known


def _length(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None
