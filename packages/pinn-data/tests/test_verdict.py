"""The verdict: it follows the misfit over the noise, is no better for more misfit, and tells when there is no
image."""

from __future__ import annotations

import json
import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.checks.verdict import judge
from pinn_data.optics.probe import defocused_probe
from pinn_data.scan.positions import Canvas
from pinn_data.simulation.simulate import picture_object, simulate_scan
from pinn_data.solver.recipe import solve
from pinn_data.solver.settings import SolverSettings
from pinn_data.solver.solution import Solution
from pinn_data.testing import small_positions, small_scan

_WORSE = ("good", "doubtful", "bad")


def _solution(scan, residual=0.1, expected=0.1, held_out=0.1, **parts):
    return attrs.evolve(
        Solution(
            object=np.ones((9, 9), np.complex64),
            coverage=np.ones((9, 9), np.float32),
            canvas=Canvas((0, 0), (9, 9)),
            probe=scan.probe,
            mode_shares=np.ones(1),
            positions=scan.positions,
            positions_start=scan.positions,
            background=np.zeros(()),
            bad_pixels=None,
            found_bad_pixels=0,
            frame_intensity=None,
            residual=residual,
            expected_residual=expected,
            held_out_residual=held_out,
            held_out_expected=expected,
            frame_misfit=np.ones(len(scan)),
            pixel_misfit=np.ones((scan.N, scan.N)),
            kept=frozenset(),
            sentences=(),
            history=(),
            seconds=1.0,
            engine="numpy",
        ),
        **parts,
    )


@pytest.fixture(scope="module")
def scan():
    return small_scan(16)


@given(
    st.floats(0.5, 5),
    st.floats(1, 4),
    st.floats(0.5, 5),
    st.floats(1e-4, 1),
    st.floats(-5, 90) | st.just(math.nan),
)
def test_more_misfit_is_never_a_better_verdict(scan, ratio, times, held_out, expected, gain):
    def level(factor):
        found = _solution(
            scan, factor * ratio * expected, expected, factor * held_out * expected, held_out_gain=gain
        )
        return _WORSE.index(judge(found, scan).level)

    assert level(times) >= level(1.0)


@pytest.mark.parametrize(
    ("parts", "level", "words"),
    [
        ({}, "good", "1.00 times"),
        ({"residual": 0.1045, "expected_residual": 0.088, "held_out_residual": 0.1126}, "good", "1.19 times"),
        ({"residual": 0.15}, "doubtful", "1.50 times"),
        ({"residual": 0.3, "held_out_residual": 0.3}, "bad", "Do not trust"),
        ({"residual": 0.015, "expected_residual": 0.002}, "doubtful", "7.50 times"),
        ({"residual": 0.009, "expected_residual": 0.0055}, "good", "1.64 times"),  # little is left: 0.0071
        ({"held_out_residual": 0.15}, "doubtful", "held-out frames are predicted worse (1.50"),
        ({"held_out_gain": 0.4, "held_out_gain_error": 0.3}, "bad", "These data contain no image"),
        (
            {"residual": 0.15, "held_out_gain": 0.4, "held_out_gain_error": 0.3},
            "bad",
            "than by the mean of all frames; check probe, background",
        ),
        ({"held_out_gain": 1.8, "held_out_gain_error": 0.3}, "bad", "there are too few photons"),
        (
            {"held_out_gain": 3.0, "held_out_gain_error": 0.3, "background": np.array(1e4)},
            "bad",
            "the background is brighter",
        ),
        ({"held_out_gain": 3.0, "held_out_gain_error": 0.3}, "doubtful", "may be noise"),
        ({"held_out_gain": 10.0, "held_out_gain_error": 0.3}, "doubtful", "may be noise"),
        ({"held_out_gain": 25.0, "held_out_gain_error": 0.3}, "good", "1.00 times"),
        ({"expected_residual": math.nan, "held_out_expected": math.nan}, "unknown", "not whole counts"),
        ({"residual": math.nan}, "bad", "diverged"),
    ],
)
def test_level_and_words(scan, parts, level, words):
    found = judge(_solution(scan, **parts), scan)
    assert found.level == level and words in found.sentence
    assert json.loads(json.dumps(found.metadata, allow_nan=False))["level"] == level


def test_advice_names_what_is_odd(scan):
    frames = np.ones(len(scan))
    frames[[2, 7]] = 9, 30
    pixels = np.ones((16, 16))
    pixels[:2, :4] = 100
    moved = scan.positions + 6.0
    found = _solution(
        scan,
        residual=0.15,
        frame_misfit=frames,
        pixel_misfit=pixels,
        positions=moved,
        kept=frozenset({"positions"}),
        out_of_time=True,
    )
    time, odd, wrong, far = judge(found, scan).advice
    assert "--seconds" in time and "7, 2" in odd and "8 detector pixels" in wrong and "8.5 pixels" in far
    assert judge(_solution(scan), scan).advice == ()


@pytest.fixture(scope="module")
def counted():
    """Scans of one object with fewer and fewer photons on a background."""
    positions = small_positions(8, 6, 32)
    side = int(np.ceil(positions.max())) + 20
    image = picture_object("camera", "moon", side)

    def make(photons, background):
        scan = simulate_scan(image, defocused_probe(32), positions, photons=photons, rng=5)
        noise = np.random.default_rng(1).poisson(background, scan.diffraction.shape)
        return attrs.evolve(scan, diffraction=(scan.diffraction + noise).astype(np.uint32), object=None)

    return make


def test_where_the_data_hold_no_image_it_says_so(counted):
    bright, lost = counted(3e4, 0.0), counted(30.0, 2.0)
    # Six held-out frames at steps this wide hardly tell good from doubtful.
    settings = SolverSettings(refine=frozenset({"probe", "background"}))
    good, bad = judge(solve(bright, settings), bright), judge(solve(lost, settings), lost)
    assert good.level != "bad" and good.ratio == pytest.approx(1.0, abs=0.2)
    assert bad.level == "bad" and "no image" in bad.sentence
