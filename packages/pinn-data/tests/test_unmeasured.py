"""Laws of reading: what marks a pixel that was not measured is a bad pixel, frames that hold nothing go."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.checks.scan_summary import summarise_scan
from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.files.npz import read_scan
from pinn_data.grouping.raw_data import RawData
from pinn_data.scan.diffraction import detect_unit
from pinn_data.scan.unmeasured import is_marker, measured_part
from pinn_data.testing import bad_pixels, scans, small_scan

N = 8
MARKERS = [
    (np.uint8, 255),
    (np.uint16, 65535),
    (np.uint32, 2**32 - 1),
    (np.int16, 32767),
    (np.int32, -1),
    (np.int32, -2),
    (np.int64, 2**32 - 1),
    (np.uint64, 2**32 - 1),
    (np.float32, 2**32 - 1),
    (np.float32, np.nan),
    (np.float64, 2**32 - 1),
    (np.float64, -1),
    (np.float64, np.inf),
]


def entries(stack, seed=0, **extra):
    rng = np.random.default_rng(seed)
    n, size = stack.shape[:2]
    return {
        "diff3d": stack,
        "xcoords": 10 + rng.uniform(0, 9, n),
        "ycoords": 20 + rng.uniform(0, 5, n),
        "probeGuess": (rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))),
        **extra,
    }


def counts(n, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(1, 90, (n, N, N)).astype(dtype)


def saved(tmp_path, stack, **extra):
    np.savez(tmp_path / "scan.npz", **entries(stack, **extra))
    return tmp_path / "scan.npz"


masks = st.integers(1, 12).flatmap(
    lambda n: st.tuples(st.just(n), bad_pixels((n, N, N)) | bad_pixels((N, N)))
)


@given(marker=st.sampled_from(MARKERS), mask=masks, seed=st.integers(0, 99))
def test_what_holds_a_marker_is_a_bad_pixel_and_nothing_else_is(tmp_path, marker, mask, seed):
    (dtype, value), (n, bad) = marker, mask
    each = np.broadcast_to(bad, (n, N, N))
    each = each & ~each.all(axis=(1, 2), keepdims=True)
    stack = counts(n, dtype, seed)
    stack[each] = value
    expected = each | (each.mean(axis=0) >= 0.9)
    path = saved(tmp_path, stack)
    summary = summarise_scan(path, frames_axis=0)
    for above in (None, 0):
        scan = read_scan(path, in_file_above=above, frames_axis=0)
        found = np.zeros((N, N), bool) if scan.bad_pixels is None else scan.bad_pixels
        np.testing.assert_array_equal(np.broadcast_to(found, stack.shape), expected)
        assert found.ndim == (3 if (expected != expected[:1]).any() else 2)
        np.testing.assert_array_equal(scan.diffraction[:], np.where(expected, 0, counts(n, dtype, seed)))
        assert (scan.unit, scan.nphotons) == ("counts", summary.photons.mean())
        assert bool(scan.metadata) == each.any() == bool(summary.said)
    np.testing.assert_array_equal(summary.bad_pixels, expected.mean(axis=0))


def test_what_was_left_out_is_said_once_logged_and_kept(tmp_path, caplog):
    stack = counts(9, np.int32)
    stack[:, 3, 4], stack[:, 5], stack[2, 0, 0] = -2, -1, -1
    scan = read_scan(saved(tmp_path, stack, metadata=np.array('{"conversion": {"said": ["first"]}}')))
    sentence = "9 pixel(s) and 1 pixel(s) of some frames not measured (they hold -2, -1) and left out"
    assert scan.metadata["conversion"]["said"] == ["first", sentence]
    assert sentence in caplog.text


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.uint32])
def test_the_marker_of_16_bits_in_a_wider_dtype_is_one_where_it_never_changes(tmp_path, dtype):
    stack = counts(5, dtype)
    stack[:, 2, 3] = 65535
    stack[1:, 6, 6] = 65535  # bright, not stuck
    scan = read_scan(saved(tmp_path, stack))
    assert np.argwhere(scan.bad_pixels).tolist() == [[2, 3]]
    assert summarise_scan(tmp_path / "scan.npz").largest == 65535
    assert read_scan(saved(tmp_path, stack[:3])).bad_pixels is None  # too few to tell


@given(
    marker=st.sampled_from([*MARKERS, (np.float64, 0), (np.uint16, 0)]),
    lit=st.lists(st.booleans(), min_size=2, max_size=12).filter(any),
    numbered=st.booleans(),
)
def test_frames_that_hold_nothing_go_and_the_others_keep_their_numbers(tmp_path, marker, lit, numbered):
    (dtype, value), lit = marker, np.array(lit)
    stack = counts(len(lit), dtype)
    stack[~lit] = value
    index = {"scan_index": 7 * np.arange(len(lit))} if numbered else {}
    path = saved(tmp_path, stack, **index)
    with np.load(path) as file:
        x = file["xcoords"]
    for above in (None, 0):
        scan = read_scan(path, in_file_above=above, frames_axis=0)
        np.testing.assert_array_equal(scan.diffraction[:], counts(len(lit), dtype)[lit])
        np.testing.assert_array_equal(scan.positions[:, 1], x[lit])
        assert scan.bad_pixels is None
        every = np.arange(len(lit)) if numbered or not lit.all() else np.zeros(len(lit))
        np.testing.assert_array_equal(scan.scan_index, (7 if numbered else 1) * every[lit])
        assert lit.all() or f"{(~lit).sum()} of {len(lit)} frames are empty" in str(scan.metadata)
    summary = summarise_scan(path, frames_axis=0)
    assert (summary.frames, summary.empty) == (lit.sum(), (~lit).sum())
    assert summary.photons.mean() == scan.nphotons


def test_a_scan_of_nothing_is_refused(tmp_path):
    for value in (0, np.nan):
        with pytest.raises(DataRangeError, match="all 3 diffraction patterns are empty"):
            read_scan(saved(tmp_path, np.full((3, N, N), value)))


@pytest.mark.parametrize("negatives", [[-0.5], [-1, -2, -3, -4, -5], [-1, -0.25]])
def test_what_a_subtracted_dark_leaves_is_no_marker(tmp_path, negatives):
    stack = counts(4, np.float64)
    stack[2, 1, : len(negatives)] = negatives
    with pytest.raises(DataRangeError, match=r"pattern 2 holds .* the dark frame as background"):
        read_scan(saved(tmp_path, stack))
    bad = stack[2] < 0
    assert read_scan(saved(tmp_path, stack, bad_pixels=bad)).bad_pixels.sum() == len(negatives)


@given(scan=scans(N), junk=st.booleans())
def test_reading_again_finds_nothing_new(scan, junk):
    found = measured_part(np.array(scan.diffraction), scan.bad_pixels, drop_empty=False)
    assert found.said == ()
    assert scan.equals(attrs.evolve(scan, diffraction=found.stack, bad_pixels=found.bad_pixels))


def test_arrays_of_a_program_keep_their_numbers_and_their_frames():
    stack = counts(4, np.float32)
    stack[1, 2, 3], stack[3] = np.nan, 0
    before = stack.copy()
    raw = RawData(*np.ones((4, 4)), stack, np.ones((N, N), complex))
    np.testing.assert_array_equal(stack, before)
    assert len(raw) == 4
    assert np.argwhere(raw.scan.bad_pixels).tolist() == [[1, 2, 3]]
    assert raw.diff3d[1, 2, 3] == 0


def test_a_list_of_scan_numbers_of_another_length_is_refused(tmp_path):
    stack = counts(4)
    stack[1] = 0
    with pytest.raises(ShapeError, match="scan_index has 3 entries, but one per frame, 4"):
        read_scan(saved(tmp_path, stack, scan_index=np.arange(3)))


@given(dtype=st.sampled_from(["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f2", "f4", "f8"]))
def test_no_dtype_has_markers_among_ordinary_numbers(dtype):
    assert is_marker(counts(2, dtype)) is None
    assert is_marker(np.zeros((0, N, N), dtype)) is None


@pytest.mark.parametrize(
    ("scaled", "unit"),
    [
        (lambda k: k / 1.037, "intensity"),
        (lambda k: np.sqrt(k), "amplitude"),
        (lambda k: np.sqrt(k / 1.037), "amplitude"),
        (lambda k: k / 1e4, "amplitude"),  # neither fits: the format's own rule
    ],
)
def test_the_light_of_the_probe_tells_intensities_from_amplitudes(tmp_path, scaled, unit):
    scan = small_scan(photons=2e5)
    stack = scaled(scan.counts().astype(np.float64)).astype(np.float32)
    assert detect_unit(stack) == "amplitude"
    np.savez(
        tmp_path / "scan.npz",
        diff3d=stack,
        xcoords=scan.positions[:, 1],
        ycoords=scan.positions[:, 0],
        probeGuess=scan.probe,
    )
    read, summary = read_scan(tmp_path / "scan.npz"), summarise_scan(tmp_path / "scan.npz")
    assert (read.unit, summary.unit) == (unit, unit)
    assert ("the probe's light" in summary.reason) == (unit == "intensity")
