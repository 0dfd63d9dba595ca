"""Which pixels of a patch count in the image, and how much: against the NumPy stitching, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pinn_config.configs import InferenceConfig
from pinn_data.errors import ShapeError
from pinn_data.optics.forward_model import residual
from pinn_data.optics.probe import shifted_probes
from pinn_data.scan.positions import split_subpixel
from pinn_data.stitching.canvas_sum import stitch
from pinn_data.stitching.counting import Counting
from pinn_torch.archive.model_archive import load_model
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.model.network import PtychoNetwork
from pinn_torch.optics.counted import counted
from torch_scans import network_image, quiet, scene, small_scan

N = 64


def _run(archive, *, execution=None, scan=None, **settings):
    config = InferenceConfig(load_model(archive).config.model, **{"neighbor_count": 3} | settings)
    return network_image(archive, scan or small_scan(), config, quiet(**(execution or {})))


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


@pytest.mark.parametrize(
    ("architecture", "gridsize"), [("cnn", 1), ("unet", 2), ("unrolled", 1), ("unrolled", 2)]
)
def test_all_pixels_by_the_probe_is_the_image_without_any_setting(trained, architecture, gridsize):
    archive = trained(architecture, gridsize)
    plain = network_image(archive, small_scan(), _config_of(archive))
    for execution in ({"middle_trim": N}, {"middle_trim": 0, "pad_eval": False}):
        same = _run(archive, execution=execution, border_px=0, patch_weighting="probe")
        np.testing.assert_array_equal(same.object, plain.object)
        np.testing.assert_array_equal(same.coverage, plain.coverage)
        assert same.residual == plain.residual and same.canvas == plain.canvas


def _config_of(archive):
    return InferenceConfig(load_model(archive).config.model, neighbor_count=3)


@pytest.mark.parametrize("weighting", ["probe", "uniform"])
@pytest.mark.parametrize("size", [1, 8, 13, 20])
@pytest.mark.parametrize(("architecture", "gridsize"), [("cnn", 2), ("unrolled", 1)])
def test_a_trim_covers_exactly_the_union_of_the_central_windows(
    trained, architecture, gridsize, size, weighting
):
    scan = small_scan()
    result = _run(trained(architecture, gridsize), execution={"middle_trim": size}, patch_weighting=weighting)
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
    result = _run(trained("cnn"), execution=execution, patch_weighting="uniform")
    np.testing.assert_array_equal(result.coverage > 0, _union(result, small_scan(), size))


@pytest.mark.parametrize("weighting", ["probe", "uniform"])
@pytest.mark.parametrize("size", [N, 21, 40])
def test_an_image_is_the_numpy_stitch_of_its_patches(monkeypatch, trained, weighting, size):
    """Patches that disagree in amplitude, so that every weight shows."""
    scan, archive = small_scan(), trained("cnn")
    rng = np.random.default_rng(0)
    patches = (0.5 + rng.uniform(0, 1, (len(scan), N, N))).astype(np.complex64)
    whole, fraction = split_subpixel(scan.positions)

    def own(self, amplitude, optics):
        # Which frames these are is seen from their brightness.
        frames = [int(np.argmin(np.abs(energies - float(a.double().square().sum())))) for a in amplitude]
        return torch.from_numpy(patches[frames])

    amplitude = scan.amplitude().astype(np.float64)
    energies = (amplitude**2).sum((1, 2)) * 32**2 / (amplitude**2).sum((1, 2)).mean()
    monkeypatch.setattr(PtychoNetwork, "forward", own)
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


@pytest.mark.parametrize("weighting", ["probe", "uniform"])
@pytest.mark.parametrize(("gridsize", "size"), [(1, N), (1, 24), (1, 4), (2, 33)])
def test_the_patches_of_an_object_give_it_back_where_covered(monkeypatch, trained, weighting, gridsize, size):
    """Though each comes with a phase of its own: they agree by their light, also where what counts of them
    does not overlap."""
    scan, archive = small_scan(), trained("cnn", gridsize)
    truth = np.pad(scan.object, 100)
    rng, origins = np.random.default_rng(0), []
    forward = PtychoPINN_Lightning.forward

    def remember(self, batch, canvas):
        origins[:] = self.corners(batch)[1].tolist()
        return forward(self, batch, canvas)

    def own(self, amplitude, optics):
        side = optics.canvas
        cuts = [truth[100 + y : 100 + y + side, 100 + x : 100 + x + side] for y, x in origins]
        phases = rng.uniform(-3, 3, (len(cuts), 1, 1)).astype(np.float32)
        return torch.from_numpy(np.stack(cuts) * np.exp(1j * phases))

    monkeypatch.setattr(PtychoPINN_Lightning, "forward", remember)
    monkeypatch.setattr(PtychoNetwork, "forward", own)
    result = _run(archive, execution={"middle_trim": size}, patch_weighting=weighting)
    (y, x), (rows, columns) = result.canvas.origin, result.canvas.shape
    expected = truth[100 + y : 100 + y + rows, 100 + x : 100 + x + columns]
    seen = result.coverage > 1e-4
    factor = np.vdot(result.object[seen], expected[seen]) / np.vdot(result.object[seen], result.object[seen])
    np.testing.assert_allclose(factor * result.object[seen], expected[seen], atol=2e-3)


@pytest.mark.parametrize(
    ("execution", "settings"),
    [
        ({"middle_trim": 30}, {}),
        ({"pad_eval": True}, {"patch_weighting": "uniform"}),
        ({}, {"patch_weighting": "uniform"}),
        ({}, {"border_px": 7}),
        ({"middle_trim": 24}, {"border_px": 30, "patch_weighting": "uniform"}),
    ],
)
def test_the_residual_is_that_of_the_image_that_comes_back(trained, execution, settings):
    scan = small_scan()
    result = _run(trained("unrolled"), execution=execution, **settings)
    predicted = np.stack([result.predict_amplitude(i) for i in range(len(scan))])
    assert result.residual == pytest.approx(residual(predicted, scan.amplitude()), rel=1e-3)


@pytest.mark.parametrize("border", [1, 16, 41])
def test_a_border_is_cut_off_by_exactly_so_many_pixels(trained, border):
    archive = trained("unrolled", 2)
    whole, cut = _run(archive), _run(archive, border_px=border)
    inside = (slice(border, -border), slice(border, -border))
    np.testing.assert_array_equal(cut.object, whole.object[inside])
    np.testing.assert_array_equal(cut.coverage, whole.coverage[inside])
    assert cut.object.flags.c_contiguous
    assert cut.canvas.origin == tuple(o + border for o in whole.canvas.origin)
    assert cut.canvas.shape == cut.object.shape == cut.coverage.shape
    np.testing.assert_array_equal(cut.positions, whole.positions)
    assert cut.residual > 0.999 * whole.residual  # what was cut off predicts nothing


# What does not fit


def test_a_border_or_a_trim_that_leaves_nothing_is_refused(trained):
    archive = trained("cnn")
    rows, columns = _run(archive).canvas.shape
    most = (min(rows, columns) - 1) // 2
    assert min(_run(archive, border_px=most).object.shape) in (1, 2)
    with pytest.raises(ShapeError, match=rf"border_px={most + 1} .* {rows} x {columns} .* at most {most}"):
        _run(archive, border_px=most + 1)
    with pytest.raises(ShapeError, match=r"middle_trim=65 .* 64 x 64 pixels: give 1 to 64"):
        _run(archive, execution={"middle_trim": 65})


# The pieces


@pytest.mark.parametrize("size", [1, 5, 6, 16])
@pytest.mark.parametrize("weighting", ["probe", "uniform"])
def test_weights_are_the_sums_of_those_of_the_patches(size, weighting):
    s = scene(3)
    weights = counted(Counting(16, size, weighting), s.optics).numpy()
    expected = np.zeros_like(weights)
    light = s.optics.relative_intensity.numpy() if weighting == "probe" else np.ones((2, 4, 16, 16))
    first = 8 - size // 2
    for group in range(2):
        for pattern in range(4):
            y, x = s.corners[group, pattern].tolist()
            for r in range(first, first + size):
                for c in range(first, first + size):
                    expected[group, y + r, x + c] += light[group, pattern, r, c]
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    if Counting(16, size, weighting).is_plain:
        assert weights is not None and np.array_equal(weights, s.optics.coverage.numpy())
