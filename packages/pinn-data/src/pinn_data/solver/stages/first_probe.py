"""A probe from nothing: the mean pattern as the amplitude of its pupil, the defocus found by trial."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinn_data.solver.journal import Journal
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.trial import compact_frames, trial_size, try_out

__all__ = ["defocused_spectrum", "scan_defocus"]

_FIRST_EPOCHS = 10
_LAST_EPOCHS = 24
_CANDIDATES = 21


def defocused_spectrum(mean: NDArray[np.float64], defocus_px2: float) -> NDArray[np.complex128]:
    """Spectrum (1, N, N) of the probe whose far field has the amplitude of a mean pattern, out of focus.

    mean : (N, N) counts, zero frequency at [0, 0]
    defocus_px2 : ``wavelength * defocus / object_pixel**2``, as in `pinn_data.scan.probe_guess`
    """
    N = mean.shape[-1]
    k = np.rint(fft.fftfreq(N) * N)
    phase = -np.pi * defocus_px2 * (k[:, None] ** 2 + k[None, :] ** 2) / N**2
    centre = np.where((k[:, None] + k[None, :]) % 2 == 0, 1.0, -1.0)  # the probe is centred on pixel N/2
    return (np.sqrt(mean) * np.exp(1j * phase) * centre)[None]


def scan_defocus(problem: Problem, known: Knowledge, journal: Journal) -> NDArray[np.complexfloating]:
    """The spectrum (1, N, N) of the defocus under which a compact part of the scan is explained best.

    Defoci between the two at which the probe would fill half the window are tried in steps that change the
    phase at the pupil's edge by about a radian, then the three best with a free probe.
    """
    background = problem.background_of_file + known.background
    mean = np.maximum(problem.statistics.mean - background, 0.0) * ~known.bad_pixels
    mean = np.where(problem.measured(problem.N, known.bad_pixels), mean, 0.0)
    N = problem.N
    k = np.rint(fft.fftfreq(N) * N)
    radius = np.sqrt(k[:, None] ** 2 + k[None, :] ** 2)
    order = np.argsort(radius, axis=None)
    inside = np.cumsum(mean.ravel()[order])
    edge = max(1.0, float(radius.ravel()[order][np.searchsorted(inside, 0.9 * inside[-1])]))
    # A ray at the edge lands defocus * edge / N pixels from the axis.
    furthest = 0.3 * N * N / edge
    spacing = min(2 * furthest / (_CANDIDATES - 1), 1.2 * N**2 / (np.pi * edge**2))
    steps = min(int(furthest / spacing), 20)
    candidates = spacing * np.arange(-steps, steps + 1)
    numbers, size = compact_frames(problem.scan.positions), trial_size(problem, known)

    def tried(
        defocus: float, epochs: int, probe_from: int | None
    ) -> tuple[float, NDArray[np.complexfloating]]:
        spectrum = defocused_spectrum(mean, defocus)
        misfit, end = try_out(
            problem, attrs.evolve(known, spectrum=spectrum), size, numbers, epochs, probe_from
        )
        return misfit, problem.learned(attrs.evolve(known, spectrum=spectrum), end).spectrum

    course = []
    for i, defocus in enumerate(candidates):
        course.append(tried(float(defocus), _FIRST_EPOCHS, 5)[0])
        if not journal.tell("defocus", i, len(candidates), None):
            break
    best = candidates[np.argsort(course)[: 1 if journal.ended else 3]]
    finals = [(*tried(float(defocus), _LAST_EPOCHS, 3), float(defocus)) for defocus in best]
    misfit, spectrum, defocus = min(finals, key=lambda f: f[0])
    journal.say(
        f"the first probe was made from the mean pattern with a defocus of {defocus:.1f} px^2 (R "
        f"{misfit:.3f} on "
        f"{len(numbers)} frames, {max(course):.3f} at the worst of {len(course)} tried)"
    )
    return spectrum
