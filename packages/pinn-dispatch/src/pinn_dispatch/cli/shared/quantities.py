"""Quantities with a unit on the command line: ``55um``, ``1.12m``, ``12.7keV``; without one, in m or eV."""

from __future__ import annotations

import math
import re

from pinn_dispatch.errors import UsageError

__all__ = ["energy", "length", "pixel", "point"]

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-zµμÅ]*)\s*")
_LENGTHS = {"": 1.0, "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9}
_LENGTHS |= {"pm": 1e-12, "A": 1e-10, "Å": 1e-10}
_ENERGIES = {"": 1.0, "eV": 1.0, "keV": 1e3}


def length(text: str) -> float:
    """Metres; raises UsageError."""
    return _quantity(text, _LENGTHS, "a length: write metres, or a number with a unit such as 55um or 1.12m")


def energy(text: str) -> float:
    """Electronvolts; raises UsageError."""
    return _quantity(
        text, _ENERGIES, "an energy: write electronvolts, or a number with a unit such as 8.3keV"
    )


def pixel(text: str) -> tuple[float, float]:
    """(height, width) in metres from one length, or from two with a comma; raises UsageError."""
    parts = [length(part) for part in text.split(",")]
    if len(parts) > 2:
        raise UsageError(f"{text!r} has {len(parts)} lengths, but a pixel has one, or HEIGHT,WIDTH")
    return parts[0], parts[-1]


def point(text: str) -> tuple[float, float]:
    """(y, x) in pixels; raises UsageError."""
    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{text!r} is not a point: write two numbers Y,X, for example 127.5,130") from error
    if not (math.isfinite(y) and math.isfinite(x)):
        raise UsageError(f"{text!r} is not a point: write two finite numbers Y,X, for example 127.5,130")
    return y, x


def _quantity(text: str, units: dict[str, float], what: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        raise UsageError(f"{text!r} is not {what}")
    return float(match[1]) * units[match[2]]
