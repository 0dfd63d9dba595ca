"""How bright each frame is: the ring of a synchrotron decays, shutters jitter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinn_data.solver.steps.sweep import Sweep

__all__ = ["corrected_intensity", "intensity_is_doubtful"]

_OF_PHOTONS = 4 * 0.25
"""Four times the variance of the root of a count."""
_SHARE = 0.02


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
    """Whether the totals of the frames differ from what is expected by more than photons make them, and this
    difference is a share of the misfit that matters."""
    off = np.sqrt(sums.measured_counts[numbers]) - np.sqrt(sums.expected_counts[numbers])
    explained = np.square(off - off.mean()).sum()
    return bool(explained > max(_OF_PHOTONS * len(numbers), _SHARE * sums.misfit[numbers].sum()))
