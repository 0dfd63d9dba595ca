"""Which pixels of a patch count in the image, and how much: against the NumPy stitching, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from pinn_config.configs import InferenceConfig
from pinn_data.optics.forward_model import residual
from pinn_data.optics.probe import shifted_probes
from pinn_data.scan.positions import split_subpixel
from pinn_data.stitching.canvas_sum import stitch
from pinn_data.stitching.counting import Counting
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import load_model
from pinn_tf.model.network import PtychoNetwork
from pinn_tf.optics.counted import counted
from tf_scenes import scene
from tf_trainings import network_image, quiet

N = 64

pytestmark = pytest.mark.usefixtures("eager")


def _run(archive, *, execution=None, **settings):
    config = InferenceConfig(load_model(archive).config.model, **{"neighbor_count": 3} | settings)
    return network_image(archive, small_scan(), config, quiet(**(execution or {})))


def _mask(size):
    mask = np.zeros((N, N))
    first = N // 2 - size // 2
    mask[first : first + size, first : first + size] = 1
    return mask


def _union(result, scan, size):
    """Pixels of the result's canvas under the central windows of all patches."""
    covered = np.zeros(result.canvas.shape, bool)
    first = N // 2 - size // 2
    for y, x in np.floor(scan.positions).astype(int) - N // 2 - np.array(result.canvas.origin):
        covered[y + first : y + first + size, x + first : x + first + size] = True
    return covered


@pytest.mark.parametrize("weighting", ["probe", "uniform"])
@pytest.mark.parametrize(("gridsize", "size"), [(1, 1), (1, 13), (2, 20)])
def test_a_trim_covers_exactly_the_union_of_the_central_windows(trained, gridsize, size, weighting):
    scan = small_scan()
    archive = trained("cnn", gridsize)
    result = _run(archive, execution={"middle_trim": size}, patch_weighting=weighting)
    covered = _union(result, scan, size)
    if gridsize == 2:  # not every frame need be in a group
        assert ((result.coverage > 0) <= covered).all() and (result.coverage > 0).any()
    else:
        np.testing.assert_array_equal(result.coverage > 0, covered)
        assert (np.abs(result.object[covered]) > 0).all()
    assert (result.object[~covered] == 0).all()


@pytest.mark.parametrize(
    ("trim", "pad", "size"), [(0, True, 32), (48, True, 32), (20, True, 20), (48, False, 48)]
)
def test_pad_eval_counts_the_central_half_at_most(trained, trim, pad, size):
    assert Counting.of(N, "probe", trim, pad).size == size
    execution = {"middle_trim": trim, "pad_eval": pad}
    result = _run(trained("cnn", 1), execution=execution, patch_weighting="uniform")
    np.testing.assert_array_equal(result.coverage > 0, _union(result, small_scan(), size))


@pytest.mark.parametrize("weighting", ["probe", "uniform"])
@pytest.mark.parametrize("size", [N, 21])
def test_an_image_is_the_numpy_stitch_of_its_patches(monkeypatch, trained, weighting, size):
    """Patches that disagree in amplitude, so that every weight shows."""
    scan, archive = small_scan(), trained("cnn", 1)
    rng = np.random.default_rng(0)
    patches = (0.5 + rng.uniform(0, 1, (len(scan), N, N))).astype(np.complex64)
    whole, fraction = split_subpixel(scan.positions)
    amplitude = scan.amplitude().astype(np.float64)
    energies = (amplitude**2).sum((1, 2)) * 32**2 / (amplitude**2).sum((1, 2)).mean()

    def own(self, amplitude, optics=None):
        # Which frames these are is seen from their brightness.
        measured = (amplitude.numpy().astype(np.float64) ** 2).sum((1, 2, 3))
        return tf.constant(patches[[int(np.argmin(np.abs(energies - e))) for e in measured]])

    monkeypatch.setattr(PtychoNetwork, "call", own)
    result = _run(archive, execution={"middle_trim": size}, patch_weighting=weighting)
    light = np.abs(shifted_probes(scan.probe, fraction)[:, 0]) ** 2
    light /= light.max((1, 2), keepdims=True)
    weights = _mask(size) * (light if weighting == "probe" else 1)
    image, coverage = stitch(patches, whole, weights=weights, canvas=result.canvas)
    if weighting == "probe":  # what nearly no light reached is left out
        seen = coverage > 0.1
        np.testing.assert_allclose(result.coverage, coverage, atol=5e-3)
    else:
        seen = coverage > 0
        np.testing.assert_array_equal(result.coverage, coverage)
    overlap = np.vdot(result.object[seen], image[seen])
    found = result.object * overlap / np.vdot(result.object[seen], result.object[seen]).real
    np.testing.assert_allclose(found[seen], image[seen], rtol=2e-2 if weighting == "probe" else 1e-4)


@pytest.mark.parametrize(
    ("execution", "settings"),
    [
        ({"pad_eval": True}, {"patch_weighting": "uniform"}),
        ({"middle_trim": 24}, {"border_px": 30, "patch_weighting": "uniform"}),
        ({}, {"border_px": 7}),
    ],
)
def test_the_residual_is_that_of_the_image_that_comes_back(trained, execution, settings):
    scan = small_scan()
    result = _run(trained("unrolled"), execution=execution, **settings)
    predicted = np.stack([result.predict_amplitude(i) for i in range(len(scan))])
    assert result.residual == pytest.approx(residual(predicted, scan.amplitude()), rel=1e-3)


def test_a_border_is_cut_off_by_exactly_so_many_pixels(trained):
    archive = trained("unrolled", 1)
    whole, cut = _run(archive), _run(archive, border_px=16)
    np.testing.assert_array_equal(cut.object, whole.object[16:-16, 16:-16])
    np.testing.assert_array_equal(cut.coverage, whole.coverage[16:-16, 16:-16])
    assert cut.canvas.origin == tuple(o + 16 for o in whole.canvas.origin)
    assert cut.canvas.shape == cut.object.shape
    assert cut.residual > 0.999 * whole.residual  # what was cut off predicts nothing


# The pieces


@pytest.mark.parametrize("size", [1, 5, 6, 16])
@pytest.mark.parametrize("weighting", ["probe", "uniform"])
def test_weights_are_the_sums_of_those_of_the_patches(size, weighting):
    s = scene(3)
    optics = s.optics()
    weights = counted(Counting(16, size, weighting), optics).numpy()
    expected = np.zeros_like(weights)
    light = optics.relative_intensity.numpy() if weighting == "probe" else np.ones((2, 4, 16, 16))
    first = 8 - size // 2
    part = slice(first, first + size)
    for group in range(2):
        for pattern in range(4):
            y, x = s.corners[group, pattern] + first
            expected[group, y : y + size, x : x + size] += light[group, pattern, part, part]
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    if Counting(16, size, weighting).is_plain:
        np.testing.assert_array_equal(weights, optics.coverage.numpy())
