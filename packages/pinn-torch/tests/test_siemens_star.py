"""The measured Siemens star tells the orientation of reader, scan geometry and torch forward model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pinn_data.files.npz import read_scan
from pinn_data.optics.probe import probe_modes
from pinn_torch.optics.physics import GroupOptics, fourier_shift
from pinn_torch.training.datamodule import PatternStack

_MARGIN = 24  # pixels: flipped positions reach a little outside the object of the file


def _flipped(positions, axis):
    centre = (positions.min(0) + positions.max(0)) / 2
    mirrored = positions.copy()
    mirrored[:, axis] = (2 * centre - positions)[:, axis]
    return mirrored


_POSITIONS = {
    "as stored": lambda p: p,
    "x and y swapped": lambda p: p[:, ::-1].copy(),
    "both negated": lambda p: _flipped(p, [0, 1]),
    "rows negated": lambda p: _flipped(p, [0]),
    "columns negated": lambda p: _flipped(p, [1]),
}


@pytest.fixture(scope="module")
def star(siemens_star):
    return read_scan(siemens_star)


def _residual(scan, positions):
    """R of the file's object and probe at these positions, 43 frames of one canvas at a time."""
    scan = type(scan)(scan.diffraction, scan.unit, positions, scan.probe, object=scan.object)
    stack = PatternStack(scan)
    side = max(scan.object.shape) + 2 * _MARGIN
    canvas = torch.ones((1, side, side), dtype=torch.complex64)
    rows, columns = scan.object.shape
    canvas[0, _MARGIN : _MARGIN + rows, _MARGIN : _MARGIN + columns] = torch.from_numpy(scan.object)
    probe = torch.from_numpy(probe_modes(scan.probe))
    misfit = energy = 0.0
    for frames in np.arange(len(scan)).reshape(-1, 43):
        batch = stack.batch(frames[None])
        measured = batch["amplitude"] / stack.scale
        probes = fourier_shift(probe, batch["fractions"])
        corners = batch["centres"] - scan.N // 2 + _MARGIN
        optics = GroupOptics(measured, probes, corners, side, 1.0)
        predicted = optics.intensity(canvas).sqrt()
        misfit += float(((predicted - measured) ** 2).sum())
        energy += float((measured**2).sum())
    return float(np.sqrt(misfit / energy))


@pytest.mark.parametrize("arrangement", _POSITIONS)
def test_only_the_stored_orientation_explains_the_patterns(star, arrangement):
    residual = _residual(star, _POSITIONS[arrangement](star.positions))
    if arrangement == "as stored":
        assert residual <= 0.14
    else:
        assert residual >= 0.30
