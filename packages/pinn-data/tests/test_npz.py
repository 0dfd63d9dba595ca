"""Laws of the NPZ schema: what is written is read, whatever the unit, dtype, axis order or byte order."""

import json
import logging
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import DataRangeError
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.scan.scan import Scan
from pinn_data.testing import complex_probes, scans


def entries(n=5, N=8, seed=0, **changes):
    """The arrays of a small valid file of counts; a value of None leaves the entry out."""
    rng = np.random.default_rng(seed)
    arrays = {
        "diff3d": rng.poisson(30.0, (n, N, N)).astype(np.uint16),
        "xcoords": 10 + rng.uniform(0, 9, n),
        "ycoords": 20 + rng.uniform(0, 5, n),
        "probeGuess": (rng.normal(size=(N, N)) + 1j * rng.normal(size=(N, N))).astype(np.complex64),
    }
    arrays.update(changes)
    return {key: value for key, value in arrays.items() if value is not None}


def save_zip64(path, arrays, compression):
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as file:
        for key, array in arrays.items():
            with file.open(f"{key}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


# --- round trips ------------------------------------------------------------------------------------


@given(scan=scans())
def test_reading_what_was_written_in_its_own_unit_gives_the_scan(tmp_path, scan):
    assert read_scan(write_scan(tmp_path / "scan.npz", scan, unit=scan.unit)).equals(scan)


@given(scan=scans())
def test_writing_what_was_read_gives_the_same_bytes(tmp_path, scan):
    first = write_scan(tmp_path / "first.npz", scan)
    again = write_scan(tmp_path / "again.npz", read_scan(first))
    assert again.read_bytes() == first.read_bytes()


@given(scan=scans(unit="counts"))
def test_counts_survive_the_amplitudes_that_the_specification_wants_on_disk(tmp_path, scan):
    read = read_scan(write_scan(tmp_path / "scan.npz", scan))
    assert read.unit == "amplitude"
    assert read.diffraction.dtype == np.float32
    np.testing.assert_array_equal(read.counts(), scan.counts())
    assert read.nphotons == pytest.approx(scan.nphotons, rel=1e-6)


@given(largest=st.integers(2**22 - 3, 2**40))
def test_counts_too_large_for_float32_amplitudes_survive_too(tmp_path, largest):
    stack = np.zeros((1, 4, 4), np.int64)
    stack[0] = largest - np.arange(16).reshape(4, 4)
    scan = Scan(stack, "counts", [[5, 6]], np.eye(4) * (1 + 2j))
    np.testing.assert_array_equal(read_scan(write_scan(tmp_path / "a.npz", scan)).counts(), stack)


@given(scan=scans(unit="intensity"))
def test_intensities_come_back_within_float32(tmp_path, scan):
    read = read_scan(write_scan(tmp_path / "scan.npz", scan))
    np.testing.assert_allclose(read.counts(), scan.diffraction, rtol=1e-6)


@given(scan=scans(unit="counts"))
def test_amplitudes_of_counts_can_be_written_back_as_counts(tmp_path, scan):
    amplitudes = read_scan(write_scan(tmp_path / "a.npz", scan))
    counts = read_scan(write_scan(tmp_path / "c.npz", amplitudes, unit="counts"))
    assert counts.unit == "counts"
    np.testing.assert_array_equal(counts.diffraction, scan.diffraction)


@given(scan=scans())
def test_the_file_is_an_ordinary_npz_with_one_copy_of_the_patterns(tmp_path, scan):
    path = write_scan(tmp_path / "scan.npz", scan)
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_allclose(file["diff3d"], scan.amplitude(), rtol=1e-6)  # float64 stays so
        np.testing.assert_array_equal(file["xcoords"], scan.positions[:, 1])
        np.testing.assert_array_equal(file["ycoords"], scan.positions[:, 0])
        np.testing.assert_array_equal(file["probeGuess"], scan.probe)
        assert "diffraction" not in file
        assert str(file["diffraction_unit"]) == "amplitude"
        assert json.loads(str(file["metadata"])) == scan.metadata


# --- layouts and dtypes -----------------------------------------------------------------------------


@given(
    n=st.integers(1, 12).filter(lambda n: n != 8),
    dtype=st.sampled_from(["<u2", ">u2", "<f2", ">f4", "<f8", "<i4", ">i8", "|u1"]),
    order=st.sampled_from("CF"),
    frames_last=st.booleans(),
    channel=st.booleans(),
    compress=st.booleans(),
)
def test_every_layout_reads_as_the_same_stack(tmp_path, n, dtype, order, frames_last, channel, compress):
    expected = np.random.default_rng(n).poisson(20.0, (n, 8, 8)).astype(dtype)
    stored = np.moveaxis(expected, 0, -1) if frames_last else expected
    if channel:
        stored = stored[..., None]
    stored = np.asarray(stored, order=order)
    writer = np.savez_compressed if compress else np.savez
    writer(tmp_path / "scan.npz", **entries(n, diff3d=stored))
    stack = read_scan(tmp_path / "scan.npz").diffraction
    np.testing.assert_array_equal(stack, expected)
    assert stack.flags.c_contiguous
    assert stack.dtype.isnative


@pytest.mark.parametrize("key", ["diff3d", "diffraction"])
def test_both_names_of_the_patterns_are_read(tmp_path, key):
    arrays = entries()
    stack = arrays.pop("diff3d")
    scan = read_scan(save(tmp_path / "scan.npz", **arrays, **{key: stack}))
    np.testing.assert_array_equal(scan.diffraction, stack)


@pytest.mark.parametrize(
    "change", [lambda a: a, lambda a: np.moveaxis(a, 0, -1), lambda a: a.astype(np.float64)]
)
def test_two_equal_stacks_are_one(tmp_path, change):
    amplitude = np.sqrt(entries()["diff3d"]).astype(np.float32)
    scan = read_scan(save(tmp_path / "scan.npz", **entries(diff3d=amplitude, diffraction=change(amplitude))))
    np.testing.assert_array_equal(scan.diffraction, amplitude)


@given(seed=st.integers(0, 99), n=st.integers(2, 12).filter(lambda n: n != 8))
def test_permuting_the_frames_of_the_file_permutes_the_scan(tmp_path, seed, n):
    arrays = entries(n, scan_index=np.arange(n))
    order = np.random.default_rng(seed).permutation(n)
    per_frame = ("diff3d", "xcoords", "ycoords", "scan_index")
    permuted = {key: a[order] if key in per_frame else a for key, a in arrays.items()}
    original = read_scan(save(tmp_path / "a.npz", **arrays))
    assert read_scan(save(tmp_path / "b.npz", **permuted)).equals(original.select(order))


def test_x_is_the_column_and_y_the_row(tmp_path):
    arrays = entries(3, xcoords=np.array([1.0, 2, 3]), ycoords=np.array([10.0, 20, 30]))
    assert read_scan(save(tmp_path / "scan.npz", **arrays)).positions.tolist() == [[10, 1], [20, 2], [30, 3]]


def test_optional_entries_have_the_documented_defaults(tmp_path):
    scan = read_scan(save(tmp_path / "scan.npz", **entries()))
    assert scan.object is None
    assert scan.metadata == {}
    np.testing.assert_array_equal(scan.scan_index, np.zeros(5))
    np.testing.assert_array_equal(scan.positions_start, scan.positions)
    assert scan.source == tmp_path / "scan.npz"


def test_a_pickled_none_of_the_public_implementation_counts_as_absent(tmp_path, caplog):
    save(tmp_path / "scan.npz", **entries(objectGuess=np.array(None, dtype=object)))
    assert read_scan(tmp_path / "scan.npz").object is None
    assert "never opened" in caplog.text


@given(probe=complex_probes(8, 3))
def test_probe_modes_are_kept(tmp_path, probe):
    np.testing.assert_array_equal(
        read_scan(save(tmp_path / "scan.npz", **entries(probeGuess=probe))).probe, probe.astype(np.complex64)
    )


# --- unit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stack", "unit"),
    [
        (entries()["diff3d"], "counts"),
        (entries()["diff3d"].astype(np.float32), "counts"),
        (np.sqrt(entries()["diff3d"]), "amplitude"),
    ],
)
def test_the_unit_of_an_unlabelled_file_follows_the_rule_and_is_logged(tmp_path, caplog, stack, unit):
    caplog.set_level(logging.INFO)
    assert read_scan(save(tmp_path / "scan.npz", **entries(diff3d=stack))).unit == unit
    messages = [r.getMessage() for r in caplog.records if "taken as" in r.getMessage()]
    assert len(messages) == 1
    assert f"taken as {unit} (no label" in messages[0]


def test_the_caller_beats_the_label_and_the_label_beats_the_rule(tmp_path):
    path = save(tmp_path / "scan.npz", **entries(diffraction_unit=np.array("intensity")))
    assert read_scan(path).unit == "intensity"
    assert read_scan(path, unit="counts").unit == "counts"


def test_integers_taken_for_amplitudes_are_reported(tmp_path, caplog):
    path = save(tmp_path / "scan.npz", **entries(diffraction_unit=np.array("amplitude")))
    read_scan(path)
    assert "more likely counts" in caplog.text


# --- the scan itself --------------------------------------------------------------------------------


@given(scan=scans(max_size=9), data=st.data())
def test_a_mask_and_its_indices_select_the_same_frames(scan, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(scan), max_size=len(scan)).filter(any)))
    chosen = scan.select(mask)
    assert chosen.equals(scan.select(np.flatnonzero(mask)))
    assert len(chosen) == mask.sum()
    np.testing.assert_array_equal(chosen.positions_start, scan.positions_start[mask])


@given(scan=scans(max_size=9), count=st.none() | st.integers(1, 12), seed=st.integers(0, 99))
def test_a_subsample_is_of_different_frames_in_order_and_the_seeds_own(scan, count, seed):
    frames = scan.subsample(count, seed)
    assert len(frames) == min(len(scan), count or len(scan))
    assert (np.diff(frames) > 0).all() and frames[0] >= 0 and frames[-1] < len(scan)
    np.testing.assert_array_equal(frames, scan.subsample(count, seed))
    with pytest.raises(DataRangeError, match="0 frames were asked for"):
        scan.subsample(0, seed)


@given(scan=scans())
def test_a_scan_of_float32_amplitudes_or_of_counts_is_not_copied(scan):
    if scan.unit == "amplitude":
        assert np.shares_memory(scan.amplitude(), scan.diffraction) == (scan.diffraction.dtype == np.float32)
    else:
        assert scan.counts() is scan.diffraction


# --- memory -----------------------------------------------------------------------------------------


def peak_of(function, *arguments):
    tracemalloc.start()
    try:
        result = function(*arguments)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("layout", ["plain", "compressed", "frames last", "twice"])
def test_reading_needs_the_stack_and_a_few_blocks(tmp_path, layout):
    n, N = 3000, 64
    stack = np.random.default_rng(0).integers(0, 9, (n, N, N), dtype=np.uint16)  # 25 MB
    stored = np.ascontiguousarray(np.moveaxis(stack, 0, -1)) if layout == "frames last" else stack
    arrays = entries(n, N, diff3d=stored)
    if layout == "twice":
        arrays["diffraction"] = np.moveaxis(stack, 0, -1)
    compression = zipfile.ZIP_DEFLATED if layout == "compressed" else zipfile.ZIP_STORED
    save_zip64(tmp_path / "scan.npz", arrays, compression)
    del arrays, stored
    scan, peak = peak_of(read_scan, tmp_path / "scan.npz")
    np.testing.assert_array_equal(scan.diffraction, stack)
    assert peak < stack.nbytes + 20e6  # two blocks of 8 MB, which do not grow with the scan


def test_writing_and_measuring_need_only_blocks(tmp_path):
    n, N = 4000, 64
    stack = np.random.default_rng(0).integers(0, 9, (n, N, N), dtype=np.uint16)
    scan = Scan(stack, "counts", np.ones((n, 2)), np.ones((N, N), complex))
    assert peak_of(write_scan, tmp_path / "scan.npz", scan)[1] < 30e6  # the amplitudes alone are 65 MB
    assert peak_of(lambda: scan.nphotons)[1] < 30e6


# --- real files -------------------------------------------------------------------------------------


def residual(scan, positions, frames):
    """R of the shared data's README, integer patches, for some frames: sqrt(sum (|F| - A)^2 / sum A^2)."""
    error = energy = 0.0
    half = scan.N // 2
    for frame in frames:
        y, x = np.floor(positions[frame]).astype(int)
        psi = scan.probe * scan.object[y - half : y + half, x - half : x + half]
        far_field = np.fft.fftshift(np.fft.fft2(psi, norm="ortho"))
        amplitude = np.sqrt(scan.diffraction[frame].astype(float))
        error += np.sum((np.abs(far_field) - amplitude) ** 2)
        energy += np.sum(amplitude**2)
    return np.sqrt(error / energy)


def test_the_measured_scan_reads_as_counts_with_x_and_y_in_place(siemens_star):
    scan = read_scan(siemens_star)
    assert (len(scan), scan.N, scan.unit, scan.diffraction.dtype) == (516, 128, "counts", np.uint16)
    assert scan.probe.shape == (128, 128)
    assert scan.object is not None
    assert scan.object.shape == (480, 477)
    assert scan.nphotons == pytest.approx(4.61e5, rel=1e-3)
    frames = range(0, 516, 12)
    assert residual(scan, scan.positions, frames) < 0.15
    assert residual(scan, scan.positions[:, ::-1], frames) > 0.3


def test_the_measured_scan_survives_writing(siemens_star, tmp_path):
    scan = read_scan(siemens_star)
    np.testing.assert_array_equal(read_scan(write_scan(tmp_path / "a.npz", scan)).counts(), scan.diffraction)
    assert read_scan(write_scan(tmp_path / "c.npz", scan, unit="counts")).equals(scan)


def test_an_entry_with_the_headers_of_files_above_4_gb_is_understood(tmp_path):
    arrays = entries()
    save_zip64(tmp_path / "scan.npz", arrays, zipfile.ZIP_STORED)
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.npz").diffraction, arrays["diff3d"])
