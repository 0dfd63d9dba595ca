"""Frames to patterns: windows, the zero frequency, probes; and stacks of frames in any file."""

import h5py
import measured_files as made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data import errors
from pinn_data.files.frame_stack import open_frames, split_entry
from pinn_data.files.measurement import Framing, Measurement, ProbeChoice, measured_scan
from pinn_data.files.npy_file import mapped_npy
from pinn_data.optics.forward_model import far_field
from pinn_data.optics.probe import defocused_probe
from pinn_data.scan.detector_window import DetectorWindow, beam_centre
from pinn_data.scan.far_field import FarField
from pinn_data.scan.probe_guess import probe_from_patterns
from pinn_data.scan.stage_positions import StageConvention

GUESS = ProbeChoice(guess=True)
PIXELS = StageConvention("px", "probe")


def measurement(path, frames, **options):
    np.save(path, frames)
    return Measurement(open_frames(path), made.positions(len(frames)), PIXELS, **options)


@pytest.fixture
def npy(tmp_path):
    return tmp_path / "frames.npy"


@given(
    st.tuples(st.integers(3, 13), st.integers(3, 13)),
    st.sampled_from([4, 6, 12]),
    st.data(),
)
def test_a_window_moves_pixels_and_changes_none(shape, N, data):
    """out[N/2 + d] = frame[centre + d] where that is on the detector, else 0."""
    centre = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    frame = np.arange(1, 1 + shape[0] * shape[1]).reshape(shape)
    window = DetectorWindow(shape, centre, N)
    out = np.full((1, N, N), -1)
    window.cut(frame[None], out)
    for r in range(N):
        for c in range(N):
            y, x = r - N // 2 + centre[0], c - N // 2 + centre[1]
            inside = 0 <= y < shape[0] and 0 <= x < shape[1]
            assert out[0, r, c] == (frame[y, x] if inside else 0)
    assert window.padded_px == (out == 0).sum()
    bad = window.cut_mask(frame % 3 == 0)
    assert np.array_equal(np.zeros((N, N)) if bad is None else bad, (out[0] == 0) | (out[0] % 3 == 0))


@given(
    st.integers(0, 6), st.integers(0, 8), st.floats(1e-300, 1e307), st.sampled_from([(1, 1), (2, 1), (1, 3)])
)
def test_the_beam_is_where_the_light_is_however_bright(y, x, light, size):
    """The centre of mass of a uniform rectangle is its middle, at any intensity that a float holds."""
    mean = np.zeros((9, 12))
    mean[y : y + size[0], x : x + size[1]] = light
    assert beam_centre(mean) == pytest.approx((y + (size[0] - 1) / 2, x + (size[1] - 1) / 2))


@pytest.mark.parametrize(
    ("dtype", "marker"),
    [
        (float, np.nan),
        (float, np.inf),
        (np.uint16, 65535),
        (np.int32, -1),
        (np.int32, 65535),
        (np.uint32, 2**32 - 1),
    ],
)
@pytest.mark.parametrize("place", [(1, 18), (7, 9)])
def test_markers_pull_no_centre_and_become_bad_pixels(npy, dtype, marker, place):
    """Both where they are cut off and where they are not: the scan is that of a file which masks them."""
    frames = made.counts(shape=(15, 20)).astype(dtype)
    frames[:, *place] = 0
    clean, _ = measured_scan(measurement(npy, frames), Framing(N=12), GUESS)
    frames[:, *place] = marker
    scan, said = measured_scan(measurement(npy, frames), Framing(N=12), GUESS)
    assert np.array_equal(scan.diffraction, clean.diffraction)
    assert (scan.bad_pixels is not None) == any("they hold" in s for s in said) == (place == (7, 9))


def test_frames_that_hold_nothing_go_and_the_others_keep_their_numbers(npy):
    frames = made.counts()
    frames[[1, 4]] = 0
    scan, said = measured_scan(measurement(npy, frames), probe=GUESS)
    assert scan.scan_index.tolist() == [0, 2, 3, 5]
    assert np.array_equal(scan.positions, made.positions()[scan.scan_index])
    assert np.array_equal(scan.diffraction, frames[scan.scan_index])
    assert any("2 of 6 frames are empty" in s for s in said)


@pytest.mark.parametrize("gap", [slice(7, 10), slice(11, 12)])
def test_a_gap_is_no_near_field_and_makes_no_hole_in_a_guessed_probe(npy, gap):
    far = FarField(made.DISTANCE, made.WAVELENGTH, made.PIXEL)
    N = 64
    y, x = np.mgrid[:N, :N] - N // 2
    spot = 2e3 * np.exp(-((y / 9) ** 2) - (x / 7) ** 2)
    frames = np.random.default_rng(0).poisson(spot, (20, N, N)).astype(np.int32)
    whole = frames.mean(axis=0)
    frames[:, N // 2 - 10 + gap.start : N // 2 - 10 + gap.stop] = -1
    scan, said = measured_scan(measurement(npy, frames, geometry=far), probe=GUESS)
    assert not any("near-field" in s for s in said)
    guessed = np.abs(far_field(scan.probe)) ** 2
    assert np.abs(guessed - whole).max() < 0.15 * whole.max()


def test_a_given_mask_is_of_the_detector_or_of_the_patterns(npy):
    frames = made.counts(shape=(15, 20))
    detector, patterns = np.zeros((15, 20), bool), np.zeros((12, 12), bool)
    detector[3, 5] = patterns[2, 4] = True
    for mask, where in ((detector, [3 - 1, 5 - 2]), (patterns, [2, 4])):
        framing = Framing(N=12, centre=(7, 8), mask=mask)
        scan, _ = measured_scan(measurement(npy, frames), framing, GUESS)
        assert np.argwhere(scan.bad_pixels).tolist() == [where]
        assert scan.diffraction[:, *where].max() == 0
    with pytest.raises(errors.ShapeError, match=r"mask has shape \(5, 5\), but the frames .* are 15 x 20"):
        measured_scan(measurement(npy, frames), Framing(N=12, mask=np.eye(5, dtype=bool)), GUESS)


@given(*[st.sampled_from([5e-324, 1e-300, 1e-150, 1.0, 1e150, 1e308])] * 3)
def test_an_object_pixel_is_a_length_or_an_error(distance, wavelength, pixel):
    try:
        far = FarField(distance, wavelength, pixel)
        found = far.object_pixel_m(16)
    except errors.DataRangeError as error:
        assert "check their units" in str(error) or "in metres" in str(error)
    else:
        assert np.isfinite(found) and found > 0


@pytest.mark.parametrize("shape", [(2**62,), (5, 10**5, 10**5), (5, 2**32, 2**32), (2,)])
def test_values_of_no_size_are_refused_before_they_get_one(npy, only_sentence, shape):
    """A file of some bytes may declare any number of them."""
    with npy.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|S0", "fortran_order": False, "shape": shape})
        file.write(bytes(8))
    with pytest.raises(errors.DataFormatError, match="values of size zero") as caught:
        mapped_npy(npy)
    only_sentence(caught, npy)


def test_names_in_a_file_are_told_in_one_line(tmp_path, only_sentence):
    for entries in (
        {"a\nb\x1b[2J": np.ones((2, 4, 4), complex)},
        {"a\n1": np.ones(3), "b" * 9000: np.ones(3)},
    ):
        path = tmp_path / "a.npz"
        np.savez(path, **entries)
        with pytest.raises(errors.PinnDataError) as caught:
            open_frames(path)
        only_sentence(caught, path)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_frames_of_the_wrong_shape_are_never_cut_silently(npy):
    frames = made.counts(shape=(15, 20))
    with pytest.raises(errors.ShapeError, match=r"15 x 20, but square ones .* --size 14"):
        measured_scan(measurement(npy, frames), probe=GUESS)
    scan, said = measured_scan(measurement(npy, frames), Framing(N=12), GUESS)
    mean = frames.mean(axis=0)
    y, x = (int(np.floor(c + 0.5)) for c in beam_centre(mean))
    assert np.array_equal(scan.diffraction, frames[:, y - 6 : y + 6, x - 6 : x + 6])
    assert any(f"({y}, {x})" in s and "rounded" in s and "centre of mass" in s for s in said)
    assert any("15 x 20 cropped to 12 x 12" in s for s in said)
    given, _ = measured_scan(measurement(npy, frames), Framing(N=12, centre=(6.6, 8)), GUESS)
    assert np.array_equal(given.diffraction, frames[:, 1:13, 2:14])


def test_padding_is_said_and_keeps_every_count(npy):
    scan, said = measured_scan(measurement(npy, made.counts(N=15)), Framing(N=32, centre=(7, 7)), GUESS)
    assert scan.diffraction.sum() == made.counts(N=15).sum()
    assert any(f"{32 * 32 - 225} pixels padded" in s for s in said)
    assert scan.bad_pixels.sum() == 32 * 32 - 225  # nobody measured there


def test_a_zero_frequency_in_the_corner_is_found_and_moved(npy):
    corner = measurement(npy, np.fft.ifftshift(made.counts(), axes=(1, 2)))
    with pytest.raises(errors.DataRangeError, match=r"light lies in the corners.*--zero-frequency corner"):
        measured_scan(corner, probe=GUESS)
    assert np.array_equal(
        measured_scan(corner, Framing(zero_frequency="corner"), GUESS)[0].diffraction, made.counts()
    )
    kept = measured_scan(corner, Framing(zero_frequency="centre"), GUESS)[0]
    assert np.array_equal(kept.diffraction, np.fft.ifftshift(made.counts(), axes=(1, 2)))


@pytest.mark.parametrize(
    ("framing", "error", "sentence"),
    [
        (Framing(N=7), errors.ShapeError, "7 x 7 pixels were asked for, but an even size"),
        (Framing(centre=(20, 3)), errors.ShapeError, r"\(20, 3\) lies outside the detector of 16 x 16"),
        (Framing(unit="bananas"), errors.UnitError, "'bananas' is unknown"),
        (Framing(invert_mask=True), errors.DataKeyError, "no mask to invert"),
    ],
)
def test_bad_framing(npy, framing, error, sentence):
    with pytest.raises(error, match=sentence):
        measured_scan(measurement(npy, made.counts()), framing, GUESS)


def test_positions_in_a_length_need_a_geometry(npy):
    np.save(npy, made.counts())
    metres = Measurement(open_frames(npy), made.positions() * 1e-7, StageConvention("m", "probe"))
    with pytest.raises(
        errors.DataKeyError, match="--distance, --wavelength or --energy, and --detector-pixel"
    ):
        measured_scan(metres, probe=GUESS)
    scan, _ = measured_scan(metres, probe=GUESS, object_pixel_m=1e-7)
    steps = made.positions() - made.positions().min(axis=0)
    np.testing.assert_allclose(scan.positions - 8, steps, atol=1e-6)
    with pytest.raises(errors.PositionError, match="check their unit"):
        measured_scan(metres, probe=GUESS, object_pixel_m=1e-15)


def test_positions_in_pixels_stay_as_they_are(npy):
    geometry = FarField(made.DISTANCE, made.WAVELENGTH, made.PIXEL)
    scan, _ = measured_scan(measurement(npy, made.counts(), geometry=geometry), probe=GUESS)
    assert np.array_equal(scan.positions, made.positions())
    assert scan.metadata["pixel_size_m"] == made.object_pixel(16) and "origin_m" not in scan.metadata


@pytest.mark.parametrize("unit", ["counts", "intensity", "amplitude"])
def test_a_guessed_probe_has_the_far_field_of_the_mean_pattern(npy, unit):
    frames = made.counts() if unit == "counts" else np.sqrt(made.counts())
    scan, _ = measured_scan(measurement(npy, frames), Framing(unit=unit), GUESS)
    mean = (frames.astype(float) ** (2 if unit == "amplitude" else 1)).mean(axis=0)
    np.testing.assert_allclose(np.abs(far_field(scan.probe)) ** 2, mean, atol=1e-4 * mean.max())


def test_a_defocused_guess_is_wider_and_has_the_same_far_field():
    mean = np.abs(far_field(defocused_probe(64))) ** 2
    focus, behind = probe_from_patterns(mean), probe_from_patterns(mean, 40.0)
    np.testing.assert_allclose(np.abs(far_field(behind)), np.abs(far_field(focus)), atol=1e-5)

    def width(probe):
        y, x = np.mgrid[:64, :64] - 32
        return (np.abs(probe) ** 2 * (y**2 + x**2)).sum()

    assert width(behind) > 4 * width(focus)
    with pytest.raises(errors.DataRangeError, match="no counts"):
        probe_from_patterns(np.zeros((8, 8)))


def test_the_defocus_is_in_metres(npy):
    far = FarField(made.DISTANCE, made.WAVELENGTH, made.PIXEL)
    scan, said = measured_scan(
        measurement(npy, made.counts(), geometry=far), probe=ProbeChoice(guess=True, defocus_m=1e-3)
    )
    px2 = made.WAVELENGTH * 1e-3 / made.object_pixel(16) ** 2
    np.testing.assert_allclose(scan.probe, probe_from_patterns(made.counts().mean(axis=0), px2), atol=1e-5)
    assert any("0.001 m behind the focus" in s for s in said)
    with pytest.raises(errors.DataKeyError, match="needs the geometry"):
        measured_scan(measurement(npy, made.counts()), probe=ProbeChoice(guess=True, defocus_m=1e-3))


def stored(tmp_path, kind, array):
    path = tmp_path / f"stack.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez(path, patterns=array)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("patterns", data=array, chunks=(3, 5, 5), compression="gzip")
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "h5"])
@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">i4", "<f4"])
def test_a_stack_is_the_same_in_any_file(tmp_path, monkeypatch, kind, axis, order, dtype):
    monkeypatch.setattr("pinn_data.files.frame_stack._BLOCK_PIXELS", 500)  # several blocks
    frames = made.counts(n=7).astype(dtype)
    array = np.asarray(frames.transpose((0, 1, 2) if axis == 0 else (1, 2, 0)), order=order)
    stack = open_frames(stored(tmp_path, kind, array), None, axis)
    whole = DetectorWindow((16, 16), (8, 8), 16)
    seen = []
    out = stack.windowed(whole, None, seen.append)
    assert stack.shape == frames.shape and sum(seen) == 7 and out.dtype.isnative
    assert np.array_equal(out, frames)
    np.testing.assert_allclose(stack.mean(None, seen.append), frames.mean(axis=0), rtol=1e-6)
    chosen = np.array([1, 2, 6])
    assert np.array_equal(stack.windowed(whole, chosen, seen.append), frames[chosen])


def test_a_stack_is_never_in_memory_twice(tmp_path):
    import tracemalloc

    frames = np.random.default_rng(0).integers(0, 9, (400, 128, 128), np.uint16)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("patterns", data=frames, chunks=(1, 128, 128))
    tracemalloc.start()
    open_frames(path).windowed(DetectorWindow((128, 128), (64, 64), 128), None, lambda n: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < frames.nbytes + 3 * 2**22


def test_which_array_is_meant(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, one=np.ones((2, 4, 4)), other=np.ones((2, 4, 4)), flat=np.ones(3))
    with pytest.raises(errors.DataKeyError, match=r"several arrays with three axes \(one, other\)"):
        open_frames(path)
    assert open_frames(*split_entry(f"{path}:one")).shape == (2, 4, 4)
    with pytest.raises(errors.ShapeError, match="'flat' has shape"):
        open_frames(path, "flat")
    assert split_entry("no/such:thing") == (tmp_path.__class__("no/such"), "thing")
    assert split_entry("C:\\data.h5")[1] is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'", "damaged NPY"),
        (b"plain text", "not a known file of patterns"),
        (b"PK\x03\x04", "truncated or damaged NPZ"),
    ],
)
def test_damaged_stacks(npy, only_sentence, content, sentence):
    npy.write_bytes(content)
    with pytest.raises(errors.DataFormatError, match=sentence) as caught:
        open_frames(npy)
    only_sentence(caught, npy)


def test_an_npy_stack_that_declares_too_much_or_pickles(npy):
    np.save(npy, np.ones((3, 4, 4)))
    npy.write_bytes(npy.read_bytes().replace(b"(3, 4, 4)", b"(9999999, 4, 4)"[:9].ljust(9)))
    with pytest.raises(errors.DataFormatError, match="damaged NPY"):
        open_frames(npy)
    np.save(npy, np.array([{}, None], dtype=object))
    with pytest.raises(errors.DataFormatError, match="damaged NPY"):
        open_frames(npy)
    np.save(npy, np.ones((3, 4, 4)) * 1j)
    with pytest.raises(errors.DataFormatError, match="real numbers are needed"):
        open_frames(npy)
