"""Our solver beside pty-chi on a measured Siemens star, of which no truth is known.

Of the half y >= 238 (258 frames): the diffraction residual R of all frames, by our forward model for both,
and the ring correlation of the phases of even and odd frames, each reconstructed alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.metrics.scores import half_scan_frc
from pinn_data.optics.forward_model import diffraction_amplitude, residual
from pinn_data.scan.scan import Scan

from benchmarks.line import Line
from benchmarks.reconstructors import PTYCHI, MissingEngine, State, reconstruct, single, typical
from benchmarks.shared_data import siemens_star

__all__ = ["star"]

_FROM_Y = 238
_EPOCHS = [25, 100]
_BELOW = 0.06  # of Nyquist: every image has a dip there, which is no resolution
_WINDOW_PX = 256


def star(folder: Path, engine: str = "numpy") -> list[Line]:
    """R, where the correlation falls to 0.5, and CPU seconds against those of pty-chi's 100 epochs."""
    source = siemens_star()
    if source is None:
        return [Line("Siemens star", "not measured", beside="the data are not beside the checkout")]
    whole = read_scan(source)
    half = whole.select(whole.positions[:, 0] >= _FROM_Y)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        files = [Path(name) / f"{which}.npz" for which in ("all", "even", "odd")]
        for path, frames in zip(files, (slice(None), slice(0, None, 2), slice(1, None, 2)), strict=True):
            part = half.select(np.arange(len(half))[frames])
            # Without the file's object, and in counts, which pty-chi's child reads.
            write_scan(path, Scan(part.diffraction, part.unit, part.positions, part.probe), unit="counts")
        theirs, beside = None, ""
        try:
            # One process for each of the three parts; a state after each of the numbers of epochs.
            parts = [reconstruct(PTYCHI, path, epochs=_EPOCHS) for path in files]
        except MissingEngine as error:
            beside = str(error)
        else:
            each = [(parts[0][i], _crossing(half, parts[1][i], parts[2][i])) for i in range(len(_EPOCHS))]
            theirs = each[-1][0].cpu_s
            beside = "pty-chi " + "; ".join(
                f"R {_R(half, state):.4f}, {crossing:.3f} in {state.cpu_s:.1f} s" for state, crossing in each
            )
        whole_half, even, odd = typical(engine, files[0]), *(single(engine, path) for path in files[1:])
        blind = single(engine, files[0], guess_probe=True)
    crossing = _crossing(half, even, odd)
    R, R_blind = _R(half, whole_half), _R(half, blind)
    ratio = None if theirs is None else whole_half.cpu_s / theirs
    what = f"Siemens star, {engine}: "
    spent = f"{whole_half.cpu_s:.1f} s"
    return [
        Line(what + "R", f"{R:.4f}", R, "1", ("<=", 0.110), beside),
        Line(what + "correlation 0.5 at", f"{crossing:.3f}", crossing, "Nyquist", (">=", 0.40), beside),
        Line(what + "CPU seconds", spent, ratio, "pty-chi", ("<=", 0.1), beside),
        Line(what + "R, no probe", f"{R_blind:.4f}", R_blind, "1", ("<=", 0.115), f"{blind.cpu_s:.1f} s"),
    ]


def _R(scan: Scan, state: State) -> float:
    """Residual of all frames, the image's canvas put where its positions are."""
    positions = state.positions - np.asarray(state.corner)
    predicted = diffraction_amplitude(_padded(state.object), state.probe, positions + _PAD)
    return residual(predicted, scan.amplitude())


_PAD = 16  # a position that moved may look beyond the canvas


def _padded(image: NDArray[Any]) -> NDArray[Any]:
    return np.pad(image, _PAD, mode="edge")


def _crossing(scan: Scan, even: State, odd: State) -> float:
    """Fraction of Nyquist where the phase's ring correlation falls to 0.5, above a dip at low frequencies."""
    low, high = scan.positions.min(axis=0), scan.positions.max(axis=0)
    images = []
    origin = np.floor(low).astype(int) - scan.N // 2
    shape = np.ceil(high).astype(int) + scan.N // 2 - origin
    for state in (even, odd):
        canvas = np.ones(shape, np.complex128)
        start = np.rint(np.asarray(state.corner)).astype(int) - origin
        at = [
            slice(max(0, s), min(n, s + m)) for s, n, m in zip(start, shape, state.object.shape, strict=True)
        ]
        cut = [slice(a.start - s, a.stop - s) for a, s in zip(at, start, strict=True)]
        canvas[tuple(at)] = state.object[tuple(cut)]
        images.append(canvas)
    curve = half_scan_frc(*images, size=_WINDOW_PX).phase
    f, above = curve.frequency, curve.correlation - 0.5
    falls = np.flatnonzero((f[1:] > _BELOW) & (above[1:] < 0) & (above[:-1] >= 0)) + 1
    if not len(falls):
        return 1.0 if above[-1] >= 0 else 0.0
    i = int(falls[0])
    return float(f[i - 1] + (f[i] - f[i - 1]) * above[i - 1] / (above[i - 1] - above[i]))
