"""What the tests of physics and networks are fed with: groups of patterns that NumPy has made."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pinn_data.optics.forward_model import diffraction_amplitude
from pinn_data.optics.probe import defocused_probe, shifted_probes
from pinn_tf.optics.physics import GroupOptics, fourier_shift

BACKGROUND = float(np.sqrt(0.5))


@attrs.frozen
class Scene:
    """Groups of patterns, and the truth behind them: no noise, network units (energy about (N/2)**2).

    probe : (mode, N, N) complex128
    canvas : (group, M, M) complex128
    corners : (group, pattern, 2) int64; fractions : (group, pattern, 2) float64
    amplitude : (group, pattern, N, N) float64
    """

    probe: NDArray[np.complex128]
    canvas: NDArray[np.complex128]
    corners: NDArray[np.int64]
    fractions: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    sigma: float

    @property
    def probes(self) -> NDArray[np.complex128]:
        """(group, pattern, mode, N, N), each at the fraction of its position, by NumPy."""
        shape = (*self.fractions.shape[:2], *self.probe.shape)
        return shifted_probes(self.probe, self.fractions.reshape(-1, 2)).reshape(shape)

    @property
    def relative_intensity(self) -> NDArray[np.float64]:
        """(group, pattern, N, N), relative to the brightest pixel in a group."""
        intensity = (np.abs(self.probes) ** 2).sum(2)
        return intensity / intensity.max((1, 2, 3), keepdims=True)

    def optics(self, dtype: Any = tf.float32, **options: Any) -> GroupOptics:
        """Those of this package, with `options` of `GroupOptics`."""
        complex_dtype = tf.complex64 if dtype == tf.float32 else tf.complex128
        probes = fourier_shift(tf.constant(self.probe, complex_dtype), tf.constant(self.fractions, dtype))
        return GroupOptics(
            tf.constant(self.amplitude, dtype),
            probes,
            tf.constant(self.corners),
            self.canvas.shape[-1],
            BACKGROUND,
            self.sigma,
            **options,
        )

    def of(self, *groups: int) -> Scene:
        """Some of the groups."""
        rows = list(groups)
        per_group = ("canvas", "corners", "fractions", "amplitude")
        return attrs.evolve(self, **{name: getattr(self, name)[rows] for name in per_group})


def scene(
    seed: int = 0,
    *,
    groups: int = 2,
    patterns: int = 4,
    modes: int = 2,
    size: int = 16,
    canvas: int = 24,
    sigma: float = 0.0,
) -> Scene:
    """Complex objects and probes without symmetry."""
    rng = np.random.default_rng(seed)
    probe = defocused_probe(max(size, 8))[:size, :size]
    probe = np.stack([probe * np.exp(1j * m) * 0.6**m for m in range(modes)])
    probe = probe + 0.15 * np.abs(probe).max() * _noise(rng, probe.shape)
    probe *= size / 2 / BACKGROUND / np.sqrt(np.sum(np.abs(probe) ** 2))
    objects = BACKGROUND * (1 + 0.25 * _noise(rng, (groups, canvas, canvas)))
    corners = rng.integers(0, canvas - size + 1, size=(groups, patterns, 2))
    fractions = rng.uniform(0, 1, size=(groups, patterns, 2))
    positions = corners + fractions + size // 2
    # One more row and column, never seen: a fraction must not reach over the edge of the oracle's object.
    padded = np.pad(objects, ((0, 0), (0, 1), (0, 1)))
    amplitude = np.stack(
        [
            diffraction_amplitude(o, probe, p, smoothing_sigma=sigma)
            for o, p in zip(padded, positions, strict=True)
        ]
    )
    return Scene(probe, objects, corners, fractions, amplitude, sigma)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)
