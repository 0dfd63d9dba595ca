"""Laws of stitching and of bringing patches to one global phase."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import DataRangeError, PositionError, ShapeError
from pinn_data.optics.patches import extract, place
from pinn_data.optics.probe import defocused_probe
from pinn_data.scan.positions import Canvas, canvas_for
from pinn_data.simulation.simulate import jittered_raster, picture_object
from pinn_data.stitching.canvas_sum import CanvasSum, phase_factors, stitch
from pinn_data.stitching.phase_synchronisation import overlap_matrix
from pinn_data.testing import complex_objects, scan_positions

SHAPE, N = (23, 29), 8
objects = complex_objects(SHAPE)
whole = scan_positions(SHAPE, N, whole=True)
anywhere = st.one_of(whole, scan_positions(SHAPE, N))
seeds = st.integers(0, 2**32 - 1)


def weights_of(kind, n, seed):
    rng = np.random.default_rng(seed)
    return {"none": None, "one": rng.random((N, N)), "each": rng.random((n, N, N))}[kind]


kinds = st.sampled_from(["none", "one", "each"])


@given(objects, whole, kinds, seeds)
def test_stitching_the_extracted_gives_the_object_where_covered(o, p, kind, seed):
    weights = weights_of(kind, len(p), seed)
    image, coverage = stitch(extract(o, p, N), p, weights=weights, canvas=Canvas((0, 0), SHAPE))
    covered = place(np.ones((len(p), N, N)), p, SHAPE) > 0
    np.testing.assert_allclose(image[covered], o[covered], atol=1e-9)
    assert not image[~covered].any() and not coverage[~covered].any() and (coverage[covered] > 0).all()


@given(anywhere, kinds, seeds)
def test_a_constant_stays_constant_at_any_position_and_coverage_counts_the_weight(p, kind, seed):
    weights = weights_of(kind, len(p), seed)
    image, coverage = stitch(np.full((len(p), N, N), 2 - 3j), p, weights=weights)
    assert image.shape == canvas_for(p, N).shape
    np.testing.assert_allclose(image[coverage > 0], 2 - 3j)
    total = len(p) * N * N if weights is None else np.broadcast_to(weights, (len(p), N, N)).sum()
    assert coverage.sum() == pytest.approx(total)


@given(objects, whole, seeds)
def test_pixels_are_weighted_means(o, p, seed):
    rng = np.random.default_rng(seed)
    patches = rng.normal(size=(len(p), N, N)) + 1j * rng.normal(size=(len(p), N, N))
    weights = rng.random((N, N))
    image, coverage = stitch(patches, p, weights=weights, canvas=Canvas((0, 0), SHAPE))
    np.testing.assert_allclose(image * coverage, place(weights * patches, p, SHAPE), atol=1e-9)


@given(whole, seeds)
def test_factors_multiply_each_its_own_patch(p, seed):
    rng = np.random.default_rng(seed)
    patches = rng.normal(size=(len(p), N, N)) + 1j * rng.normal(size=(len(p), N, N))
    factors = np.exp(2j * np.pi * rng.random(len(p)))
    image, coverage = stitch(patches, p, factors=factors)
    wanted, same = stitch(factors[:, None, None] * patches, p)
    np.testing.assert_allclose(image, wanted, atol=1e-12)
    np.testing.assert_array_equal(coverage, same)


@given(objects, whole, st.integers(-9, 9), st.integers(-9, 9))
def test_the_canvas_only_says_where_the_image_begins(o, p, dy, dx):
    patches = extract(o, p, N)
    own, _ = stitch(patches, p)
    wide = Canvas((-10 + dy, -10 + dx), (60, 60))
    image, _ = stitch(patches, p, canvas=wide)
    y, x = np.array(canvas_for(p, N).origin) - wide.origin
    np.testing.assert_allclose(image[y : y + own.shape[0], x : x + own.shape[1]], own)


def test_no_weight_anywhere_near_a_pixel_leaves_it_empty():
    weights = np.zeros((N, N))
    weights[3:5, 3:5] = 1
    image, coverage = stitch(np.ones((1, N, N)), [[10, 10]], weights=weights, canvas=Canvas((0, 0), SHAPE))
    assert np.count_nonzero(image) == np.count_nonzero(coverage) == 4


@pytest.mark.parametrize(
    "weights", [-np.ones((N, N)), np.full((N, N), np.nan), np.zeros((N, N)), np.ones((N, N), complex)]
)
def test_weights_that_are_no_weights_are_refused(weights):
    with pytest.raises(DataRangeError):
        stitch(np.ones((1, N, N)), [[10, 10]], weights=weights)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError):
        stitch(np.ones((2, N, N)), [[10, 10]])
    with pytest.raises(ShapeError):
        stitch(np.ones((1, N, N)), [[10, 10]], weights=np.ones((N, N + 1)))
    with pytest.raises(ShapeError):
        stitch(np.ones((1, N, N + 1)), [[10, 10]])
    with pytest.raises(PositionError):
        stitch(np.ones((1, N, N)), [[10, 10]], canvas=Canvas((10, 10), (8, 8)))


def unit_numbers(n, rng):
    return np.exp(2j * np.pi * rng.random(n))


def spread(values):
    """Largest angle between unit numbers and their mean direction."""
    return np.abs(np.angle(values * np.conj(np.mean(values)))).max()


@given(complex_objects((40, 44)), seeds, st.booleans())
def test_phase_factors_undo_random_phases_up_to_one(o, seed, weighted):
    rng = np.random.default_rng(seed)
    p = jittered_raster((40, 44), 16, 4, 1, rng)
    u = unit_numbers(len(p), rng)
    weights = np.abs(defocused_probe(16)) ** 2 if weighted else None
    factors = phase_factors(u[:, None, None] * extract(o, np.floor(p), 16), p, weights)
    np.testing.assert_allclose(np.abs(factors), 1)
    assert spread(factors * u) < 1e-3


@given(complex_objects((40, 44)), seeds)
def test_phase_factors_do_not_depend_on_the_phases_they_undo(o, seed):
    rng = np.random.default_rng(seed)
    p = np.floor(jittered_raster((40, 44), 16, 5, 1, rng))
    patches = extract(o + 3, p, 16) + rng.normal(size=(len(p), 16, 16))
    u = unit_numbers(len(p), rng)
    np.testing.assert_allclose(
        phase_factors(u[:, None, None] * patches, p) * u, phase_factors(patches, p), atol=1e-3
    )


@given(objects, whole, seeds)
def test_overlap_matrix_holds_inner_products_over_overlaps(o, p, seed):
    rng = np.random.default_rng(seed)
    patches = rng.normal(size=(len(p), N, N)) + 1j * rng.normal(size=(len(p), N, N))
    H = overlap_matrix(patches, p).toarray()
    np.testing.assert_allclose(H, H.conj().T)
    for i in range(len(p)):
        for j in range(len(p)):
            a, b = (place(patches[k : k + 1], p[k : k + 1], SHAPE) for k in (i, j))
            if H[i, j] != 0:
                np.testing.assert_allclose(H[i, j], np.vdot(a, b), atol=1e-4)
            elif i != j and len(p) <= 12:  # so few that every overlapping pair is in it
                assert abs(np.vdot(a, b)) < 1e-9


def test_a_large_noisy_scan_with_the_weights_of_a_real_probe():
    """1600 patches, each with its own phase and noise as strong as the object."""
    rng = np.random.default_rng(3)
    o = picture_object("camera", "moon", 200)
    probe = defocused_probe(32)
    p = jittered_raster(o.shape, 32, 4.1, 1.5, rng)
    patches = extract(o, np.floor(p), 32)
    patches += 0.5 * (rng.normal(size=patches.shape) + 1j * rng.normal(size=patches.shape))
    u = unit_numbers(len(p), rng)
    factors = phase_factors(u[:, None, None] * patches, p, np.abs(probe) ** 2)
    error = np.angle(factors * u * np.conj(np.mean(factors * u)))
    assert len(p) > 1500
    assert np.sqrt(np.mean(error**2)) < 0.15


def test_a_fly_scan_hangs_together_across_its_lines():
    """Frames every half pixel along lines 6 pixels apart: all nearest neighbours lie on the same line."""
    rng = np.random.default_rng(4)
    o = picture_object("coins", "camera", 90)
    y, x = np.meshgrid(np.arange(20, 70, 6.0), np.arange(20, 70, 0.5), indexing="ij")
    p = np.stack([y.ravel(), x.ravel()], axis=1)
    u = unit_numbers(len(p), rng)
    factors = phase_factors(
        u[:, None, None] * extract(o, np.floor(p), 32), p, np.abs(defocused_probe(32)) ** 2
    )
    assert spread(factors * u) < 1e-3


def test_separate_parts_are_each_brought_to_a_real_positive_mean():
    o = picture_object("coins", "camera", 160)
    near = np.array([[20.0, 20.0], [22.0, 24.0], [25.0, 21.0]])
    p = np.concatenate([near, near + 100, [[140.0, 20.0]]])
    u = unit_numbers(7, np.random.default_rng(0))
    patches = extract(o, p, 16)
    aligned = (phase_factors(u[:, None, None] * patches, p) * u)[:, None, None] * patches
    for part in (aligned[:3], aligned[3:6], aligned[6:]):
        assert np.angle(part.sum()) == pytest.approx(0, abs=1e-6)
    for part, original in ((aligned[:3], patches[:3]), (aligned[3:6], patches[3:6])):
        ratio = (part / original)[:, 0, 0]
        assert spread(ratio) < 1e-3


def test_empty_patches_are_left_alone():
    patches = np.zeros((3, 8, 8), complex)
    np.testing.assert_array_equal(phase_factors(patches, [[10, 10], [11, 12], [13, 11]]), 1)


def test_phases_that_agree_are_found_where_the_windows_lie():
    """Windows of one object, much more spread along y than along x, each with a phase of its own."""
    rng = np.random.default_rng(4)
    whole = rng.normal(size=(70, 40)) + 1j * rng.normal(size=(70, 40))
    corners = np.stack([rng.integers(0, 54, 24), rng.integers(0, 24, 24)], axis=1)
    phases = np.exp(2j * np.pi * rng.random(24))
    windows = np.stack([whole[y : y + 16, x : x + 16] for y, x in corners]) * phases[:, None, None]
    weights = rng.uniform(0.5, 1, windows.shape).astype(np.float32)
    factors = phase_factors(windows.astype(np.complex64), np.add(corners, (108, -22)), weights)
    assert abs(np.mean(factors * phases)) > 0.999


def test_a_canvas_sum_is_the_weighted_mean_of_its_windows():
    rng = np.random.default_rng(0)
    windows = (rng.normal(size=(3, 4, 4)) + 1j * rng.normal(size=(3, 4, 4))).astype(np.complex64)
    weights = rng.uniform(0.1, 1, size=(3, 4, 4)).astype(np.float32)
    corners = np.array([[10, -3], [12, -2], [11, 0]])
    canvas = CanvasSum([10, -3], (7, 9))
    for part in (slice(0, 2), slice(2, 3)):
        canvas.add(windows[part], weights[part], corners[part])
    total, weight = np.zeros((7, 9), complex), np.zeros((7, 9))
    for w, v, (r, c) in zip(windows, weights, corners - corners[0], strict=True):
        total[r : r + 4, c : c + 4] += w * v
        weight[r : r + 4, c : c + 4] += v
    expected = np.divide(total, weight, out=np.zeros((7, 9), complex), where=weight > 0)
    np.testing.assert_allclose(canvas.image(), expected, atol=1e-5)
    np.testing.assert_allclose(canvas.coverage, weight, atol=1e-6)
    image = canvas.image()
    np.testing.assert_array_equal(canvas.cut(image, corners[:1] + 1, 4)[0], image[1:5, 1:5])
