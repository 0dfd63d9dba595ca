"""The two scans of the demo: one to learn from, and another object that the network never sees before it is
asked.

Both are what a detector would count with a defocused zone plate: about 5e5 photons a pattern, positions on a
jittered raster. The objects are pictures that scikit-image ships.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

__all__ = ["demo_scans", "geometry"]

N = 64
STEP_PX = 6.0
JITTER_PX = 2.0
PHOTONS = 5e5
SIDE = 45
"""Patterns along a side of the training scan."""

_UNSEEN_SHARE = 32 / 45  # of the side; about half of the patterns
_PIXEL_M, _ENERGY_EV, _DETECTOR_PIXEL_M = 1e-8, 8000.0, 75e-6
_HC_EV_M = 1.23984198e-6


def geometry(N: int) -> dict[str, Any]:
    """Pixel size, distance and energy of a simulated beamline, under the keys that a product needs.

    ``pixel_size * N * detector_pixel = wavelength * distance``, as the far field demands.
    """
    distance = N * _DETECTOR_PIXEL_M * _PIXEL_M / (_HC_EV_M / _ENERGY_EV)
    return {"pixel_size_m": _PIXEL_M, "detector_distance_m": distance, "photon_energy_eV": _ENERGY_EV}


def demo_scans(seed: int = 0, *, side: int = SIDE) -> tuple[Scan, Scan]:
    """(scan to learn from, scan of the unseen object), counts, with their exact objects and one common probe.

    seed : of positions and noise
    side : patterns along a side of the first; the second has about half as many patterns
    """
    import numpy as np
    from pinn_data.optics.probe import defocused_probe
    from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan

    rng = np.random.default_rng(seed)
    probe, photons = defocused_probe(N), PHOTONS
    scans: list[Scan] = []
    for count, pictures, turns in (
        (side, ("camera", "moon"), (0, 0)),
        (max(4, round(side * _UNSEEN_SHARE)), ("coins", "camera"), (0, 1)),
    ):
        size = math.ceil(N + 1 + 2 * JITTER_PX + STEP_PX * (count - 1))
        truth = picture_object(*pictures, size, quarter_turns=turns)
        positions = jittered_raster((size, size), N, STEP_PX, JITTER_PX, rng)
        # The same beam for both: only the first scan sets its brightness.
        scan = simulate_scan(
            truth, scans[0].probe if scans else probe, positions, photons=None if scans else photons, rng=rng
        )
        scans.append(attrs.evolve(scan, metadata=dict(scan.metadata) | geometry(N)))
    return scans[0], scans[1]
