"""Images of groups are an array for whoever reads them, and take no memory before."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.grouping.grouped_images import GroupedImages
from pinn_data.grouping.raw_data import RawData
from pinn_data.testing import small_scan

_SEEDS = st.integers(0, 2**32 - 1)


def _images(seed, *, groups=7, channels=3, frames=5, dtype=np.float32):
    """Lazy images, and the array that they stand for."""
    rng = np.random.default_rng(seed)
    stack = rng.normal(size=(frames, 4, 4)) + 1j * rng.normal(size=(frames, 4, 4))
    stack = (stack if np.dtype(dtype).kind == "c" else stack.real).astype(dtype)
    rows = rng.integers(0, frames, size=(groups, channels))
    array = np.ascontiguousarray(np.moveaxis(stack[rows], 1, -1))
    return GroupedImages(rows, 4, dtype, stack.__getitem__), array


@given(_SEEDS, st.sampled_from([np.float32, np.complex64]))
def test_they_read_like_the_array_that_they_stand_for(seed, dtype):
    lazy, array = _images(seed, dtype=dtype)
    assert (lazy.shape, lazy.ndim, lazy.size, lazy.nbytes) == (array.shape, 4, array.size, array.nbytes)
    assert lazy.dtype == array.dtype and len(lazy) == len(array)
    for key in (
        3,
        -1,
        slice(2, 5),
        slice(None, None, -2),
        [4, 1, 1],
        np.arange(7) % 2 == 0,
        (2, slice(1), 3, 0),
        (slice(1, 3), 0, slice(None), -1),
        ([5, 0], slice(None), 2),
        Ellipsis,
        (Ellipsis, 0),
        None,
    ):
        assert np.array_equal(lazy[key], array[key]), key
        assert isinstance(lazy[key], np.ndarray) and lazy[key].dtype == array.dtype
    assert np.array_equal(lazy, array) and np.array_equal(lazy.numpy(), array)
    assert all(np.array_equal(a, b) for a, b in zip(lazy, array, strict=True))
    assert np.array_equal(np.asarray(lazy, np.complex128), array.astype(np.complex128))


@given(_SEEDS)
def test_they_calculate_like_the_array_that_they_stand_for(seed):
    lazy, array = _images(seed)
    for f in (
        lambda a: a + 1,
        lambda a: 2 - a,
        lambda a: a * a,
        lambda a: a**2,
        lambda a: -a,
        np.abs,
        np.mean,
        lambda a: np.sum(a, axis=(1, 2)),
        lambda a: a.max(axis=0),
        lambda a: a.reshape(-1),
        lambda a: a.astype(np.float64),
        lambda a: np.concatenate([a, a]),
        lambda a: np.add.reduce(a, axis=3),
        lambda a: a == a.mean(),
        lambda a: np.multiply(a, 3.0, out=np.empty(a.shape, np.float32)),
    ):
        np.testing.assert_array_equal(np.asarray(f(lazy)), f(array))


@given(_SEEDS, st.floats(-9, 9), st.sampled_from([np.float32, np.complex64]))
def test_a_real_factor_is_kept_for_later_and_keeps_the_dtype(seed, factor, dtype):
    lazy, array = _images(seed, dtype=dtype)
    for scaled in (lazy * factor, factor * lazy, lazy * np.float64(factor), np.multiply(lazy, factor)):
        assert isinstance(scaled, GroupedImages) and scaled.dtype == dtype
        np.testing.assert_allclose(scaled.numpy(), array * np.float32(factor), rtol=1e-6)
    np.testing.assert_allclose((lazy * factor * 2).numpy(), array * np.float32(2 * factor), rtol=1e-6)
    turned = lazy * 1j
    assert isinstance(turned, np.ndarray)
    np.testing.assert_array_equal(turned, array * 1j)


def test_a_function_of_every_image_and_a_selection_are_kept_for_later_too():
    lazy, array = _images(1, dtype=np.complex64)
    modulus = (lazy * 2.0).mapped(np.abs, np.float32)
    assert isinstance(modulus, GroupedImages) and modulus.dtype == np.float32
    np.testing.assert_allclose(modulus.numpy(), np.abs(2 * array), rtol=1e-6)
    for which in (slice(1, 4), np.array([6, 0])):
        assert isinstance(lazy.select(which), GroupedImages)
        assert np.array_equal(lazy.select(which), array[which])


def test_what_no_array_has_they_do_not_have_and_a_view_is_refused():
    lazy, _ = _images(0)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = lazy.nothing_of_the_kind
    assert not hasattr(lazy, "__array_interface__")
    with pytest.raises(ValueError, match="always a copy: do not pass copy=False"):
        lazy.__array__(copy=False)


def test_20000_groups_take_no_more_memory_than_their_numbers():
    """Four patterns of 64 x 64 each: the arrays of one dictionary would be 4 GB."""
    data = RawData.from_scan(small_scan(rows=20, columns=15))
    tracemalloc.start()
    try:
        grouped = data.generate_grouped_data(64, K=8, nsamples=20000, gridsize=2)
        X = grouped["X_full"] * 3.0
        held = sum(grouped[name].nbytes for name in ("diffraction", "X_full", "Y"))
        energy = np.mean([np.sum(X[i : i + 50] ** 2, axis=(1, 2)).mean() for i in range(0, 20000, 4000)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert X.shape == (20000, 64, 64, 4) and held > 4e9
    assert energy == pytest.approx(9 * 32**2, rel=0.2)
    assert peak < 64e6
