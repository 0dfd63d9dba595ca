"""A solution that is watched: its fractions are those of any run, and it can be ended at any time."""

from __future__ import annotations

import numpy as np
import pytest
from pinn_data.progress.reports import Cancel
from pinn_data.solver import SolverSettings, solve
from pinn_data.testing import small_scan

SCAN = small_scan(32, rows=5, columns=4)


def test_fractions_begin_at_0_never_fall_and_end_at_1():
    seen = []
    found = solve(SCAN, watch=seen.append)
    fractions = [record.fraction for record in seen]
    assert fractions[0] == 0 and fractions == sorted(fractions) and fractions[-1] == 1
    assert [record.finished for record in seen] == [False] * (len(seen) - 1) + [True]
    assert seen[0].misfit is None and seen[-1].misfit == found.residual
    assert len(found.history) == len(seen) - 2 and not found.cancelled


@pytest.mark.parametrize("last", [0, 1, 3, 9])
@pytest.mark.parametrize("guess", [False, True])
def test_a_cancelled_solution_is_the_image_of_the_moment_and_nothing_more_is_tried(last, guess):
    seen = []

    def watch(record):
        seen.append(record)
        return Cancel if len(seen) > last else None

    found = solve(SCAN, SolverSettings(guess_probe=guess), watch=watch)
    assert found.cancelled
    # The epoch after which it was stopped (or, cancelled before it began, the first), and the end.
    assert len(seen) == max(last + 1, 2) + 1 and seen[-1].finished
    assert np.isfinite(found.object).all() and np.isfinite(found.residual) and found.object.any()
    assert len(found.history) == len(seen) - 2


def test_a_limit_of_no_time_still_gives_an_image():
    found = solve(SCAN, SolverSettings(seconds=1e-6))
    assert found.out_of_time and not found.cancelled
    assert len(found.history) == 1 and np.isfinite(found.residual)


def test_the_misfit_on_the_way_is_that_of_the_pixels_that_count(monkeypatch):
    """A hot pixel with most of the counts is in no energy."""
    import attrs

    counts = np.asarray(SCAN.counts()).copy()
    counts[:, 3, 28] = 40_000
    seen = []
    found = solve(attrs.evolve(SCAN, diffraction=counts, unit="counts"), watch=seen.append)
    assert found.found_bad_pixels >= 1
    assert seen[-2].misfit == pytest.approx(found.residual, rel=0.2)
