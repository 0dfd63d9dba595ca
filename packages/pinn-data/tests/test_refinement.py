"""The solver after a network and before a training, with a network that is a function."""

from __future__ import annotations

from functools import partial

import attrs
import numpy as np
import pytest
from pinn_config import ConfigError
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_data.optics.forward_model import diffraction_amplitude, residual
from pinn_data.optics.probe import defocused_probe
from pinn_data.progress.reports import Cancel, CancelledError, Report
from pinn_data.run.refinement import corrected_scans, parts_after_network, refine_image
from pinn_data.run.results import Reconstruction
from pinn_data.scan.positions import canvas_for
from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan
from pinn_data.solver import AUTOMATIC, SolverSettings, solve
from pinn_data.solver.operations import NumpyOperations

N = 32
EPOCHS = frozenset({"probe", "intensity", "background"})


def make_scan(background=0.0, seed=0):
    positions = jittered_raster((59, 64), N, 5.0, 1.0, seed)
    image = picture_object("coins", "camera", 64)[:59]
    scan = simulate_scan(image, defocused_probe(N), positions, photons=1e5, rng=seed)
    more = np.random.default_rng(seed).poisson(background, scan.diffraction.shape)
    return attrs.evolve(scan, diffraction=scan.diffraction + more.astype(scan.diffraction.dtype))


SCAN = make_scan(background=2.0)


def image_of(scan, noise=0.3, seed=1):
    """What a network might make of it."""
    canvas = canvas_for(scan.positions, N)
    (y, x), (h, w) = canvas.origin, canvas.shape
    rng = np.random.default_rng(seed)
    error = noise * (rng.normal(size=(h, w)) + 1j * rng.normal(size=(h, w)))
    found = (scan.object[y : y + h, x : x + w] * np.exp(error)).astype(np.complex64)
    seconds = {"network": 1.0, "stitching": 0.5, "total": 1.5}
    return Reconstruction(
        found, np.ones((h, w), np.float32), canvas, scan.positions, 0.5, scan.probe, seconds, 1, 0.7
    )


def network_of(result):
    def network(watcher):
        report = Report("reconstruction", watcher)
        for share in (0.0, 0.5):
            if not report(share):
                raise CancelledError("no image")
        report.finish()
        return result

    return network


def refined(scan, result, parts=EPOCHS, **options):
    return refine_image(network_of(result), scan, parts, solve, NumpyOperations, **options)


@pytest.fixture(scope="module")
def first():
    return image_of(SCAN)


@pytest.fixture(scope="module")
def found(first):
    return refined(SCAN, first)


def test_it_is_the_solution_that_starts_from_the_networks_image(first, found):
    solution = solve(SCAN, SolverSettings(EPOCHS), start=(first.object, first.canvas))
    for name in ("object", "coverage", "positions", "probe"):
        np.testing.assert_array_equal(getattr(found, name), getattr(solution, name))
    assert found.canvas == solution.canvas and found.residual == solution.residual
    assert found.seconds["total"] == pytest.approx(1.5 + found.seconds["solver"])
    assert found.gridsize == first.gridsize
    np.testing.assert_array_equal(found.refined.background, solution.background)
    assert found.refined.facts["R"] == solution.residual and found.refined.facts["verdict"]["level"] == "good"


def test_its_predictions_are_those_that_its_misfit_tells_of(found):
    """With the background, the brightness of the frames and the probe that were found."""
    assert float(found.refined.background) == pytest.approx(2.0, abs=0.3)
    predicted = np.stack([found.predict_amplitude(k) for k in range(len(SCAN))])
    assert residual(predicted, SCAN.amplitude()) == pytest.approx(
        found.residual, rel=0.06
    )  # but for a faint border
    bright = 1.3 * np.ones(len(SCAN))
    brighter = attrs.evolve(found, refined=attrs.evolve(found.refined, frame_intensity=bright))
    plain = attrs.evolve(found, refined=attrs.evolve(found.refined, background=0.0, frame_intensity=None))
    np.testing.assert_allclose(
        brighter.predict_amplitude(3) ** 2,
        1.3 * plain.predict_amplitude(3) ** 2 + found.refined.background,
        rtol=1e-6,
    )


def test_a_border_is_cut_off_all_around(first, found):
    cut = refined(SCAN, first, border_px=5)
    np.testing.assert_array_equal(cut.object, found.object[5:-5, 5:-5])
    assert cut.canvas.origin == tuple(o + 5 for o in found.canvas.origin)


def test_network_and_solver_are_one_run_to_a_watcher(first):
    seen = []
    refined(SCAN, first, progress=seen.append)
    fractions = [record.fraction for record in seen]
    assert fractions[0] == 0 and fractions == sorted(fractions) and fractions[-1] == 1
    assert [record.finished for record in seen] == [False] * (len(seen) - 1) + [True]
    assert sum(fraction < 0.3 for fraction in fractions) == 2  # the network's
    seconds = [record.seconds for record in seen]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("when", [0.0, 0.1, 0.4, 0.9])
def test_cancelled_there_is_no_image(first, when):
    with pytest.raises(CancelledError):
        refined(SCAN, first, progress=lambda record: Cancel if record.fraction >= when else None)


def test_an_image_that_explains_nothing_is_no_start():
    """As of a network that was trained with another probe: the result is that of no start."""
    wrong = image_of(SCAN)
    rng = np.random.default_rng(3)
    noise = np.exp(2j * np.pi * rng.random(wrong.object.shape))
    found = refined(SCAN, attrs.evolve(wrong, object=noise.astype(np.complex64)), frozenset({"probe"}))
    plain = solve(SCAN, SolverSettings(frozenset({"probe"})))
    np.testing.assert_array_equal(found.object, plain.object)
    assert any("no better than a flat object" in s for s in found.refined.facts["sentences"])


@pytest.mark.parametrize(
    ("text", "parts"),
    [(None, AUTOMATIC), ("auto", AUTOMATIC), ("none", None), ("Probe, bad_pixels", {"probe", "bad-pixels"})],
)
def test_the_configuration_says_what_follows_a_network(text, parts):
    assert parts_after_network(InferenceConfig(ModelConfig(), refine=text)) == parts
    assert parts_after_network(None) == AUTOMATIC


@pytest.mark.parametrize("text", ["object", "", "probe;positions"])
def test_other_words_are_refused(text):
    with pytest.raises(ConfigError, match="auto, none, or a comma-separated list of probe, positions"):
        parts_after_network(InferenceConfig(ModelConfig(), refine=text))


def training(refine, folder="."):
    return TrainingConfig(ModelConfig(N=64), refine=refine, output_dir=folder)


@pytest.mark.parametrize("refine", [None, "none"])
def test_a_scan_is_learned_as_it_is_unless_its_training_says_otherwise(refine):
    assert corrected_scans(SCAN, SCAN, training(refine), solve) == (SCAN, SCAN)


def test_a_scan_is_put_right_before_it_is_learned():
    """The file's probe is too wide and of no use, and it knows of no background."""
    probe = defocused_probe(N, radius_px=6.0, astigmatism=0.5)
    wrong = attrs.evolve(SCAN, probe=(probe * np.linalg.norm(SCAN.probe)).astype(np.complex64))
    found, looked_at = corrected_scans(wrong, wrong, training("probe,background"), solve)
    np.testing.assert_array_equal(found.diffraction, wrong.diffraction)
    np.testing.assert_array_equal(found.positions, wrong.positions)
    assert float(found.background) == pytest.approx(2.0, abs=0.3)
    assert found.equals(looked_at)
    solution = solve(wrong, SolverSettings(frozenset({"probe", "background"})))
    np.testing.assert_array_equal(found.probe, solution.probe)
    local = solution.canvas.local(found.positions)
    explained = diffraction_amplitude(solution.object, found.probe, local, background=found.background)
    assert residual(explained, found.amplitude()) < 1.1 * solution.expected_residual


def test_a_scan_that_nothing_explains_is_learned_as_it_is_with_a_warning(caplog):
    shuffled = attrs.evolve(SCAN, positions=np.random.default_rng(0).permutation(SCAN.positions))
    assert corrected_scans(shuffled, None, training("probe"), solve) == (shuffled, None)
    (warning,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "does not explain the scan" in warning.getMessage()


def test_a_training_that_is_cancelled_before_it_begins_tells_so():
    seen = []

    def watch(progress):
        seen.append(progress)
        return Cancel if len(seen) == 3 else None

    with pytest.raises(CancelledError, match="nothing was learned"):
        corrected_scans(SCAN, None, training("probe"), partial(solve), progress=watch)
    assert {(record.stage, record.fraction) for record in seen} == {("training", 0.0)}
