"""The mistake that was made in a file is the one that is named."""

from __future__ import annotations

from types import SimpleNamespace

import attrs
import numpy as np
import pytest
from pinn_data.checks.diagnosis import diagnose
from pinn_data.checks.solution_facts import facts_of
from pinn_data.optics.probe import defocused_probe
from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan
from pinn_data.solver import solve
from pinn_data.solver.operations import NumpyOperations

_FOUND = SimpleNamespace(background=np.zeros(()), bad_pixels=None)


@pytest.fixture(scope="module")
def scan():
    """36 frames, with a probe that no turn or mirror leaves as it is."""
    probe = defocused_probe(32, radius_px=6, aperture=0.2, astigmatism=0.4, tilt=0.5)
    probe = probe * np.exp(0.03j * np.add.outer(np.arange(32), 2 * np.arange(32)) ** 1.5 / 6)
    image = picture_object("coins", "camera", 56)
    return simulate_scan(image, probe, jittered_raster((56, 56), 32, 4.0, 1.0, 2), photons=1e5, rng=1)


def _patterns(scan, change):
    return attrs.evolve(scan, diffraction=np.ascontiguousarray(change(scan.diffraction)))


def _positions(scan, change):
    return attrs.evolve(scan, positions=np.ascontiguousarray(change(scan.positions)))


MISTAKES = {
    "exchanged": (lambda s: _positions(s, lambda p: p[:, ::-1]), "x and y of the positions are swapped:"),
    "upside down": (lambda s: _patterns(s, lambda c: np.roll(c[:, ::-1], 1, 1)), "flip their rows"),
    "conjugated": (lambda s: attrs.evolve(s, probe=s.probe.conj()), "the probe is conjugated"),
    "late": (lambda s: _positions(s, lambda p: np.roll(p, 1, 0)), "one frame late"),
    "shuffled": (
        lambda s: _positions(s, lambda p: np.random.default_rng(9).permutation(p)),
        "no better than in a random order",
    ),
    "nothing": (lambda s: s, "None of the usual mistakes"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_mistake_is_named(scan, mistake):
    make, words = MISTAKES[mistake]
    assert words in diagnose(make(scan), _FOUND)[0]


@pytest.mark.parametrize("mistake", ["exchanged", "upside down"])
def test_the_mistake_is_named_although_all_that_is_free_hides_a_part_of_it(scan, mistake):
    make, words = MISTAKES[mistake]
    wrong = make(scan)
    told = facts_of(solve(wrong), wrong, NumpyOperations())["verdict"]
    assert told["level"] != "good" and any(words in sentence for sentence in told["diagnosis"])


def test_what_a_symmetric_probe_cannot_tell_is_said(scan):
    probe = defocused_probe(32, radius_px=6, aperture=0.2, astigmatism=0.0, tilt=0.0)
    made = simulate_scan(scan.object, probe, scan.positions, photons=1e5, rng=1)
    first, second = diagnose(_positions(made, lambda p: -p), _FOUND)
    assert "both axes of the positions" in first and "the probe is conjugated" in first
    assert "cannot be distinguished" in second
