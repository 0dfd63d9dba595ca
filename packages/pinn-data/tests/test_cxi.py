"""CXI files: what is read is what was measured, whatever the axes of the detector."""

import attrs
import h5py
import measured_files as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_data import errors
from pinn_data.files.cxi import GivenGeometry, read_cxi
from pinn_data.files.cxi_writer import geometry_of, write_cxi
from pinn_data.files.measurement import Framing, ProbeChoice, measured_scan
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.scan.far_field import FarField, photon_energy_eV
from pinn_data.scan.stage_positions import StageConvention
from pinn_data.testing import scans
from scipy.ndimage import gaussian_filter

GUESS = ProbeChoice(guess=True)


def steps(positions):
    """What is left of positions when nothing is known of their origin."""
    return positions - positions.min(axis=0)


def every_bad_pixel(scan):
    """(n, N, N) bool."""
    bad = np.zeros(scan.diffraction.shape, bool)
    return bad if scan.bad_pixels is None else bad | scan.bad_pixels


def read(path, **options):
    return measured_scan(read_cxi(path, **options), probe=GUESS)[0]


@pytest.fixture
def cxi(tmp_path):
    """cxi(**entries) -> path of a small CXI file."""
    return lambda **entries: made.write_cxi(
        tmp_path / "scan.cxi", made.counts(), made.positions() * made.object_pixel(16), **entries
    )


def test_counts_and_steps_come_back(cxi):
    scan = read(cxi())
    assert scan.unit == "counts" and scan.diffraction.dtype == np.uint16
    assert np.array_equal(scan.diffraction, made.counts())
    np.testing.assert_allclose(steps(scan.positions), steps(made.positions()), atol=1e-9)
    assert scan.positions.min() == pytest.approx(8)  # N/2: every patch lies at pixels that are not negative
    metres = np.array(scan.metadata["origin_m"]) + scan.positions * scan.metadata["pixel_size_m"]
    np.testing.assert_allclose(metres, made.positions() * made.object_pixel(16), atol=1e-15)


@given(scan=scans(unit="counts"), order=st.booleans(), signs=st.tuples(*[st.sampled_from([-1, 1])] * 2))
def test_the_probe_moves_against_the_sample_along_the_axes_of_the_detector(tmp_path, scan, order, signs):
    """position = -(translation . row, translation . column), for detectors in any of the eight poses."""
    basis = np.array([[signs[0], 0, 0], [0, signs[1], 0]][:: 1 if order else -1], float).T * made.PIXEL
    metres = scan.positions * made.object_pixel(scan.N)
    translation = -(metres @ np.linalg.pinv(basis)) * made.PIXEL
    path = made.write_cxi(tmp_path / "a.cxi", scan.diffraction, metres, basis=basis, translation=translation)
    measured = read_cxi(path)
    np.testing.assert_allclose(measured.stage.on_object(measured.recorded), metres, atol=1e-15)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, lambda y, x: (-y, -x)),
        ({"motion": "probe"}, lambda y, x: (y, x)),
        ({"swap_xy": True}, lambda y, x: (-x, -y)),
        ({"negate_y": True}, lambda y, x: (y, -x)),
        ({"negate_x": True, "motion": "probe"}, lambda y, x: (y, -x)),
        ({"swap_xy": True, "negate_y": True, "motion": "probe"}, lambda y, x: (-x, y)),
        ({"unit": "um", "motion": "probe"}, lambda y, x: (y * 1e-6, x * 1e-6)),
        ({"unit": "px", "motion": "probe"}, lambda y, x: (y, x)),
    ],
)
def test_what_recorded_positions_mean(change, expected):
    stage = attrs.evolve(StageConvention("m", "sample"), **change)
    y, x = made.positions().T
    np.testing.assert_allclose(stage.on_object(np.stack([y, x], 1)), np.stack(expected(y, x), 1), rtol=1e-15)


@settings(max_examples=8)  # each writes two files
@given(scan=scans(unit="counts").filter(lambda scan: scan.diffraction.any(axis=(1, 2)).all()))
def test_a_scan_goes_into_a_cxi_file_and_comes_back(tmp_path, scan):
    far = FarField(1.3, 1e-10, 55e-6)
    path = write_cxi(tmp_path / "scan.cxi", scan, far)
    measured = read_cxi(path)
    back = measured_scan(
        measured, Framing(zero_frequency="centre"), object_pixel_m=far.object_pixel_m(scan.N)
    )
    bad = every_bad_pixel(scan)
    bad = bad | (bad.mean(axis=0) >= 0.9)  # of nearly all frames: of all
    assert np.array_equal(every_bad_pixel(back[0]), bad)
    assert np.array_equal(back[0].diffraction, np.where(bad, 0, scan.diffraction))
    assert np.array_equal(back[0].probe, scan.probe)
    background = np.where(bad.all(axis=0), 0, 0 if scan.background is None else scan.background)
    assert np.array_equal(0 * background if back[0].background is None else back[0].background, background)
    np.testing.assert_allclose(steps(back[0].positions), steps(scan.positions), atol=1e-6)
    assert measured.geometry.distance_m == far.distance_m
    again = read_cxi(write_cxi(tmp_path / "again.cxi", back[0], far))  # origin_m keeps the metres
    np.testing.assert_allclose(again.recorded, measured.recorded, atol=1e-12)


def test_amplitudes_are_squared_for_a_cxi_file(tmp_path, cxi):
    scan = read(cxi())
    amplitudes = read_scan(write_scan(tmp_path / "a.npz", scan, unit="amplitude"))
    with h5py.File(write_cxi(tmp_path / "b.cxi", amplitudes, geometry_of(amplitudes, {}))) as file:
        assert np.array_equal(file["entry_1/data_1/data"][()], made.counts())


def test_a_cxi_file_needs_a_geometry(cxi):
    scan = attrs.evolve(read(cxi()), metadata={"pixel_size_m": 1e-8})
    with pytest.raises(
        errors.DataKeyError, match=r"detector_distance_m \(--distance\), photon_energy_eV \(--en"
    ):
        geometry_of(scan, {})
    assert geometry_of(scan, {"detector_distance_m": 1.0, "photon_energy_eV": 8e3}).object_pixel_m(
        16
    ) == pytest.approx(1e-8)


def test_masked_pixels_are_bad_and_it_is_said(cxi):
    mask = np.zeros((16, 16), np.uint32)
    mask[8, 7], mask[2, 3] = 1, 0x1000  # the second bit is of a good pixel
    measured = read_cxi(cxi(mask=mask))
    scan, said = measured_scan(measured, probe=GUESS)
    expected = made.counts()
    expected[:, 8, 7] = 0
    assert np.array_equal(scan.diffraction, expected)
    assert np.argwhere(scan.bad_pixels).tolist() == [[8, 7]]
    assert "1 pixel(s) excluded by the mask in the file" in said
    assert scan.metadata["conversion"]["said"] == said
    assert not any("no mask" in s for s in said)
    kept, said = measured_scan(measured, Framing(file_mask=False), GUESS)
    assert np.array_equal(kept.diffraction, made.counts()) and kept.bad_pixels is None
    assert any("ignored, as requested" in s for s in said)
    with pytest.raises(errors.DataRangeError, match=r"255 of 256 pixels, .* --invert-mask"):
        measured_scan(measured, Framing(invert_mask=True), GUESS)


@pytest.mark.parametrize("marker", [-1, -7.25, np.nan, 9.0])
def test_what_lies_under_the_mask_of_the_file_is_never_read(cxi, marker):
    """The probe that is guessed, the centre, the unit and the patterns are those without it."""
    frames = made.counts(shape=(15, 20)).astype(float)
    mask = np.zeros((15, 20), np.uint32)
    mask[4, 5] = mask[7, 10] = mask[:, 12] = 1
    found = []
    for value in (0.0, marker):
        frames[:, mask == 1] = value
        found.append(measured_scan(read_cxi(cxi(data=frames, mask=mask)), Framing(N=12), GUESS))
    assert found[0][0].equals(found[1][0]) and found[0][0].unit == "counts"


def test_a_mask_a_frame_excludes_what_is_bad_in_any(cxi):
    mask = np.zeros((6, 16, 16), np.uint8)
    mask[2, 3, 4] = mask[5, 6, 7] = 1
    assert np.argwhere(read(cxi(mask=mask)).bad_pixels).tolist() == [[3, 4], [6, 7]]


def test_numbers_with_fractions_are_intensities_by_definition(cxi):
    assert read(cxi(data=made.counts() + 0.25)).unit == "intensity"


def test_dark_frames_are_the_background(cxi):
    path = cxi()
    dark = np.random.default_rng(0).poisson(3.0, (5, 16, 16))
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/detector_1/data_dark"] = dark
    scan = read(path)
    np.testing.assert_allclose(scan.background, dark.mean(axis=0))
    assert np.array_equal(scan.diffraction, made.counts())


@pytest.mark.parametrize(
    "entries",
    [
        {"wavelength": None, "energy": photon_energy_eV(made.WAVELENGTH) * 1.602176634e-19},
        {"wavelength": None, "energy": photon_energy_eV(made.WAVELENGTH)},
        {"y_pixel": None},
        {"x_pixel": None, "y_pixel": None},
        {"distance": -made.DISTANCE},
        {"link": None},
        {"basis": None},
        {"basis": made.ROWS_DOWN.T},
    ],
)
def test_customary_variants_give_the_same(cxi, entries):
    scan, plain = read(cxi(**entries)), read(cxi())
    assert scan.metadata["pixel_size_m"] == pytest.approx(plain.metadata["pixel_size_m"])
    np.testing.assert_allclose(scan.positions, plain.positions, atol=1e-9)


def test_the_corner_of_the_detector_tells_where_the_beam_is(cxi):
    # The beam meets the detector at row 8, column 7.
    corner = -np.array([[-7.0 * made.PIXEL, -8.0 * made.PIXEL, -made.DISTANCE]])[0]
    scan, said = measured_scan(read_cxi(cxi(corner=corner)), probe=GUESS)
    assert any("(8, 7), the beam centre in the file" in s for s in said)
    assert np.array_equal(scan.diffraction[:, :, 1:], made.counts()[:, :, :-1])


def test_the_probe_in_the_file_is_taken(cxi):
    probe = (np.arange(256).reshape(16, 16) + 1j).astype(np.complex64)
    assert np.array_equal(measured_scan(read_cxi(cxi(probe=probe)))[0].probe, probe)
    with pytest.raises(errors.DataKeyError, match=r"has no probe.*--guess-probe"):
        measured_scan(read_cxi(cxi()))


def test_what_is_given_beats_the_file(cxi):
    given = GivenGeometry(distance_m=1.0)
    assert read_cxi(cxi(), given).geometry == FarField(1.0, made.WAVELENGTH, made.PIXEL)
    given = GivenGeometry(1.0, 2e-10, (1e-4, 1e-4))
    everything = {"distance": None, "wavelength": None, "x_pixel": None, "y_pixel": None}
    assert read_cxi(cxi(**everything), given).geometry == FarField(1.0, 2e-10, 1e-4)


BAD = {
    "no frames": (
        {"link": None, "data": None},
        errors.DataKeyError,
        "has no dataset /entry_1/data_1/data or",
    ),
    "one pattern": ({"link": None, "data": np.ones((4, 4))}, errors.ShapeError, "three axes"),
    "no distance": ({"distance": None}, errors.DataKeyError, r"does not state its distance \(--distance\)"),
    "no translations": ({"translation": None}, errors.DataKeyError, "translation' is missing.*--from raw"),
    "flat translations": ({"translation": np.ones(18)}, errors.ShapeError, r"\(18,\).*\(frames, 3\)"),
    "too few translations": ({"translation": np.ones((5, 3))}, errors.ShapeError, "5 positions for 6 frames"),
    "NaN translations": ({"translation": np.full((6, 3), np.nan)}, errors.PositionError, "NaN"),
    "a distance of 0": ({"distance": 0.0}, errors.DataRangeError, "distance_m is 0, .* above 0"),
    "a distance of NaN": ({"distance": np.nan}, errors.DataRangeError, "one finite number is needed"),
    "two distances": ({"distance": [1.0, 2.0]}, errors.DataRangeError, "from 1 to 2, but one"),
    "text for a distance": ({"distance": "far"}, errors.DataRangeError, "real numbers are needed"),
    "an absurd energy": ({"energy": 1e-3}, errors.DataRangeError, "no plausible photon energy"),
    "a contradiction": ({"energy": 1e-15}, errors.DataRangeError, "choose one with --energy or --wavelength"),
    "no wavelength": (
        {"wavelength": 0.0, "energy": 1e-15},
        errors.DataRangeError,
        "is 0 m, but a length above",
    ),
    "a corner far away": ({"corner": [1e308, 0, 1]}, errors.DataRangeError, "no plausible detector position"),
    "endless basis vectors": (
        {"basis": made.ROWS_DOWN * 1e308 / made.PIXEL},
        errors.ShapeError,
        "two finite",
    ),
    "a pixel of nothing": (
        {"distance": 1e-300, "wavelength": 1e-300},
        errors.DataRangeError,
        "give an object pixel of 0 m: check their units",
    ),
    "a mask of another size": (
        {"mask": np.zeros((4, 4), "u4")},
        errors.ShapeError,
        r"mask has shape \(4, 4\)",
    ),
    "a mask in a row": ({"mask": np.zeros(256, "u4")}, errors.ShapeError, "but one mask, "),
    "a tilted detector": (
        {"basis": [[0, 1.0], [-1.0, 0], [-1.0, 0]]},
        errors.DataRangeError,
        "tilted by 45 degrees",
    ),
    "one basis vector": ({"basis": [[0, 1.0, 0]]}, errors.ShapeError, r"\(3, 2\), are needed"),
    "oblong pixels": ({"x_pixel": 2 * made.PIXEL}, errors.DataRangeError, "square ones are needed"),
    "frames elsewhere": (
        {"link": None, "data": h5py.ExternalLink("other.h5", "/data")},
        errors.DataFormatError,
        "link into another file",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_end_in_one_sentence(cxi, only_sentence, case):
    entries, error, sentence = BAD[case]
    path = cxi(**entries)
    with pytest.raises(error, match=sentence) as caught, errors.naming(path):
        read(path)
    only_sentence(caught, path)


def test_a_near_field_is_refused_unless_the_object_pixel_is_given(cxi):
    """Patterns that are images have structure at the scale of single pixels, unlike far fields."""
    image = np.random.default_rng(0).integers(0, 1000, (6, 16, 16), np.uint16)
    far = made.object_pixel(16)
    spread = np.random.default_rng(0).uniform(0, 2000 * far, (6, 3))
    measured = read_cxi(cxi(data=image, translation=spread))
    sentence = "looks like a near-field.*scale of single pixels.*would not overlap.*--object-pixel"
    with pytest.raises(errors.DataRangeError, match=sentence):
        measured_scan(measured, Framing(zero_frequency="centre"), GUESS)
    scan, said = measured_scan(measured, Framing(zero_frequency="centre"), GUESS, object_pixel_m=1e-7)
    assert scan.metadata["pixel_size_m"] == 1e-7
    assert any("near-field measurement, which the far-field model does not describe" in s for s in said)


def test_a_far_field_without_overlap_is_none_of_that(cxi):
    spread = np.random.default_rng(0).uniform(0, 2000 * made.object_pixel(16), (6, 3))
    assert len(read(cxi(translation=spread))) == 6


def test_the_measured_near_field(petra):
    """200 frames of 100 x 100, 9.7e6 counts each, a mask of 5 pixels, 20 um by 19 um; see its README."""
    measured = read_cxi(petra)
    assert measured.frames.shape == (200, 100, 100) and measured.frames.dtype == np.int32
    assert measured.frames.mask.sum() == 5
    assert measured.geometry.distance_m == pytest.approx(1.12)
    assert measured.geometry.wavelength_m == pytest.approx(0.979e-10, rel=1e-3)
    assert measured.geometry.detector_pixel_m == pytest.approx((55e-6, 55e-6))
    with pytest.raises(errors.DataRangeError, match="looks like a near-field measurement"):
        measured_scan(measured, probe=GUESS)
    scan, _ = measured_scan(measured, probe=GUESS, object_pixel_m=4e-8)
    with h5py.File(petra) as file:
        stored = file["entry_1/instrument_1/detector_1/data"][()]
        lab = file["entry_1/sample_1/geometry_1/translation"][:, :2].astype(float)
    assert np.array_equal(scan.diffraction.sum(axis=(1, 2)), stored.sum(axis=(1, 2)))  # masked pixels hold 0
    assert scan.nphotons == pytest.approx(9.67e6, rel=1e-3)
    np.testing.assert_allclose(np.ptp(scan.positions, axis=0) * 4e-8, [19.05e-6, 20.16e-6], rtol=1e-3)
    # Sample motion, and a detector whose rows and columns run along -y and -x.
    np.testing.assert_allclose(steps(scan.positions) * 4e-8, steps(lab[:, ::-1]), atol=1e-12)


def test_the_measured_images_move_against_the_probe(petra):
    """The patterns are magnified images of the sample, so they show by themselves how it moved: along both
    axes with one magnification of one sign. Any wrong sign, or x taken for y, would show here."""
    measured = read_cxi(petra)
    counts = next(block for _, block in measured.frames.blocks())[:60].astype(float)
    mean = counts.mean(axis=0)
    images = gaussian_filter(np.where(mean > 2000, (counts - mean) / np.sqrt(mean + 1), 0), (0, 1.5, 1.5))
    spectra = np.fft.fft2(images, s=(200, 200))
    fits = np.fft.fftshift(np.fft.ifft2(spectra[1:] * spectra[:-1].conj()).real, axes=(1, 2))[
        :, 88:113, 88:113
    ]
    shifts = np.array([np.unravel_index(fit.argmax(), fit.shape) for fit in fits]) - 12
    moves = np.diff(measured.stage.on_object(measured.recorded)[:60], axis=0) / 55e-6
    magnification = []
    for axis in (0, 1):
        assert np.corrcoef(shifts[:, axis], moves[:, axis])[0, 1] < -0.95
        assert abs(np.corrcoef(shifts[:, axis], moves[:, 1 - axis])[0, 1]) < 0.5
        magnification.append(np.polyfit(moves[:, axis], shifts[:, axis], 1)[0])
    np.testing.assert_allclose(magnification, -300, rtol=0.1)
