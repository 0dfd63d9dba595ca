"""Patches go back where they were cut, whatever phase each has, and the image lies where clients look."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import DataRangeError, PositionError, ShapeError
from pinn_data.optics.patches import extract
from pinn_data.stitching.reassembly import PositionsOnObject, reassemble_position
from scipy.ndimage import binary_erosion

_SEEDS = st.integers(0, 2**32 - 1)
N = 16


def _object(seed, shape=(60, 75)):
    """Asymmetric, complex, white: a pixel that lay elsewhere would show."""
    rng = np.random.default_rng(seed)
    return 1 + 0.3 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))


def _wave(seed):
    """An asymmetric complex object as a function of real coordinates, with waves of 12 pixels and more."""
    rng = np.random.default_rng(seed)
    k = rng.uniform(-0.37, 0.37, (12, 2))
    a = 0.1 * (rng.normal(size=12) + 1j * rng.normal(size=12))
    return lambda y, x: (
        1 + np.tensordot(a, np.exp(1j * (k[:, 0, None, None] * y + k[:, 1, None, None] * x)), 1)
    )


def _raster(rows=7, columns=6, steps=(4, 5), first=(14, 20)):
    r, c = (a.ravel() for a in np.mgrid[:rows, :columns])
    return np.stack([first[0] + steps[0] * r, first[1] + steps[1] * c], axis=1).astype(float)


def _offsets(positions):
    return positions[:, ::-1].reshape(-1, 1, 2, 1)


def _phases(seed, count):
    return np.exp(2j * np.pi * np.random.default_rng(seed).random(count))


def _patches(wave, positions):
    """Pixel (N/2, N/2) lies on the position, between pixels too."""
    steps = np.arange(N) - N // 2
    cuts = [wave(y + steps[:, None], x + steps) for y, x in positions]
    return np.stack(cuts)[..., None].astype(np.complex64)


def _same_phase(image, truth, where=...):
    return image * np.exp(-1j * np.angle(np.vdot(truth[where], image[where])))


def _truth(o, image, centre):
    """What the image should be: the object about `centre`, 0 beyond it."""
    first = np.asarray(centre) - np.array(image.shape) / 2
    corner = np.rint(first).astype(int)
    np.testing.assert_allclose(corner, first, atol=1e-9)
    wide = np.pad(o, 99)
    return wide[tuple(slice(99 + c, 99 + c + n) for c, n in zip(corner, image.shape, strict=True))]


def _interpolated_well(image, wave, centre):
    """Whether the image is the object about `centre`, within what linear interpolation loses; on its rim that
    has nothing beyond to go by."""
    y, x = (np.arange(n) - n / 2 + c for n, c in zip(image.shape, centre, strict=True))
    truth, covered = wave(y[:, None], x), binary_erosion(image != 0, np.ones((3, 3)))
    error = (_same_phase(image, truth, covered) - truth)[covered]
    structure = (truth - truth[covered].mean())[covered]
    return np.linalg.norm(error) < 0.03 * np.linalg.norm(structure)


@given(
    _SEEDS, st.sampled_from([8, 7, 11, N, 0, None]), st.booleans(), st.sampled_from([(7, 6), (6, 7), (1, 5)])
)
def test_patches_at_whole_pixels_give_back_the_object_exactly(seed, M, own_phases, count):
    o = _object(seed)
    positions = _raster(*count)
    patches = extract(o, positions, N)[..., None].astype(np.complex64)
    if own_phases:
        patches = patches * _phases(seed, len(patches))[:, None, None, None]
    image = reassemble_position(patches, _offsets(positions), M=M)
    assert image.dtype == np.complex64 and image.ndim == 3 and image.shape[2] == 1
    image = image[..., 0]
    size = M or N
    middle = (positions.min(0) + positions.max(0)) / 2
    truth = _truth(o, image, middle)
    covered = np.zeros(image.shape, bool)
    for y, x in np.rint(positions - middle + np.array(image.shape) / 2).astype(int):
        first = np.array([y, x]) - size // 2
        assert (first >= 0).all() and (first + size <= image.shape).all()
        covered[first[0] : first[0] + size, first[1] : first[1] + size] = True
    assert np.array_equal(image != 0, covered)
    error = _same_phase(image, truth, covered)[covered] - truth[covered]
    assert np.abs(error).max() < 2e-3 * np.abs(truth).max()


@given(_SEEDS, st.sampled_from([8, 9, 12]))
def test_patches_between_pixels_give_back_the_object_within_what_interpolation_loses(seed, M):
    wave, rng = _wave(seed), np.random.default_rng(seed)
    positions = _raster() + rng.uniform(-0.9, 0.9, (42, 2))
    patches = _patches(wave, positions) * _phases(seed, 42)[:, None, None, None]
    image = reassemble_position(patches, _offsets(positions), M=M)[..., 0]
    assert _interpolated_well(image, wave, (positions.min(0) + positions.max(0)) / 2)


@pytest.mark.parametrize("shape", [(60, 75), (61, 74)])
@pytest.mark.parametrize("corner", [(14, 20), (10, 50), (40, 12)])
def test_the_image_is_centred_on_the_object_of_the_positions(shape, corner):
    """Also where the scan lies in a corner of it."""
    o = _object(3, shape)
    positions = _raster(3, 3, first=corner)
    offsets = PositionsOnObject(_offsets(positions), shape)
    image = reassemble_position(extract(o, positions, N)[..., None], offsets, M=8)[..., 0]
    truth = _truth(o, image, (np.array(shape) - 1) / 2)
    covered = image != 0
    # Three raster steps and the window.
    assert covered.sum() == (8 + 2 * 4) * (8 + 2 * 5)
    np.testing.assert_allclose(_same_phase(image, truth, covered)[covered], truth[covered], atol=1e-3)


@pytest.mark.parametrize("first", [(14.0, 20.0), (14.25, 20.4)])
def test_where_clients_look_for_it(first):
    """ptychodus' patch pixel r lies at ``position + r - (N-1)/2`` of an object whose middle is (W-1)/2, and
    it takes the middle (S-1)/2 of an image for the same point."""
    wave, shape = _wave(5), (60, 75)
    positions = _raster(7, 5, first=first)
    patches = _patches(wave, positions + 0.5)
    image = reassemble_position(patches, PositionsOnObject(_offsets(positions), shape), M=10)[..., 0]
    # Pixel i of the image is as far from (S-1)/2 as the point of the object from (W-1)/2; a pixel (S/2) that
    # is half a pixel beyond the first shows what is half a pixel beyond the second.
    assert _interpolated_well(image, wave, np.array(shape) / 2)


def test_positions_off_the_object_do_not_centre_on_it():
    o, positions = _object(1), _raster(4, 4)
    patches, offsets = extract(o, positions, N)[..., None], _offsets(positions)
    expected = reassemble_position(patches, offsets, M=8)
    for shape in ((20, 300), (300, 20), None):
        found = reassemble_position(patches, PositionsOnObject(offsets, shape), M=8)
        assert np.array_equal(found, expected)


def test_positions_remember_their_object_until_something_is_calculated_from_them():
    offsets = PositionsOnObject(np.arange(12.0).reshape(3, 1, 2, 2), (5, 6))
    for part in (offsets[1:], offsets[[0, 2]], offsets[..., :1], offsets.reshape(6, 2), offsets.copy()):
        assert isinstance(part, PositionsOnObject) and part.object_shape == (5, 6)
    for other in (offsets + 1, 2 * offsets, -offsets, np.multiply(offsets, 3), np.asarray(offsets)):
        assert type(other) is np.ndarray
    assert offsets.mean() == 5.5 and np.array_equal(offsets - offsets, np.zeros(offsets.shape))
    with pytest.raises(ValueError, match="read-only"):
        offsets += 1
    with pytest.raises(ValueError, match="read-only"):
        offsets[0] = 1
    assert PositionsOnObject([[1, 2]]).object_shape is None
    assert PositionsOnObject([[1, 2]]).dtype == np.float64
    assert PositionsOnObject(np.ones((2, 2), np.float32)).dtype == np.float32


def test_both_layouts_of_offsets_are_read():
    o, positions = _object(1), _raster()
    patches, offsets = extract(o, positions, N)[..., None], _offsets(positions)
    first = reassemble_position(patches, offsets, M=8)
    assert np.array_equal(first, reassemble_position(patches, offsets.reshape(-1, 1, 1, 2), M=8))
    assert np.array_equal(
        first, reassemble_position(patches.astype(np.complex64), offsets.astype(np.float32), M=8)
    )


def test_one_patch_is_its_central_pixels():
    rng = np.random.default_rng(0)
    patch = (rng.normal(size=(1, N, N, 1)) + 1j * rng.normal(size=(1, N, N, 1))).astype(np.complex64)
    for M in (1, 2, 5, 8, N):
        image = reassemble_position(patch, np.full((1, 1, 2, 1), 100.3), M=M)[..., 0]
        first = N // 2 - M // 2
        inner = patch[0, first : first + M, first : first + M, 0]
        kept = image[np.ix_(image.any(1), image.any(0))]
        np.testing.assert_allclose(_same_phase(kept, inner), inner, rtol=1e-5)


def test_dark_patches_give_a_dark_image():
    image = reassemble_position(np.zeros((9, N, N, 1), np.complex64), _offsets(_raster(3, 3)), M=8)
    assert not image.any()


def test_what_is_no_image_is_refused_in_one_sentence():
    patches = np.ones((4, N, N, 1), np.complex64)
    offsets = _offsets(_raster(2, 2))
    nan = patches.copy()
    nan[2, 8, 8] = np.nan
    far = offsets.copy()
    far[3] += 1e6
    refused = [
        (patches[..., 0], offsets, 20, ShapeError, r"shape \(4, 16, 16\) .* \(patch, N, N, 1\) is needed"),
        (patches.repeat(4, -1), offsets, 8, ShapeError, r"one complex patch for each group"),
        (patches[:, :-1, :-1], offsets, 8, ShapeError, "15 x 15, but N must be even"),
        (patches, offsets[:3], 8, ShapeError, r"\(3, 1, 2, 1\), but one \(x, y\) for each patch"),
        (patches, offsets[..., 0], 8, ShapeError, "give those of the same groups"),
        (patches, offsets, 17, ShapeError, "M=17 was given, but the patches are 16 x 16: give 1 to 16"),
        (patches, offsets, -2, ShapeError, "M=-2 was given"),
        (nan, offsets, 8, DataRangeError, "hold NaN or infinity"),
        (patches, offsets * np.nan, 8, PositionError, "must be finite"),
        (patches, far, 8, PositionError, r"number 3, at x, y = 1\.00002e\+06, 1\.00002e\+06, is farthest"),
    ]
    for p, g, M, kind, why in refused:
        with pytest.raises(kind, match=why) as caught:
            reassemble_position(p, g, M=M)
        assert "\n" not in str(caught.value)


def test_an_image_of_many_patches_takes_little_memory_besides():
    """4096 patches of 64 x 64 are 134 MB; the windows that are compared are a tenth of that."""
    positions = _raster(64, 64, steps=(3, 2), first=(32, 32)) + 0.3
    patches = np.ones((4096, 64, 64, 1), np.complex64)
    tracemalloc.start()
    try:
        reassemble_position(patches, _offsets(positions), M=20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 150e6
