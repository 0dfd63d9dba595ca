"""How bright each frame is: the ring of a synchrotron decays, shutters jitter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.sweep import Sweep

__all__ = ["corrected_intensity", "intensity_is_doubtful"]

_DOUBTFUL = 4.0


def corrected_intensity(
    intensity: NDArray[np.float64] | None, sums: Sweep, numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n,) with mean 1: each frame's intensity after one step towards the counts that it has.

    Frames that the sweep left out keep theirs.
    """
    new = np.ones(len(sums.misfit)) if intensity is None else intensity.copy()
    new[numbers] *= sums.measured_counts[numbers] / np.maximum(sums.expected_counts[numbers], 1e-12)
    new = np.maximum(new, 1e-3)
    return new / new.mean()


def intensity_is_doubtful(sums: Sweep, numbers: NDArray[np.int64]) -> bool:
    """Whether the totals of the frames differ from what is expected by more than photons make them."""
    off = sums.measured_counts[numbers] - sums.expected_counts[numbers]
    return bool(np.mean(off**2 / np.maximum(sums.expected_counts[numbers], 1e-12)) > _DOUBTFUL)
