"""Laws of patterns that stay in their file: indexed, they are the array; changed, they say so."""

import os
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.errors import DataFormatError, DataRangeError, ShapeError, UnitError
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.grouping.raw_data import RawData
from pinn_data.learning.fingerprint import fingerprint
from pinn_data.scan.stored_patterns import StoredPatterns
from pinn_data.testing import scans, small_scan


def both(path):
    """The scan of a file in memory, and with its patterns left there."""
    return read_scan(path), read_scan(path, in_file_above=0)


def indices(n):
    """Every kind of index that chooses frames."""
    number = st.integers(-n, n - 1)
    return st.one_of(
        number,
        number.map(np.int32),
        st.slices(n),
        st.lists(number, max_size=2 * n).map(lambda numbers: np.array(numbers, dtype=np.int64)),
        st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        st.lists(st.tuples(number, number), min_size=1, max_size=4).map(np.array),
    )


@given(scan=scans(), data=st.data())
def test_an_index_gives_what_it_gives_of_the_array(tmp_path, scan, data):
    array, stored = (s.diffraction for s in both(write_scan(tmp_path / "scan.npz", scan, unit=scan.unit)))
    assert isinstance(stored, StoredPatterns)
    assert (stored.shape, stored.dtype, stored.ndim, stored.size, stored.nbytes, len(stored)) == (
        array.shape,
        array.dtype,
        array.ndim,
        array.size,
        array.nbytes,
        len(array),
    )
    which = data.draw(indices(len(scan)))
    expected, found = array[which], stored[which]
    assert type(found) is np.ndarray
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    assert np.array_equal(np.asarray(stored), array)
    found[...] = 0  # the caller's own
    assert np.array_equal(stored[which], expected)


@given(scan=scans(), data=st.data())
def test_selecting_twice_is_selecting_what_was_selected_and_reads_nothing(tmp_path, scan, data):
    array, stored = both(write_scan(tmp_path / "scan.npz", scan, unit=scan.unit))
    some = data.draw(st.lists(st.integers(0, len(scan) - 1), min_size=1, max_size=9))
    fewer = data.draw(st.lists(st.integers(0, len(some) - 1), min_size=1, max_size=9))
    part = stored.select(some).select(fewer)
    assert isinstance(part.diffraction, StoredPatterns)
    assert part.equals(array.select(some).select(fewer))


@given(scan=scans())
def test_a_scan_says_the_same_of_itself_wherever_its_patterns_lie(tmp_path, scan):
    array, stored = both(write_scan(tmp_path / "scan.npz", scan, unit=scan.unit))
    assert stored.equals(array)
    assert array.equals(stored)
    assert stored.nphotons == array.nphotons
    assert stored.holds_counts == array.holds_counts
    for converted in ("amplitude", "counts"):
        one, other = getattr(array, converted)(), getattr(stored, converted)()
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    run = {"config": TrainingConfig(model=ModelConfig()), "execution": PyTorchExecutionConfig(), "seed": 1}
    assert fingerprint(stored, **run) == fingerprint(array, **run)


@given(scan=scans())
def test_writing_gives_the_same_bytes_even_over_the_file_that_is_read(tmp_path, scan):
    path = write_scan(tmp_path / "scan.npz", scan, unit=scan.unit)
    array, stored = both(path)
    for unit in {scan.unit, "amplitude"}:
        expected = write_scan(tmp_path / "array.npz", array, unit=unit).read_bytes()
        assert write_scan(tmp_path / "stored.npz", stored, unit=unit).read_bytes() == expected
    write_scan(path, stored, unit="amplitude")
    assert np.array_equal(np.asarray(stored.diffraction), array.diffraction)  # the old file, still open


@pytest.mark.parametrize("unit", ["counts", "amplitude"])
def test_batches_for_a_network_are_the_same_to_the_bit(tmp_path, unit):
    array, stored = both(write_scan(tmp_path / "scan.npz", small_scan(), unit=unit))
    rows = np.array([[3, 0, 7, 11], [5, 5, 2, 9], [0, 1, 2, 3]])
    one, other = PatternStack(array).batch(rows), PatternStack(stored).batch(rows)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_the_patterns_are_not_in_memory(tmp_path):
    stored = read_scan(write_scan(tmp_path / "scan.npz", small_scan(), unit="counts"), in_file_above=0)
    held = [v for v in vars(stored.diffraction).values() if isinstance(v, np.ndarray)]
    assert sum(array.nbytes for array in held) == 8 * len(stored)


def test_only_what_is_larger_than_asked_stays_in_the_file(tmp_path):
    path = write_scan(tmp_path / "scan.npz", small_scan(), unit="counts")
    size = read_scan(path).diffraction.nbytes
    assert isinstance(read_scan(path, in_file_above=size).diffraction, np.ndarray)
    assert isinstance(read_scan(path, in_file_above=size - 1).diffraction, StoredPatterns)


def columns_first(stack):
    return {"diff3d": np.asfortranarray(stack)}


def frames_last(stack):
    return {"diff3d": np.moveaxis(stack, 0, 2).copy()}


def foreign_bytes(stack):
    return {"diff3d": stack.astype(">u4")}


def two_precisions(stack):
    return {"diff3d": stack, "diffraction": stack.astype(np.float32)}


@pytest.mark.parametrize("kind", [columns_first, frames_last, foreign_bytes, two_precisions])
def test_what_a_file_does_not_hold_as_memory_would_is_read(tmp_path, kind):
    scan = small_scan()
    geometry = {"xcoords": scan.positions[:, 1], "ycoords": scan.positions[:, 0], "probeGuess": scan.probe}
    np.savez(tmp_path / "scan.npz", **kind(scan.counts().astype(np.uint32)), **geometry)
    array, stored = both(tmp_path / "scan.npz")
    assert isinstance(stored.diffraction, np.ndarray)
    assert stored.equals(array)


def test_what_is_compressed_is_read(tmp_path):
    with np.load(write_scan(tmp_path / "scan.npz", small_scan(), unit="counts")) as file:
        np.savez_compressed(tmp_path / "packed.npz", **file)
    assert isinstance(read_scan(tmp_path / "packed.npz", in_file_above=0).diffraction, np.ndarray)


def test_the_same_bytes_under_both_names_and_a_fourth_axis_stay_in_the_file(tmp_path):
    scan = small_scan()
    stack = scan.counts().astype(np.uint16)[..., None]
    geometry = {"xcoords": scan.positions[:, 1], "ycoords": scan.positions[:, 0], "probeGuess": scan.probe}
    np.savez(tmp_path / "scan.npz", diffraction=stack, diff3d=stack, **geometry)
    array, stored = both(tmp_path / "scan.npz")
    assert isinstance(stored.diffraction, StoredPatterns)
    assert stored.equals(array)


# --- bad files --------------------------------------------------------------------------------------


def test_a_flipped_bit_is_found_before_anything_is_learned_from_it(tmp_path):
    path = write_scan(tmp_path / "scan.npz", small_scan(), unit="counts")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataFormatError, match="damaged"):
        read_scan(path, in_file_above=0)


@pytest.mark.parametrize(("value", "frame"), [(-1.5, 3), (-0.25, 0), (-1e-3, 11)])
def test_what_no_detector_measures_is_refused(tmp_path, value, frame):
    scan = small_scan()
    stack = scan.amplitude().copy()
    stack[frame, 3, 5] = value
    geometry = {"xcoords": scan.positions[:, 1], "ycoords": scan.positions[:, 0], "probeGuess": scan.probe}
    np.savez(tmp_path / "scan.npz", diff3d=stack, **geometry)
    with pytest.raises(DataRangeError, match=f"pattern {frame} "):
        read_scan(tmp_path / "scan.npz", in_file_above=0)


def test_fractions_called_counts_are_refused(tmp_path):
    path = write_scan(tmp_path / "scan.npz", small_scan(), unit="amplitude")
    with pytest.raises(UnitError, match="fractions"):
        read_scan(path, unit="counts", in_file_above=0)


def opened(tmp_path):
    path = write_scan(tmp_path / "scan.npz", small_scan(), unit="counts")
    return path, read_scan(path, in_file_above=0)


def test_a_file_that_was_cut_says_so(tmp_path, only_sentence):
    path, scan = opened(tmp_path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataFormatError) as caught:
        scan.diffraction[-1]
    only_sentence(caught, path)


def test_a_file_that_was_written_into_says_so(tmp_path, only_sentence):
    path, scan = opened(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataFormatError) as caught:
        PatternStack(scan)
    only_sentence(caught, path)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let an open file be replaced")
def test_a_file_that_was_replaced_or_removed_is_read_on(tmp_path):
    path, scan = opened(tmp_path)
    expected = read_scan(path).diffraction
    write_scan(path, small_scan(photons=10.0), unit="counts")
    assert np.array_equal(scan.diffraction[3:5], expected[3:5])
    path.unlink()
    assert np.array_equal(np.asarray(scan.diffraction), expected)


def test_parts_of_frames_and_tables_of_frames_are_refused_where_they_mean_nothing(tmp_path):
    _, scan = opened(tmp_path)
    with pytest.raises(ShapeError, match=r"numpy\.asarray"):
        scan.diffraction[0, 1]
    with pytest.raises(ShapeError, match="2 axes"):
        scan.diffraction.select([[0, 1]])
    with pytest.raises(IndexError):
        scan.diffraction[len(scan)]


# --- threads, processes, descriptors ----------------------------------------------------------------


def test_a_pickled_scan_reads_the_same_in_another_process(tmp_path):
    path, scan = opened(tmp_path)
    chosen = scan.select([5, 2, 7])
    assert pickle.loads(pickle.dumps(chosen)).equals(chosen)  # noqa: S301  our own bytes
    pickled = pickle.dumps(chosen)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataFormatError, match="changed"):
        pickle.loads(pickled)  # noqa: S301
    path.unlink()
    with pytest.raises(DataFormatError, match="cannot be opened again"):
        pickle.loads(pickled)  # noqa: S301


@pytest.mark.parametrize("seekless", [True, False])
def test_threads_do_not_disturb_each_other(tmp_path, monkeypatch, seekless):
    if not seekless:
        monkeypatch.delattr(os, "preadv", raising=False)
    path, scan = opened(tmp_path)
    expected, wrong = read_scan(path).diffraction, []

    def read_often(seed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            frames = rng.integers(0, len(scan), 3)
            if not np.array_equal(scan.diffraction[frames], expected[frames]):
                wrong.append(frames)

    threads = [threading.Thread(target=read_often, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_the_file_is_closed_with_the_last_scan_that_reads_it(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    path, scan = opened(tmp_path)
    part = scan.select([1])
    del scan
    assert np.array_equal(part.diffraction[0], read_scan(path).diffraction[1])
    del part
    assert len(os.listdir("/proc/self/fd")) == before


def test_raw_data_holds_an_array(tmp_path):
    path, _ = opened(tmp_path)
    assert isinstance(RawData.from_file(path).diff3d, np.ndarray)
