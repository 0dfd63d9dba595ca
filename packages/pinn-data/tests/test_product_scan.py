"""Laws of the door to ptychodus: what enters comes out where it was, to the fraction of a pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import ShapeError
from pinn_data.files.product import Product
from pinn_data.run.product_scan import product_of_reconstruction, scan_of_product
from pinn_data.run.results import Reconstruction
from pinn_data.scan.positions import canvas_for
from pinn_data.testing import complex_objects, complex_probes, scan_positions

PIXEL, CENTER, SHAPE = np.array([1e-8, 2e-8]), (3e-6, -2e-6), (20, 24)


@st.composite
def products(draw, modes=1):
    pixels = draw(scan_positions(SHAPE, 8)) - 0.5
    return Product(
        positions_m=CENTER + (pixels - (np.array(SHAPE) - 1) / 2) * PIXEL,
        probe=draw(complex_probes(8, modes)),
        object=draw(complex_objects(SHAPE)),
        object_pixel_m=PIXEL,
        object_center_m=CENTER,
        detector_distance_m=1.9,
        photon_energy_eV=8800.0,
    )


def _patterns(product):
    return np.arange(len(product.positions_m) * 64, dtype=np.uint16).reshape(-1, 8, 8)


def _image(scan):
    canvas = canvas_for(scan.positions, scan.N)
    image = np.zeros(canvas.shape, np.complex64)
    return Reconstruction(
        image, np.ones(canvas.shape, np.float32), canvas, scan.positions, 0.1, scan.probe, {"total": 1.0}, 1
    )


@given(products())
def test_the_metres_of_a_pixel_are_those_of_the_object_that_it_stands_for(product):
    scan = scan_of_product(product, _patterns(product))
    found = _image(scan)
    made = product_of_reconstruction(found, product)
    np.testing.assert_allclose(made.positions_m, product.positions_m, atol=1e-15)
    np.testing.assert_allclose(made.positions_px() + found.canvas.origin, product.positions_px(), atol=1e-6)
    assert made.object.shape[1:] == found.object.shape and made.object_pixel_m == product.object_pixel_m


@given(products(modes=2))
def test_a_scan_has_what_the_product_has(product):
    scan = scan_of_product(product, _patterns(product))
    assert scan.unit == "counts" and scan.probe.shape == (2, 8, 8)
    np.testing.assert_array_equal(scan.positions, product.positions_px())
    np.testing.assert_array_equal(scan.object, product.object[0].astype(np.complex64))
    assert scan.metadata["photon_energy_eV"] == 8800.0
    again = product_of_reconstruction(_image(scan), product)
    np.testing.assert_array_equal(again.probe[0], scan.probe)


@given(products())
def test_each_position_needs_a_pattern(product):
    with pytest.raises(ShapeError):
        scan_of_product(product, np.ones((len(product.positions_m) + 1, 8, 8)))
