"""Incoherent modes of a probe: how they begin, and how they are told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["add_modes", "orthogonal_modes"]

_SHARE = 0.14
_ORDERS = tuple((a, total - a) for total in range(1, 9) for a in range(total + 1))


def add_modes(probe: NDArray[np.complexfloating], modes: int) -> NDArray[np.complexfloating]:
    """The probe (mode, N, N) with as many modes as asked for: the first of those it has, or its own and the
    first times powers of y and x about the centre of its light, with 14 % of its energy each.
    """
    if len(probe) >= modes:
        return probe[:modes]
    N = probe.shape[-1]
    first = probe[0]
    light = np.square(np.abs(first))
    y, x = np.mgrid[:N, :N]
    y, x = (axis - np.average(axis, weights=light) for axis in (y, x))
    added = [first * y**a * x**b for a, b in _ORDERS[: modes - len(probe)]]
    energy = _SHARE * light.sum()
    scaled = [mode * np.sqrt(energy / np.square(np.abs(mode)).sum()) for mode in added]
    return np.concatenate([probe, np.stack(scaled)])


def orthogonal_modes(
    probe: NDArray[np.complexfloating],
) -> tuple[NDArray[np.complexfloating], NDArray[np.float64]]:
    """The same light in modes (mode, N, N) that are orthogonal, strongest first, and the share of each.

    Modes that are rotated among themselves by a unitary matrix give the same intensities: these are the rows
    of ``S V`` of the singular value decomposition of the modes.
    """
    flat = probe.reshape(len(probe), -1)
    if len(flat) == 1:
        return probe, np.ones(1)
    _, singular, rows = np.linalg.svd(flat.astype(np.complex128), full_matrices=False)
    strength = singular**2 / np.sum(singular**2)
    return (singular[:, None] * rows).reshape(probe.shape).astype(probe.dtype), strength
