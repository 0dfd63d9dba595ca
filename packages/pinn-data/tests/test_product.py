"""Laws of product files: round trip, the layout that ptychodus 1.7.0 reads, the place of every pixel."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.files.product import Product, product_from_reconstruction, read_product, write_product
from pinn_data.scan.positions import canvas_for
from pinn_data.testing import complex_objects, complex_probes, scan_positions

EXPERIMENT = {"detector_distance_m": 1.9, "photon_energy_eV": 8800.0}


def a_product(**changes):
    fields = {
        "positions_m": np.array([[1e-6, 2e-6], [3e-6, 5e-6], [4e-6, 4e-6]]),
        "probe": np.arange(64).reshape(8, 8) * (1 - 2j),
        "object": np.arange(20 * 24).reshape(20, 24) * (1 + 1j),
        "object_pixel_m": (1e-8, 2e-8),
        **EXPERIMENT,
    }
    return Product(**(fields | changes))


@st.composite
def products(draw):
    positions = draw(scan_positions((20, 24), 8)) * 1e-8
    layers, opr = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    losses = draw(st.lists(st.floats(0, 1e9), max_size=4))
    return a_product(
        positions_m=positions,
        probe=np.stack([draw(complex_probes(8, 2))] * opr).astype(
            draw(st.sampled_from([np.complex64, complex]))
        ),
        object=np.stack([draw(complex_objects((20, 24)))] * layers),
        object_center_m=(3e-6, -2e-6),
        name=draw(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)),
        comments="two\nlines",
        exposure_time_s=0.25,
        probe_photon_count=draw(st.floats(0, 1e12)),
        tomography_angle_deg=30.0,
        layer_spacing_m=np.full(layers - 1, 1e-6),
        position_indexes=np.arange(len(positions))[::-1],
        opr_weights=np.ones((len(positions), opr)) if opr > 1 else None,
        loss_epochs=np.arange(len(losses)),
        loss_values=losses,
    )


ARRAYS = (
    "positions_m",
    "probe",
    "object",
    "position_indexes",
    "layer_spacing_m",
    "loss_epochs",
    "loss_values",
)
SCALARS = (
    "name",
    "comments",
    "object_pixel_m",
    "probe_pixel_m",
    "object_center_m",
    "detector_distance_m",
    "photon_energy_eV",
    "exposure_time_s",
    "probe_photon_count",
    "mass_attenuation_m2_per_kg",
    "tomography_angle_deg",
)


@given(product=products())
def test_reading_what_was_written_gives_the_product(tmp_path, product):
    read = read_product(write_product(tmp_path / "product.h5", product))
    for field in ARRAYS:
        np.testing.assert_array_equal(getattr(read, field), getattr(product, field))
    assert read.probe.dtype == product.probe.dtype
    assert [getattr(read, field) for field in SCALARS] == [getattr(product, field) for field in SCALARS]
    assert (read.opr_weights is None) == (product.opr_weights is None)


@given(positions=scan_positions((41, 47), 16), y=st.integers(-30, 30), x=st.integers(-30, 30))
def test_positions_come_back_as_pixels_of_the_image(positions, y, x):
    positions = positions + np.array([y, x])
    canvas = canvas_for(positions, 16)
    product = product_from_reconstruction(
        np.ones(canvas.shape, complex),
        positions,
        np.ones((16, 16), complex),
        canvas,
        pixel_size_m=(1.2e-8, 0.7e-8),
        **EXPERIMENT,
    )
    np.testing.assert_allclose(product.positions_px(), canvas.local(positions), rtol=0, atol=1e-6)


def test_products_of_two_parts_of_a_scan_share_their_metres():
    positions = np.array([[20.0, 30.0], [60.5, 35.0], [90.0, 80.25]])
    parts = []
    for part in (positions[:2], positions[1:]):
        canvas = canvas_for(part, 16)
        parts.append(
            product_from_reconstruction(
                np.ones(canvas.shape, complex),
                part,
                np.ones((16, 16), complex),
                canvas,
                pixel_size_m=1e-8,
                **EXPERIMENT,
            )
        )
    np.testing.assert_array_equal(parts[0].positions_m[1], parts[1].positions_m[0])


def test_the_file_has_the_layout_of_ptychodus(tmp_path):
    """Keys, shapes and units as its load_product looks them up (ptychodus 1.7.0, api/io.py)."""
    product = a_product(exposure_time_s=0.5, loss_epochs=[1, 2], loss_values=[3.0, 2.0], name="star")
    with h5py.File(write_product(tmp_path / "product.h5", product)) as file:
        numbers = ("detector_object_distance_m", "photon_energy_eV", "probe_energy_eV", "exposure_time_s")
        assert [float(file.attrs[key]) for key in numbers] == [1.9, 8800.0, 8800.0, 0.5]
        assert file.attrs["name"] == "star"
        assert file["probe"].shape == (1, 1, 8, 8)
        assert file["object"].shape == (1, 20, 24)
        assert file["object_layer_spacing_m"].shape == (0,)
        np.testing.assert_array_equal(file["probe_position_x_m"], [2e-6, 5e-6, 4e-6])
        np.testing.assert_array_equal(file["probe_position_y_m"], [1e-6, 3e-6, 4e-6])
        np.testing.assert_array_equal(file["probe_position_indexes"], [0, 1, 2])
        for key in ("probe", "object"):
            assert (file[key].attrs["pixel_height_m"], file[key].attrs["pixel_width_m"]) == (1e-8, 2e-8)
        assert (file["object"].attrs["center_y_m"], file["object"].attrs["center_x_m"]) == (0, 0)
        assert file["loss_values"][()].tolist() == [3.0, 2.0]


def test_the_position_in_metres_is_the_middle_of_the_patch_as_ptychodus_has_it():
    """ObjectGeometry.map_coordinates_probe_to_object: (position - center) / pixel + (extent - 1) / 2."""
    positions, N = np.array([[20.0, 31.0]]), 16
    canvas = canvas_for(positions, N)  # exactly this patch, whose middle is that of the array
    product = product_from_reconstruction(
        np.ones(canvas.shape, complex),
        positions,
        np.ones((N, N), complex),
        canvas,
        pixel_size_m=2e-8,
        **EXPERIMENT,
    )
    np.testing.assert_allclose(product.positions_m[0], product.object_center_m)


def test_older_files_read_too(tmp_path):
    path = write_product(tmp_path / "product.h5", a_product(loss_epochs=[0], loss_values=[7.0]))
    with h5py.File(path, "r+") as file:
        del file.attrs["photon_energy_eV"]
        file.move("loss_values", "costs")
        del file["loss_epochs"], file["object_layer_spacing_m"]
        del file["probe"].attrs["pixel_width_m"], file["probe"].attrs["pixel_height_m"]
        flat = file["object"][0]
        attributes = dict(file["object"].attrs)
        del file["object"]
        file["object"] = flat
        file["object"].attrs.update(attributes)
    product = read_product(path)
    assert product.photon_energy_eV == 8800
    assert product.loss_values.tolist() == [7.0]
    assert product.loss_epochs.tolist() == [0]
    assert product.object.shape == (1, 20, 24)
    assert product.probe_pixel_m == (1e-8, 2e-8)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        (
            {"object": np.ones((4, 4))},
            DataRangeError,
            "object has dtype float64, but a product holds complex",
        ),
        ({"probe": np.full((4, 4), np.nan + 0j)}, DataRangeError, "probe holds NaN or infinity"),
        ({"object": np.ones(4, complex)}, ShapeError, r"object has shape \(4,\), but 2 to 3 axes"),
        ({"object_pixel_m": (0.0, 1e-8)}, DataRangeError, "pixel size .* is not positive"),
        ({"object_center_m": 1.0}, ShapeError, "not a pair"),
        ({"photon_energy_eV": np.inf}, DataRangeError, "photon_energy_eV = inf is not finite"),
        ({"position_indexes": [1]}, ShapeError, "1 position indexes for 3 positions"),
        ({"layer_spacing_m": [1e-6]}, ShapeError, "1 layer spacings for 1 object layers"),
        ({"loss_values": [1.0]}, ShapeError, "0 loss epochs for 1 loss values"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_sentence(changes, error, sentence):
    with pytest.raises(error, match=sentence):
        a_product(**changes)


def test_an_image_of_another_shape_than_its_canvas_is_refused():
    canvas = canvas_for([[20, 30]], 16)
    with pytest.raises(ShapeError, match=r"shape \(15, 16\), but its canvas is \(16, 16\)"):
        product_from_reconstruction(
            np.ones((15, 16), complex),
            [[20, 30]],
            np.ones((16, 16), complex),
            canvas,
            pixel_size_m=1e-8,
            **EXPERIMENT,
        )
