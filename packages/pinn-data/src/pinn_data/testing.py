"""Hypothesis strategies and small scans for the tests of any package (install ``pinn-data[testing]``).

Everything drawn is complex and without symmetry: a real or symmetric probe cannot tell a forgotten conjugate,
a swap of x and y, or a wrong sign.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.optics.probe import defocused_probe
from pinn_data.scan.scan import Scan
from pinn_data.simulation.simulate import picture_object, simulate_scan

_SEEDS = st.integers(0, 2**32 - 1)


def _noise(shape: tuple[int, ...], seed: int) -> NDArray[np.complex128]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _probe(N: int, modes: int | None, seed: int) -> NDArray[np.complex128]:
    # An off-centre spot that is wider in x than in y, with a curved and tilted phase and complex speckle.
    y, x = np.mgrid[:N, :N] - N / 2
    envelope = np.exp(-(((y - 0.06 * N) / (0.22 * N)) ** 2) - ((x + 0.09 * N) / (0.31 * N)) ** 2)
    phase = np.exp(1j * (2.1 * y**2 + 0.8 * x**2 + 1.3 * x * y) / N + 0.7j * x)
    shape = (N, N) if modes is None else (modes, N, N)
    probe: NDArray[np.complex128] = envelope * phase * (1 + 0.4 * _noise(shape, seed))
    return probe


def complex_probes(N: int = 16, modes: int | None = None) -> st.SearchStrategy[NDArray[np.complex128]]:
    """Asymmetric complex probes, (N, N) complex128, or (modes, N, N) where `modes` is given; of order 1."""
    return st.builds(lambda seed: _probe(N, modes, seed), _SEEDS)


def complex_objects(shape: tuple[int, int] = (41, 47)) -> st.SearchStrategy[NDArray[np.complex128]]:
    """Objects (H, W) complex128 of independent complex pixels of order 1; H and W differ by default."""
    return st.builds(lambda seed: _noise(shape, seed), _SEEDS)


def scan_positions(
    shape: tuple[int, int] = (41, 47),
    N: int = 16,
    *,
    min_size: int = 1,
    max_size: int = 12,
    whole: bool = False,
) -> st.SearchStrategy[NDArray[np.float64]]:
    """Positions (n, 2) as (y, x) whose patches lie inside such an object; fractional unless `whole`."""
    low = np.array([N // 2, N // 2])
    high = np.array(shape) - N // 2

    def build(n: int, seed: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        if whole:
            return rng.integers(low, high + 1, size=(n, 2)).astype(np.float64)
        positions: NDArray[np.float64] = rng.uniform(low, high, size=(n, 2))
        return positions

    return st.builds(build, st.integers(min_size, max_size), _SEEDS)


def _patterns(unit: str, dtype: Any, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    intensity = rng.exponential(20.0, size=shape)
    # The largest number of a dtype is the marker of a pixel that was not measured.
    counts = np.minimum(rng.poisson(intensity), np.iinfo(np.uint8).max - 1)
    # One fraction at least, so that the unit can be told from the numbers.
    values = {"counts": counts, "intensity": intensity + 0.25, "amplitude": np.sqrt(intensity) + 0.25}[unit]
    return np.asarray(values, dtype=dtype)


def bad_pixels(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.bool_]]:
    """Pixels that were not measured, of this shape: none, single ones, or a gap as between two modules."""

    def build(seed: int, share: float, gap: bool) -> NDArray[np.bool_]:
        bad: NDArray[np.bool_] = np.random.default_rng(seed).random(shape) < share
        if gap:
            bad[..., 1, :] = True
        return bad

    return st.builds(build, _SEEDS, st.sampled_from([0.0, 0.02, 0.2]), st.booleans())


@st.composite
def scans(
    draw: st.DrawFn,
    N: int = 8,
    *,
    unit: str | None = None,
    max_size: int = 10,
    shape: tuple[int, int] = (29, 33),
) -> Scan:
    """Small valid scans: every unit, usual dtypes, with and without modes, object, metadata, ..."""
    chosen = draw(st.sampled_from(["counts", "intensity", "amplitude"])) if unit is None else unit
    dtypes = {"counts": [np.uint8, np.uint16, np.int32, np.uint64, np.float32]}.get(
        chosen, [np.float32, np.float64]
    )
    positions = draw(scan_positions(shape, N, max_size=max_size))
    n = len(positions)
    seed = draw(_SEEDS)
    rng = np.random.default_rng(seed)
    parts: dict[str, Any] = {}
    if draw(st.booleans()):
        parts["object"] = draw(complex_objects(shape))
    if draw(st.booleans()):
        parts["scan_index"] = rng.integers(0, 3, size=n)
    if draw(st.booleans()):
        parts["positions_start"] = positions + rng.normal(size=(n, 2))
    if draw(st.booleans()):
        parts["metadata"] = draw(_METADATA)
    if draw(st.booleans()):
        parts["bad_pixels"] = draw(bad_pixels(draw(st.sampled_from([(N, N), (n, N, N)]))))
    if draw(st.booleans()):
        parts["background"] = rng.exponential(size=draw(st.sampled_from([(), (N, N)])))
    return Scan(
        diffraction=_patterns(chosen, draw(st.sampled_from(dtypes)), (n, N, N), seed),
        unit=chosen,
        positions=positions,
        probe=draw(complex_probes(N, draw(st.sampled_from([None, 1, 3])))),
        **parts,
    )


_METADATA = st.dictionaries(
    st.text(max_size=6),
    st.one_of(
        st.text(max_size=6),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        st.none(),
    ),
    max_size=3,
)


def small_positions(rows: int = 4, columns: int = 3, N: int = 64) -> NDArray[np.float64]:
    """A sheared raster, other steps in y than in x; fractions are quarters, so whole shifts are exact."""
    r, c = (a.ravel() for a in np.mgrid[:rows, :columns])
    return np.stack([N / 2 + 8.25 + 7 * r + 0.5 * c, N / 2 + 6.5 + 9 * c + 0.25 * r], axis=1)


def two_modes(N: int) -> NDArray[np.complex128]:
    """A probe of two incoherent modes, neither symmetric nor alike."""
    first = defocused_probe(N)
    return np.stack([first, 0.4j * np.roll(first.T, 3, axis=0)])


def small_scan(N: int = 64, *, rows: int = 4, columns: int = 3, modes: int = 1, photons: float = 1e5) -> Scan:
    """Twelve frames of counts of an object with structure in amplitude and phase."""
    positions = small_positions(rows, columns, N)
    side = int(np.ceil(positions.max())) + N // 2 + 2
    probe = defocused_probe(N) if modes == 1 else two_modes(N)
    return simulate_scan(picture_object("camera", "moon", side), probe, positions, photons=photons, rng=3)


def noise_free(scan: Scan, smoothing_sigma: float = 0.0) -> Scan:
    """The same scan with the intensities that its own object and probe predict."""
    assert scan.object is not None
    intensity = diffraction_intensity(
        scan.object,
        scan.probe,
        scan.positions,
        smoothing_sigma=smoothing_sigma,
        background=scan.background,
        bad_pixels=scan.bad_pixels,
    )
    return attrs.evolve(scan, diffraction=intensity, unit="intensity")


def transposed(scan: Scan) -> Scan:
    """The scan with x and y exchanged."""
    return Scan(
        diffraction=np.ascontiguousarray(np.swapaxes(scan.diffraction, -1, -2)),
        unit=scan.unit,
        positions=np.ascontiguousarray(scan.positions[:, ::-1]),
        probe=np.ascontiguousarray(scan.probe.swapaxes(-1, -2)),
        bad_pixels=None if scan.bad_pixels is None else scan.bad_pixels.swapaxes(-1, -2),
        background=None if scan.background is None else scan.background.T,
    )
