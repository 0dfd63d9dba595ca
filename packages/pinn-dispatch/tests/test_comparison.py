"""Comparisons: the truth against itself is perfect, wherever the canvas lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.simulation.simulate import picture_object
from pinn_dispatch.compare.comparison import compare, compare_halves, scan_box
from pinn_dispatch.errors import DispatchError
from pinn_dispatch.reconstruction import Image

TRUTH = picture_object("coins", "camera", 96)
POSITIONS = np.array([[16.0, 17.0], [80.0, 70.0], [30.5, 41.2]])


def _cut(y, x, height, width):
    return Image(TRUTH[y : y + height, x : x + width], (float(y), float(x)), POSITIONS)


@given(st.integers(0, 12), st.integers(0, 12), st.floats(-3, 3), st.floats(0.2, 5.0))
def test_a_cut_of_the_truth_with_a_free_constant_is_perfect(y, x, phase, scale):
    found = _cut(y, x, 84, 80)
    c = compare(Image(found.image * scale * np.exp(1j * phase), found.origin, POSITIONS), Image(TRUTH))
    assert c.scores["ssim_amp"] > 0.999 and c.scores["ssim_phase"] > 0.999
    assert np.allclose(c.amplitude, c.amplitude_true, atol=1e-6)
    assert np.allclose(c.phase, c.phase_true, atol=1e-6)
    assert c.scores["frc50_phase"] == c.scores["frc50_amp"] == 1.0


def test_the_region_is_inside_the_outermost_positions():
    r0, r1, c0, c1 = compare(_cut(0, 0, 96, 96), Image(TRUTH)).roi
    assert (r0, r1, c0, c1) == (22, 74, 23, 64)
    assert scan_box(POSITIONS, (10.0, 10.0), (96, 96), rim=0) == (6, 70, 7, 60)


def test_a_wrong_orientation_is_not_searched_for():
    """Trying flips would hide one."""
    found = _cut(4, 6, 84, 84)
    right = compare(found, Image(TRUTH)).scores["ssim_phase"]
    for turned in (found.image[::-1], found.image[:, ::-1], found.image.T, found.image.conj()):
        assert (
            compare(Image(turned, found.origin, POSITIONS), Image(TRUTH)).scores["ssim_phase"] < right - 0.3
        )


def test_a_wrong_place_shows_in_the_offset():
    found = _cut(4, 6, 84, 80)
    assert np.allclose(compare(found, Image(TRUTH)).scores["offset"], (4, 6), atol=0.02)


def test_halves_on_different_canvases_are_laid_over_each_other():
    halves = compare_halves(_cut(0, 3, 90, 90), _cut(5, 1, 88, 92))
    assert halves.cutoffs["frc50_phase"] == 1.0
    noise = np.random.default_rng(0).normal(size=(90, 90, 2)) @ [1, 1j]
    other = _cut(0, 3, 90, 90)
    noisy = compare_halves(Image(other.image + 0.3 * noise, other.origin, POSITIONS), _cut(5, 1, 88, 92))
    assert noisy.cutoffs["frc50_phase"] < 0.8


@pytest.mark.parametrize("shift", [0.4, 0.6, -0.6])
def test_halves_may_lie_at_fractions_of_a_pixel(shift):
    """A product counts in metres from anywhere."""
    first, second = _cut(0, 3, 90, 90), _cut(0, 3, 90, 90)
    moved = Image(second.image, (shift, 3 + shift), POSITIONS)
    for pair in ((first, moved), (moved, first)):
        assert compare_halves(*pair).cutoffs["frc50_phase"] == 1.0


def test_halves_that_begin_far_apart_are_cut_to_what_both_have():
    """Further along one axis than the other, and than a registration would mend."""
    halves = compare_halves(_cut(0, 2, 96, 90), _cut(24, 0, 72, 96))
    assert halves.alignment.offset == pytest.approx((0, 0), abs=0.01)
    np.testing.assert_allclose(halves.alignment.recon, halves.alignment.truth, atol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_phases_are_those_of_what_was_found_without_their_circular_mean(seed):
    """Which is not the phase of the constant that fits best, where bright pixels are off otherwise than dark
    ones."""
    rng = np.random.default_rng(seed)
    error = 0.3 * rng.normal(size=TRUTH.shape) + 0.5 * (np.abs(TRUTH) > 0.8)
    c = compare(Image(TRUTH * np.exp(1j * error), (0.0, 0.0), POSITIONS), Image(TRUTH))
    assert abs(np.angle(np.mean(np.exp(1j * (c.phase - c.phase_true))))) < 1e-9
    r0, r1, c0, c1 = c.roi
    wanted, told = error[r0:r1, c0:c1].ravel(), (c.phase - c.phase_true).ravel()
    assert np.corrcoef(wanted, told)[0, 1] > 0.8


def test_what_cannot_be_compared():
    with pytest.raises(DispatchError, match="hardly overlap"):
        compare_halves(_cut(0, 0, 30, 30), _cut(60, 60, 30, 30))
    with pytest.raises(DispatchError, match="no positions"):
        compare_halves(Image(TRUTH), Image(TRUTH))
    with pytest.raises(DispatchError, match="reconstruct a larger part"):
        compare(Image(TRUTH, (0.0, 0.0), POSITIONS[:1]), Image(TRUTH))
