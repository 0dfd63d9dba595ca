"""Settings and weights of version 0.1.0 that later versions do not have: readers ignore them, with a
sentence in the log.

An image was made in several passes over a scan, each from the image of the one before; now it is made in one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["PARAMETERS", "SETTINGS", "current_parameters", "current_settings"]

_LOG = logging.getLogger(__name__)

SETTINGS: Mapping[str, str] = {"overlap_passes": "a network makes its image in one pass over the scan"}
"""Former setting to what holds now."""

PARAMETERS = ("refine/step", "refine/momentum")
"""Canonical names of arrays that the later passes of the networks ``refined`` and ``unrolled`` had; they were
constants, which no training moved."""

V = TypeVar("V")


def current_settings(mapping: Mapping[str, V], where: str) -> dict[str, V]:
    """`mapping` without former settings; `where` names it in the log."""
    former = [name for name in SETTINGS if name in mapping]
    for name in former:
        _LOG.warning("%s: %s is ignored, because %s", where, name, SETTINGS[name])
    return {name: value for name, value in mapping.items() if name not in former}


def current_parameters(weights: Mapping[str, V], spelled: Callable[[str], str] = str) -> dict[str, V]:
    """`weights` by name, without former ones; `spelled` turns a canonical name into that of `weights`."""
    former = set(map(spelled, PARAMETERS))
    current = {name: value for name, value in weights.items() if name not in former}
    if len(current) < len(weights):
        _LOG.info(
            "the model was saved by version 0.1.0; %d of its constants, for further passes over a scan, "
            "are ignored",
            len(weights) - len(current),
        )
    return current
