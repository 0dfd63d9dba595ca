"""Labels: patches of the object that a scan came with, on the same pixels as the network's own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import LabelError
from pinn_data.optics.forward_model import exit_wave
from pinn_data.optics.patches import extract
from pinn_data.scan.diffraction import frame_energies
from pinn_data.scan.positions import split_subpixel
from pinn_data.scan.scan import Scan

__all__ = ["ObjectLabels"]

_SAMPLED_FRAMES, _BLOCK = 2048, 64


class ObjectLabels:
    """Patches of a scan's object, cut where the forward model cuts them: at the floor of each position.

    why : the setting that needs them, for the message where there is no object

    The object's unit is set by the measurement: with the scan's probe, labels predict the mean energy that
    was measured, whatever scale object and probe have in the file. `patches` gives them so that an empty
    object (transmission 1) under a probe of that energy is 1.

    Raises
    ------
    LabelError (a ValueError)
        The scan has no object, or one that the probe does not light.
    PositionError (a ValueError)
        A patch reaches outside the object.
    """

    def __init__(self, scan: Scan, why: str, smoothing_sigma: float = 0.0) -> None:
        if scan.object is None:
            raise LabelError(
                f"{why} learns from the object of a scan, but {_name(scan)} has none: "
                "add objectGuess to the file, or learn from the diffraction alone"
            )
        self._object = scan.object
        self.N = scan.N
        self._corner_pixels, _ = split_subpixel(scan.positions)
        ends = [f(self._corner_pixels[:, axis]) for f in (np.argmin, np.argmax) for axis in (0, 1)]
        extract(self._object, self._corner_pixels[ends], self.N)  # raises before a training has begun
        self.scale = _scale(scan, scan.object, smoothing_sigma)

    def patches(self, rows: NDArray[np.int64]) -> NDArray[np.complex64]:
        """(group, pattern, N, N) complex64 for rows (group, pattern) of frame numbers."""
        cut = extract(self._object, self._corner_pixels[rows.reshape(-1)], self.N)
        return (cut * np.complex64(self.scale)).reshape(*rows.shape, self.N, self.N)


def _scale(scan: Scan, image: NDArray[np.complex64], smoothing_sigma: float) -> float:
    """``norm(probe) * sqrt(measured energy / predicted energy) / sqrt(mean measured energy)``."""
    frames = np.unique(np.linspace(0, len(scan) - 1, _SAMPLED_FRAMES).astype(np.int64))
    predicted = 0.0
    for start in range(0, len(frames), _BLOCK):
        where = scan.positions[frames[start : start + _BLOCK]]
        wave = exit_wave(image, scan.probe, where, smoothing_sigma=smoothing_sigma)
        predicted += float(np.sum(wave.real**2 + wave.imag**2))
    if predicted == 0:
        raise LabelError(
            f"the object of {_name(scan)} is zero wherever the probe illuminates it, so nothing can be "
            "learned from it: check objectGuess and the positions"
        )
    measured = float(frame_energies(scan.diffraction[frames], scan.unit).sum())
    norm = float(np.sqrt(np.sum(np.abs(scan.probe.astype(np.complex128)) ** 2)))
    return norm * float(np.sqrt(measured / predicted / scan.nphotons))


def _name(scan: Scan) -> str:
    return "the scan" if scan.source is None else scan.source.name
