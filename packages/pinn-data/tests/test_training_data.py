"""What ptychodus exports: its positions mean the middle of a patch, its frames have scan points."""

import attrs
import h5py
import numpy as np
import pytest
from pinn_data import errors
from pinn_data.files.frame_stack import open_frames
from pinn_data.files.measurement import Framing, measured_scan
from pinn_data.files.npz import write_scan
from pinn_data.files.product import NUMBERS, Product, write_product
from pinn_data.files.product_npz import read_any_product, read_product_npz
from pinn_data.files.training_data import product_measurement, read_training_data, read_training_npz
from pinn_data.scan.diffraction import check_values
from pinn_data.testing import noise_free, small_scan

PIXEL, DISTANCE, ENERGY = 1.1e-8, 1.5, 9000.0


@pytest.fixture(scope="module")
def scan():
    """Counts with their object, and two modes."""
    return small_scan(16, modes=2)


def entries(scan):
    """The entries of a training file (HDF5), as ptychodus 1.7.0 writes them."""
    return {
        "patterns": scan.diffraction,
        "bad_pixels": np.eye(scan.N, dtype=bool),
        "probe": scan.probe,
        "object": scan.object,
        "probe_position_x_px": scan.positions[:, 1] - 0.5,
        "probe_position_y_px": scan.positions[:, 0] - 0.5,
        "object_pixel_width_m": PIXEL,
        "object_pixel_height_m": PIXEL,
        "detector_object_distance_m": DISTANCE,
        "photon_energy_eV": ENERGY,
    }


def write_training(path, scan, **changes):
    with h5py.File(path, "w") as file:
        for key, value in (entries(scan) | changes).items():
            if value is not None:
                file[key] = value
    return path


def test_a_training_file_is_the_scan_half_a_pixel_further(tmp_path, scan):
    found, said = measured_scan(
        read_training_data(write_training(tmp_path / "a.h5", scan)), Framing(file_mask=False)
    )
    assert np.array_equal(found.diffraction, scan.diffraction) and found.unit == "counts"
    np.testing.assert_allclose(found.positions, scan.positions, atol=1e-12)
    assert np.array_equal(found.probe, scan.probe) and np.array_equal(found.object, scan.object)
    assert found.metadata["pixel_size_m"] == pytest.approx(PIXEL)
    assert found.metadata["photon_energy_eV"] == pytest.approx(ENERGY)
    assert any("moved by half a pixel" in s for s in said)


def test_the_object_lies_under_its_patterns(tmp_path, scan):
    """The forward model of what was read predicts what was measured; half a pixel aside it does not."""
    found, _ = measured_scan(
        read_training_data(write_training(tmp_path / "a.h5", scan)), Framing(file_mask=False)
    )
    predicted = noise_free(found).amplitude()
    check_values(predicted)

    def misfit(other):
        return np.abs(other - scan.amplitude()).mean()

    aside = noise_free(attrs.evolve(found, positions=found.positions - 0.5)).amplitude()
    assert misfit(predicted) < misfit(aside)


def test_a_training_npz_is_the_same(tmp_path, scan):
    values = entries(scan)
    np.savez(
        tmp_path / "a.npz",
        diff3d=values["patterns"],
        bad_pixels=values["bad_pixels"],
        xcoords=values["probe_position_x_px"],
        ycoords=values["probe_position_y_px"],
        probeGuess=scan.probe,
        objectGuess=scan.object,
    )
    found, said = read_training_npz(tmp_path / "a.npz")
    assert np.array_equal(found.diffraction, scan.diffraction * ~np.eye(16, dtype=bool))
    assert np.array_equal(found.bad_pixels, np.eye(16))
    np.testing.assert_allclose(found.positions, scan.positions, atol=1e-12)
    assert found.metadata["conversion"]["said"] == said
    write_scan(tmp_path / "b.npz", found, unit="counts")


BAD = {
    "no probe": (
        {"probe": None},
        errors.DataKeyError,
        "dataset 'probe' is missing.*export it from ptychodus",
    ),
    "no energy": ({"photon_energy_eV": None}, errors.DataKeyError, "'photon_energy_eV' is missing"),
    "no light": ({"photon_energy_eV": 0.0}, errors.DataRangeError, "not a valid geometry"),
    "x and y": ({"probe_position_x_px": [1.0]}, errors.ShapeError, r"\(12,\) \(y\) and \(1,\) \(x\)"),
    "a real probe": ({"probe": np.ones((16, 16))}, errors.DataRangeError, "complex numbers are needed"),
    "another mask": ({"bad_pixels": np.zeros((3, 3))}, errors.ShapeError, "bad_pixels is float64 of shape"),
}


@pytest.mark.parametrize("bad", [np.full((16, 16), "a"), np.zeros((16, 16), [("a", "f8")]), np.zeros((3, 3))])
def test_a_mask_that_is_none(tmp_path, scan, only_sentence, bad):
    path = tmp_path / "a.npz"
    y, x = scan.positions.T
    np.savez(path, diff3d=scan.diffraction, bad_pixels=bad, xcoords=x, ycoords=y, probeGuess=scan.probe)
    with pytest.raises(errors.PinnDataError, match=r"bad_pixels has (dtype|shape) .*, but") as caught:
        read_training_npz(path)
    only_sentence(caught, path)


@pytest.mark.parametrize("case", BAD)
def test_bad_training_files(tmp_path, scan, only_sentence, case):
    changes, error, sentence = BAD[case]
    path = write_training(tmp_path / "a.h5", scan, **changes)
    with pytest.raises(error, match=sentence) as caught:
        read_training_data(path)
    only_sentence(caught, path)


def product_of(scan, **fields):
    middle = (np.array(scan.object.shape) - 1) / 2
    centre = np.array([3e-7, -2e-7])
    return Product(
        (scan.positions - 0.5 - middle) * PIXEL + centre,
        scan.probe[None],
        scan.object[None],
        (PIXEL, PIXEL),
        object_center_m=centre,
        detector_distance_m=DISTANCE,
        photon_energy_eV=ENERGY,
        **fields,
    )


def test_a_product_and_its_patterns_are_the_scan(tmp_path, scan):
    np.save(tmp_path / "a.npy", scan.diffraction)
    found, _ = measured_scan(product_measurement(product_of(scan), open_frames(tmp_path / "a.npy")))
    assert np.array_equal(found.diffraction, scan.diffraction)
    np.testing.assert_allclose(found.positions, scan.positions, atol=1e-9)
    assert np.array_equal(found.probe, scan.probe) and np.array_equal(found.object, scan.object)
    assert found.metadata["pixel_size_m"] == pytest.approx(PIXEL)


def test_frames_and_positions_are_matched_by_their_scan_points(tmp_path, scan):
    """Permuted positions, and frames without one: each frame still gets its own."""
    order = np.random.default_rng(0).permutation(len(scan))[:-2]
    product = product_of(scan.select(order), position_indexes=100 + order)
    np.savez(tmp_path / "a.npz", patterns=scan.diffraction, indexes=100 + np.arange(len(scan)))
    found, said = measured_scan(product_measurement(product, open_frames(tmp_path / "a.npz")))
    kept = np.sort(order)
    assert np.array_equal(found.diffraction, scan.diffraction[kept])
    np.testing.assert_allclose(found.positions, scan.positions[kept], atol=1e-9)
    assert "10 of 12 frames have a position with the same scan index" in said
    np.savez(tmp_path / "a.npz", patterns=scan.diffraction, indexes=np.arange(len(scan)))
    with pytest.raises(errors.ShapeError, match="0 of them in the product"):
        product_measurement(product, open_frames(tmp_path / "a.npz"))


def test_other_patterns_do_not_fit(tmp_path, scan):
    np.save(tmp_path / "a.npy", scan.diffraction[1:])
    with pytest.raises(errors.ShapeError, match="12 positions for 11 frames"):
        measured_scan(product_measurement(product_of(scan), open_frames(tmp_path / "a.npy")))
    np.save(tmp_path / "a.npy", scan.diffraction[:, 1:-1, 1:-1])
    with pytest.raises(errors.ShapeError, match=r"become 14 x 14: crop them with --size"):
        measured_scan(product_measurement(product_of(scan), open_frames(tmp_path / "a.npy")))
    np.save(tmp_path / "a.npy", np.pad(scan.diffraction, ((0, 0), (5, 4), (6, 1))))
    cut = Framing(N=16, centre=(13, 14))
    found, _ = measured_scan(product_measurement(product_of(scan), open_frames(tmp_path / "a.npy")), cut)
    assert np.array_equal(found.diffraction, scan.diffraction)


def write_product_npz(path, product, **changes):
    arrays = {
        "name": product.name,
        "comments": product.comments,
        "far_field": product.far_field,
        **{keys[0]: getattr(product, field) for field, (keys, _) in NUMBERS.items()},
        "probe_position_indexes": product.position_indexes,
        "probe_position_x_m": product.positions_m[:, 1],
        "probe_position_y_m": product.positions_m[:, 0],
        "probe": product.probe,
        "object": product.object,
        "object_center_x_m": product.object_center_m[1],
        "object_center_y_m": product.object_center_m[0],
        "object_pixel_height_m": product.object_pixel_m[0],
        "object_pixel_width_m": product.object_pixel_m[1],
        "object_layer_spacing_m": product.layer_spacing_m,
        "loss_epochs": product.loss_epochs,
        "loss_values": product.loss_values,
    } | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_a_product_is_the_same_in_npz_and_in_hdf5(tmp_path, scan):
    product = product_of(
        scan, name="a star", comments="two", far_field=False, loss_values=[2.0, 1.0], loss_epochs=[0, 3]
    )
    flat = read_any_product(write_product_npz(tmp_path / "a.npz", product))
    tree = read_any_product(write_product(tmp_path / "a.h5", product))
    for field in attrs.fields(Product):
        one, two = getattr(flat, field.name), getattr(tree, field.name)
        assert np.array_equal(one, two) if one is not None else two is None, field.name
    assert not flat.far_field and flat.name == "a star" and flat.loss_epochs.tolist() == [0, 3]


def test_one_loss_that_is_no_list(tmp_path, scan):
    path = write_product_npz(tmp_path / "a.npz", product_of(scan), loss_values=2.5, loss_epochs=None)
    found = read_product_npz(path)
    assert found.loss_values.tolist() == [2.5] and found.loss_epochs.tolist() == [0]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"object_pixel_width_m": None}, errors.DataKeyError, "no entry 'object_pixel_width_m'"),
        ({"photon_energy_eV": None}, errors.DataKeyError, "no entry 'photon_energy_eV'"),
        ({"photon_energy_eV": [1.0, 2.0]}, errors.ShapeError, "one number is needed"),
        ({"probe": "text"}, errors.DataRangeError, "numbers are needed"),
        ({"probe": np.array([{}], object)}, errors.DataFormatError, "pickled"),
        ({"probe_position_x_m": [1.0]}, errors.ShapeError, "one number per frame"),
    ],
)
def test_bad_products_in_npz(tmp_path, scan, only_sentence, changes, error, sentence):
    path = write_product_npz(tmp_path / "a.npz", product_of(scan), **changes)
    with pytest.raises(error, match=sentence) as caught:
        read_product_npz(path)
    only_sentence(caught, path)
