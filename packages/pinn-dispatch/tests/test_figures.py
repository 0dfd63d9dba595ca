"""Figures: real pictures, no trace outside their file."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread
from pinn_data.errors import DataWriteError
from pinn_data.scan.positions import Canvas
from pinn_data.simulation.simulate import picture_object
from pinn_dispatch.compare.comparison import compare, compare_halves
from pinn_dispatch.figures import pictures as figures
from pinn_dispatch.reconstruction import Image, Reconstruction

TRUTH = picture_object("coins", "camera", 80)
POSITIONS = np.array([[16.0, 17.0], [64.0, 60.0]])
HISTORY = [
    {
        "step": i,
        "epoch": 0,
        "seconds": i / 3,
        "train_loss": -5 + 9 / (1 + i),
        "val_loss": -4.0 if i % 50 == 9 else None,
    }
    for i in range(100)
]
PATTERN = np.sqrt(np.random.default_rng(1).poisson(3.0, (16, 16))).astype(np.float64)


def _noisy(seed):
    noise = np.random.default_rng(seed).normal(size=(*TRUTH.shape, 2)) @ [1, 1j]
    return Image(TRUTH + 0.05 * noise, (0.0, 0.0), POSITIONS)


def _demo(path, scan):
    return figures.demo_figure(
        path,
        compare(_noisy(0), Image(TRUTH)),
        compare(_noisy(1), Image(TRUTH)),
        seconds={"network": 2.0, "solver": 1.0},
        learned=TRUTH,
        learned_positions=POSITIONS,
        probe=scan.probe,
        measured=PATTERN,
        predicted=PATTERN,
        history=HISTORY,
        subtitle="a line",
    )


def _halves(path, scan):
    halves = compare_halves(_noisy(0), _noisy(1))
    fit = halves.alignment
    return figures.halves_figure(path, fit.recon, fit.truth, {"phase": halves.phase}, "a line")


def _reconstruction(path, scan):
    coverage = np.zeros(TRUTH.shape, np.float32)
    coverage[10:60, 12:70] = 1
    found = Reconstruction(
        TRUTH.astype(np.complex64), coverage, Canvas((-3, 5), TRUTH.shape), POSITIONS, scan.probe
    )
    return figures.reconstruction_figure(path, found, measured=PATTERN, predicted=PATTERN, subtitle="a line")


DRAWN = {
    "demo": _demo,
    "halves": _halves,
    "reconstruction": _reconstruction,
    "comparison": lambda path, scan: figures.comparison_figure(
        path, compare(_noisy(0), Image(TRUTH)), "a line"
    ),
    "training": lambda path, scan: figures.training_figure(path, HISTORY, "a line"),
    "training without validation": lambda path, scan: figures.training_figure(
        path,
        [{**row, "val_loss": None, "train_deviance": 1 / (1 + row["step"])} for row in HISTORY],
        "a line",
    ),
    "training without a record": lambda path, scan: figures.training_figure(path, [], "a line"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_with_something_in_it(name, tmp_path, scan):
    path = DRAWN[name](tmp_path / "picture.png", scan)
    image = imread(path)
    assert image.shape[0] > 400 and image.shape[1] > 900
    assert 0.005 < np.mean(image[..., :3].min(axis=-1) < 0.9) < 0.95
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_figure_is_the_same_file(tmp_path, scan):
    first, second = (_demo(tmp_path / name, scan).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


def test_a_folder_that_is_missing_is_told_in_a_sentence(tmp_path, scan):
    with pytest.raises(DataWriteError, match="does not exist: create it"):
        figures.training_figure(tmp_path / "missing" / "a.png", HISTORY, "a line")


def test_the_callers_pyplot_is_left_alone():
    code = "import sys, pinn_dispatch.figures.pictures; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be saved."""
    kept = []
    monkeypatch.setattr(figures, "save", lambda figure, path: kept.append(figure) or path)
    return kept


def test_positions_are_drawn_over_the_object_that_was_scanned(drawn, tmp_path):
    """x to the right and y down, as its pixels lie."""
    figures.demo_figure(
        tmp_path / "demo.png",
        compare(_noisy(0), Image(TRUTH)),
        compare(_noisy(1), Image(TRUTH)),
        seconds={"network": 2.0, "solver": 1.0},
        learned=TRUTH,
        learned_positions=POSITIONS,
        probe=TRUTH[:16, :16],
        measured=PATTERN,
        predicted=PATTERN,
        history=HISTORY,
        subtitle="a line",
    )
    (panel,) = [axes for axes in drawn[0].axes if "training object" in axes.get_title(loc="left")]
    (line,) = panel.lines
    np.testing.assert_array_equal(line.get_xdata(), POSITIONS[:, 1])
    np.testing.assert_array_equal(line.get_ydata(), POSITIONS[:, 0])


def test_the_difference_of_two_halves_is_that_of_their_phases(drawn, tmp_path):
    first = TRUTH * np.exp(0.3j * np.cos(np.arange(80)))
    curve = compare_halves(_noisy(0), _noisy(1)).phase
    figures.halves_figure(tmp_path / "halves.png", first, TRUTH, {"phase": curve}, "a line")
    (panel,) = [axes for axes in drawn[0].axes if "difference" in axes.get_title(loc="left")]
    shown = np.asarray(panel.images[0].get_array())
    np.testing.assert_allclose(shown, np.broadcast_to(0.3 * np.cos(np.arange(80)), shown.shape), atol=1e-6)
