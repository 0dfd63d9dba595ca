"""Simulated scans with what a beamline does to them, and the truth of each.

    uv run python -m benchmarks.measured_scans OUTDIR [--rows clean background ...] [--seeds 0 1 2]

writes ``OUTDIR/ROW-SEED.npz``, a scan as it would be measured (without its object, and without a word on what
is wrong with it), and ``OUTDIR/ROW-SEED-truth.npz``, the truth. :func:`make_scan` describes both.

Row and seed alone decide every number. A seed chooses object, probe and scan positions, so the rows of one
seed differ in their defect only.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.optics.probe import defocused_probe, fourier_shift
from pinn_data.simulation.simulate import jittered_raster, picture_object
from scipy import fft, ndimage
from scipy.spatial import KDTree

__all__ = ["PROBES", "ROWS", "N", "Row", "grains", "make_scan", "roi_of", "write_scan_and_truth"]

N = 64
_SIDE, _STEP, _JITTER = 20, 6.0, 2.0
_ROI_INSET = 6  # pixels inside the outermost positions, as in the scans of the same step that are scored so
_SHARES = {1: (1.0,), 2: (0.85, 0.15), 3: (0.76, 0.16, 0.08)}
_AMPLITUDE, _PHASE = (0.6, 1.0), 1.6


@dataclass(frozen=True)
class Row:
    """What is wrong with a scan of 400 patterns.

    defocus : relative error of the defocus of the probe in the file; 0.1 is about 0.5 rad at the pupil's edge
    modes : incoherent modes of the light; the file has the strongest alone, with the energy of all
    told_modes : how many modes the reconstruction is asked for
    hot : fraction of the pixels that count too much or hold one number
    gap : width of a strip that reads 0, pixels
    background : counts in every pixel
    positions : error of the positions in the file, root mean square distance, pixels
    half_probe : whether the step is half the diameter of the probe, in place of 6 px
    photons : counts of a pattern, background apart
    unusual_probe : whether the probe is one that no other row has
    """

    defocus: float = 0.0
    modes: int = 1
    told_modes: int = 1
    hot: float = 0.0
    gap: int = 0
    background: float = 0.0
    positions: float = 0.0
    half_probe: bool = False
    photons: float = 1e5
    unusual_probe: bool = False

    @property
    def has_bad_pixels(self) -> bool:
        return self.hot > 0 or self.gap > 0


ROWS: dict[str, Row] = {
    "clean": Row(),
    "defocus-10": Row(defocus=0.1),
    "defocus-40": Row(defocus=0.4),
    "modes-3": Row(modes=3, told_modes=3),
    "bad-pixels": Row(hot=0.02, gap=4),
    "background": Row(background=5.0),
    "positions-1": Row(positions=1.0),
    "positions-2": Row(positions=2.0),
    "positions-3": Row(positions=3.0),
    "half-probe": Row(half_probe=True),
    "all-at-once": Row(defocus=0.2, modes=2, hot=0.02, gap=4, background=1.0, positions=1.0),
    "another-probe": Row(unusual_probe=True),
    "dose-1e3": Row(photons=1e3),
    "dose-1e3-background": Row(photons=1e3, background=1.0),
}
"""The rows of the table, in its order."""


def make_scan(row: str | Row, seed: int) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """The entries of an NPZ scan, and the truth.

    Returns
    -------
    scan : ``diff3d`` (400, 64, 64) uint16 counts, ``diffraction_unit``, ``xcoords``, ``ycoords`` (400,)
        float64, ``probeGuess`` (64, 64) complex64, ``metadata``
    truth : ``object`` (H, W), ``probe`` (modes, 64, 64) complex128 in sqrt(counts), strongest first,
        ``positions`` (400, 2) as (y, x), ``bad_pixels`` (64, 64) bool, ``background`` counts, ``roi``
        (row0, row1, column0, column1) of the object to score, where it is lit
    """
    row = ROWS[row] if isinstance(row, str) else row
    rng = np.random.default_rng([seed, 1])
    probe, defocus = PROBES["another" if row.unusual_probe else _USUAL[seed % len(_USUAL)]]()
    modes = _partially_coherent(probe, _SHARES[row.modes])
    step = _diameter(probe) / 2 if row.half_probe else _STEP
    size = math.ceil((_SIDE - 1) * step + 2 * _JITTER) + N + 1
    positions = jittered_raster((size, size), N, step, _JITTER, rng)
    image = _OBJECTS[seed % len(_OBJECTS)](size, rng)

    expected = diffraction_intensity(image, modes, positions)
    scale = row.photons / expected.sum(axis=(1, 2)).mean()
    modes = modes * np.sqrt(scale)
    # Another stream for each row: the noise of one defect must not be that of another.
    rng = np.random.default_rng([seed, 2, zlib.crc32(repr(row).encode())])
    counts = rng.poisson(expected * scale + row.background)
    bad = _spoil(counts, row, rng)
    known = positions + row.positions / math.sqrt(2) * rng.standard_normal(positions.shape)
    guess = modes[0] * np.sqrt(np.sum(np.abs(modes) ** 2) / np.sum(np.abs(modes[0]) ** 2))
    guess = _with_pupil_phase(guess, lambda y, x: row.defocus * defocus * (y**2 + x**2))
    scan = {
        "diff3d": counts.astype(np.uint16),
        "diffraction_unit": np.array("counts"),
        "xcoords": known[:, 1].copy(),
        "ycoords": known[:, 0].copy(),
        "probeGuess": guess.astype(np.complex64),
        "metadata": np.array(json.dumps({"simulated": True})),
    }
    truth = {
        "object": image,
        "probe": modes,
        "positions": positions,
        "bad_pixels": bad,
        "background": np.array(row.background),
        "roi": np.array(roi_of(positions)),
    }
    return scan, truth


def roi_of(positions: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """(row0, row1, column0, column1) of the object inside the outermost positions."""
    low = np.ceil(positions.min(axis=0)).astype(int) + _ROI_INSET
    high = np.floor(positions.max(axis=0)).astype(int) - _ROI_INSET
    return int(low[0]), int(high[0]), int(low[1]), int(high[1])


# Probes ----------------------------------------------------------------------------------------------------


def _probe(
    aperture: float, defocus: float, coma: float, **shape: float
) -> tuple[NDArray[np.complex128], float]:
    """A probe out of focus, and the phase (radians) of a defocus at radius 1 / (N/2) in its pupil's unit.

    aperture : radius of the pupil as a fraction of N
    defocus, coma : radians at the pupil's edge
    """
    edge = 2 * aperture  # in units of N/2 pixels
    probe = defocused_probe(N, radius_px=defocus / (np.pi * aperture), aperture=aperture, **shape)
    tilted = _with_pupil_phase(
        probe, lambda y, x: coma * (0.8 * x + 0.6 * y) / edge * (3 * (y**2 + x**2) / edge**2 - 2)
    )
    return tilted, defocus / edge**2


def _with_pupil_phase(
    probe: NDArray[np.complex128], phase: Callable[[NDArray[np.float64], NDArray[np.float64]], Any]
) -> NDArray[np.complex128]:
    """The probe with a phase (radians) more in its pupil, a function of (y, x) in units of N/2 pixels."""
    y, x = (np.mgrid[:N, :N] - N // 2) / (N / 2)
    pupil = fft.fftshift(fft.fft2(fft.ifftshift(probe)))
    return fft.fftshift(fft.ifft2(fft.ifftshift(pupil * np.exp(1j * phase(y, x)))))


PROBES: dict[str, Callable[[], tuple[NDArray[np.complex128], float]]] = {
    "lens": lambda: _probe(0.16, 5.0, 0.6, central_stop=0.0, astigmatism=0.2, tilt=0.3),
    "zone plate": lambda: _probe(0.18, 5.0, -0.4, central_stop=0.4, astigmatism=0.3, tilt=0.2),
    "behind the focus": lambda: _probe(0.15, -5.0, 0.8, central_stop=0.0, astigmatism=-0.25, tilt=0.4),
    "another": lambda: _probe(0.22, -6.5, 1.2, central_stop=0.25, astigmatism=0.5, tilt=0.5),
}
"""Each returns (N, N) complex128, and its defocus in radians at N/2 pixels from the pupil's centre."""
_USUAL = ("lens", "zone plate", "behind the focus")


def _partially_coherent(probe: NDArray[np.complex128], shares: tuple[float, ...]) -> NDArray[np.complex128]:
    """Orthogonal modes of a probe that trembles, with these shares of the energy: (modes, N, N).

    What trembles along y and x is a mixture of displaced probes; its modes are those of their covariance.
    """
    if len(shares) == 1:
        return probe[None] * np.sqrt(shares[0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    moves = [(a, b) for a in nodes for b in nodes]
    weight = np.array([u * v for u in weights for v in weights])
    copies = np.stack([fourier_shift(probe, (1.0 * a, 1.6 * b)) for a, b in moves])
    _, _, modes = np.linalg.svd((copies * np.sqrt(weight)[:, None, None]).reshape(len(moves), -1), False)
    modes = modes[: len(shares)].reshape(-1, N, N)
    energy = np.sum(np.abs(probe) ** 2) * np.array(shares)
    return modes * np.sqrt(energy)[:, None, None]


def _diameter(probe: NDArray[np.complex128]) -> float:
    """Diameter of the disk about the centre of the light that holds 80 % of it, pixels."""
    light = np.abs(probe) ** 2
    y, x = np.mgrid[:N, :N]
    radius = np.hypot(y - np.average(y, weights=light), x - np.average(x, weights=light)).ravel()
    order = np.argsort(radius)
    inside = np.cumsum(light.ravel()[order])
    return float(2 * radius[order][np.searchsorted(inside, 0.8 * inside[-1])])


# Objects ---------------------------------------------------------------------------------------------------


def _pictures(amplitude: str, phase: str, turns: tuple[int, int]) -> Callable[..., NDArray[np.complex128]]:
    return lambda size, rng: picture_object(amplitude, phase, size, quarter_turns=turns)


def grains(size: int, rng: np.random.Generator) -> NDArray[np.complex128]:
    """A polished alloy: grains of one transmission and one phase each, with soft borders."""
    seeds = rng.uniform(0, size, (size * size // 260, 2))
    pixels = np.stack(np.mgrid[:size, :size], -1).reshape(-1, 2)
    grain = KDTree(seeds).query(pixels)[1].reshape(size, size)
    a, p = (ndimage.gaussian_filter(rng.random(len(seeds))[grain], 0.7) for _ in range(2))
    return _object(a, p)


def _spheres(size: int, rng: np.random.Generator) -> NDArray[np.complex128]:
    """Spheres of one material, whose thickness both absorbs and delays, on a slowly varying film."""
    y, x = np.mgrid[:size, :size]
    thickness = np.zeros((size, size))
    for _ in range(size * size // 300):
        (cy, cx), radius = rng.uniform(0, size, 2), rng.uniform(3, 14)
        thickness += 2 * np.sqrt(np.maximum(radius**2 - (y - cy) ** 2 - (x - cx) ** 2, 0))
    thickness = ndimage.gaussian_filter(np.minimum(thickness, 60.0), 0.7)
    film = ndimage.gaussian_filter(rng.standard_normal((size, size)), 12, mode="wrap")
    film = (film - film.min()) / np.ptp(film)
    solid = thickness / thickness.max()
    return _object(1 - solid, 0.8 * solid + 0.2 * film)


def _object(amplitude: NDArray[np.float64], phase: NDArray[np.float64]) -> NDArray[np.complex128]:
    """From two images between 0 and 1."""
    modulus = _AMPLITUDE[0] + (_AMPLITUDE[1] - _AMPLITUDE[0]) * amplitude
    return modulus * np.exp(1j * _PHASE * (phase - 0.5))


_OBJECTS: tuple[Callable[[int, np.random.Generator], NDArray[np.complex128]], ...] = (
    _pictures("coins", "camera", (0, 1)),
    grains,
    _pictures("moon", "astronaut", (2, 0)),
    _spheres,
    _pictures("chelsea", "coins", (0, 3)),
)


# The detector ----------------------------------------------------------------------------------------------


def _spoil(counts: NDArray[np.int64], row: Row, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Spoil pixels of all patterns, in place, and return which, (N, N).

    Hot pixels count 30 to 5000 too many, a number of its own each; every third is stuck at that number. The
    strip that reads 0 lies beside the direct beam, along either axis.
    """
    bad = np.zeros((N, N), bool)
    if row.hot:
        where = rng.choice(N * N, round(row.hot * N * N), replace=False)
        bad.flat[where] = True
        extra = np.exp(rng.uniform(np.log(30), np.log(5000), len(where)))
        flat = counts.reshape(len(counts), -1)
        flat[:, where] += rng.poisson(extra, (len(counts), len(where)))
        stuck = slice(None, None, 3)
        flat[:, where[stuck]] = np.rint(extra[stuck])
    if row.gap:
        start = N // 2 + int(rng.choice([-1, 1])) * int(rng.integers(6, 17)) - row.gap // 2
        strip = (slice(start, start + row.gap), slice(None))[:: int(rng.choice([-1, 1]))]
        counts[:, *strip] = 0
        bad[strip] = True
    return bad


def write_scan_and_truth(folder: Path, row: str, seed: int) -> tuple[Path, Path]:
    """The paths of both files."""
    scan, truth = make_scan(row, seed)
    paths = folder / f"{row}-{seed}.npz", folder / f"{row}-{seed}-truth.npz"
    for path, entries in zip(paths, (scan, truth), strict=True):
        np.savez(path, **entries)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measured_scans", description=__doc__)
    parser.add_argument("output", type=Path, help="folder for the files")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="rows (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds (default: 0 1 2)")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for row in arguments.rows:
        for seed in arguments.seeds:
            print(*write_scan_and_truth(arguments.output, row, seed))


if __name__ == "__main__":
    main()
