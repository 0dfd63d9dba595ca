"""Reconstructions as files: what is written is read, in both formats, at the same place."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.errors import DataFormatError
from pinn_data.files.npz import write_scan
from pinn_data.files.product import read_product
from pinn_data.scan.geometry import Geometry
from pinn_data.scan.positions import Canvas
from pinn_data.testing import small_scan
from pinn_dispatch.errors import ReconstructionFileError, ReconstructionFileNotFoundError
from pinn_dispatch.reconstruction import (
    Reconstruction,
    product_of,
    read_image,
    read_metadata,
    read_reconstruction,
    reconstruction_of,
    write_reconstruction,
)


@st.composite
def reconstructions(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(8, 20)), draw(st.integers(8, 20)))
    origin = (draw(st.integers(-50, 50)), draw(st.integers(-50, 50)))
    count = draw(st.integers(1, 6))

    def waves(*size):
        return (rng.normal(size=size) + 1j * rng.normal(size=size)).astype(np.complex64)

    return Reconstruction(
        waves(*shape),
        rng.random(shape, np.float32),
        Canvas(origin, shape),
        rng.normal(size=(count, 2)) * 10,
        waves(*([2] * draw(st.booleans())), 8, 8),
        {"seed": 3, "region": None},
    )


@given(reconstructions())
def test_read_is_the_inverse_of_write(tmp_path, found):
    npz, _ = write_reconstruction(tmp_path, found)
    for path in (npz, tmp_path):
        again = read_reconstruction(path)
        for field in ("object", "coverage", "positions", "probe"):
            assert np.array_equal(getattr(again, field), getattr(found, field))
        assert (again.canvas, dict(again.metadata)) == (found.canvas, dict(found.metadata))


@given(reconstructions())
def test_both_files_hold_the_same_image_at_the_same_place(tmp_path, found):
    ours, product = (read_image(path) for path in write_reconstruction(tmp_path, found))
    assert np.array_equal(ours.image, product.image)
    assert ours.origin == found.canvas.origin
    assert np.allclose(product.origin, ours.origin, atol=1e-6)
    assert np.allclose(product.positions, found.positions, atol=1e-6)


def test_the_product_takes_its_geometry_from_the_scan(tmp_path, scan):
    rng = np.random.default_rng(0)
    found = Reconstruction(
        rng.normal(size=(9, 8)).astype(np.complex64),
        np.ones((9, 8), np.float32),
        Canvas((0, 0), (9, 8)),
        np.array([[4.0, 4.5]]),
        scan.probe,
    )
    told = attrs.evolve(
        scan, metadata={"pixel_size_m": 2e-9, "detector_distance_m": 3.0, "photon_energy_eV": 9000}
    )
    product = read_product(write_reconstruction(tmp_path, found, told)[1])
    assert product.object_pixel_m == (2e-9, 2e-9)
    assert (product.detector_distance_m, product.photon_energy_eV) == (3.0, 9000.0)
    assert "nominal" not in product.comments
    untold = read_product(write_reconstruction(tmp_path, found, attrs.evolve(scan, metadata={}))[1])
    assert "nominal" in untold.comments and "pixel_size_m" in untold.comments


@given(
    found=reconstructions(),
    pixel=st.sampled_from([2e-8, 7.3e-9]),
    energy=st.sampled_from([8800.0, 530.0]),
)
def test_the_geometry_survives_from_the_scan_to_the_product(tmp_path, found, pixel, energy):
    """scan -> reconstruction NPZ -> product -> reconstruction: pinn convert in both directions."""
    geometry = Geometry((pixel, pixel), energy, 1.9)
    scan = attrs.evolve(small_scan(16), metadata=geometry.metadata())
    npz, product = write_reconstruction(tmp_path, found, scan)
    again = read_reconstruction(npz)
    assert again.geometry == geometry
    assert read_image(npz).pixel_size_m == (pixel, pixel)
    for made in (product_of(again, {}), read_product(product)):
        assert (made.object_pixel_m, made.photon_energy_eV) == ((pixel, pixel), energy)
        assert "nominal" not in made.comments
        assert reconstruction_of(made).geometry == geometry
    assert again.measured_in(Geometry((1.0, 2.0), 3.0, 4.0)).geometry == geometry  # its own goes first


def test_the_object_of_a_scan_is_an_image_at_the_origin(scan, tmp_path):
    image = read_image(write_scan(tmp_path / "s.npz", scan))
    assert np.array_equal(image.image, scan.object)
    assert image.origin == (0.0, 0.0)


def test_what_is_no_reconstruction(scan, tmp_path):
    with pytest.raises(ReconstructionFileNotFoundError, match="run 'pinn infer' first"):
        read_image(tmp_path / "nothing.npz")
    with pytest.raises(FileNotFoundError, match=r"reconstruction\.npz"):
        read_reconstruction(tmp_path)
    bare = write_scan(tmp_path / "bare.npz", attrs.evolve(scan, object=None))
    with pytest.raises(ReconstructionFileError, match="holds no image"):
        read_image(bare)
    with pytest.raises(ReconstructionFileError, match="it lacks object, coverage, canvas_origin"):
        read_reconstruction(bare)


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": np.array("[" * 100_000)},
        {"metadata": np.array([], "U1")},
        {"metadata": np.array(["{}", "{}"])},
        {"canvas_origin": np.array([1.5, np.nan])},
        {"canvas_origin": np.array(["a", "b"])},
        {"object": np.full((3, 4), "a")},
        {"coverage": np.zeros((3, 4), "M8[s]")},
        {"xcoords": np.array([1j])},
    ],
)
def test_a_reconstruction_with_arrays_of_another_kind_is_refused(tmp_path, change):
    good = {
        "object": np.ones((3, 4), np.complex64),
        "coverage": np.ones((3, 4), np.float32),
        "canvas_origin": np.array([1, 2]),
        "xcoords": np.zeros(1),
        "ycoords": np.zeros(1),
        "probeGuess": np.ones((2, 2), np.complex64),
    }
    path = tmp_path / "reconstruction.npz"
    np.savez(path, **good)
    assert read_reconstruction(path).canvas.origin == (1, 2)
    np.savez(path, **(good | change))
    with pytest.raises(ValueError, match=r"reconstruction\.npz|metadata") as caught:
        read_reconstruction(path)
    assert type(caught.value).__module__ in ("pinn_dispatch.errors", "pinn_data.errors")


def test_a_failed_write_leaves_nothing(tmp_path, scan):
    bad = Reconstruction(
        np.full((9, 9), np.nan, np.complex64),
        np.ones((9, 9), np.float32),
        Canvas((0, 0), (9, 9)),
        np.array([[4.0, 4.0]]),
        scan.probe,
        {"unwritable": object()},
    )
    with pytest.raises(TypeError):
        write_reconstruction(tmp_path, bad)
    assert list(tmp_path.iterdir()) == []


def test_metadata_of_any_size_are_not_read(tmp_path):
    """A file of some kB may hold a text of gigabytes."""
    path = tmp_path / "reconstruction.npz"
    place = {"xcoords": np.zeros(1), "ycoords": np.zeros(1), "canvas_origin": np.zeros(2, int)}
    image = {"object": np.ones((2, 2), np.complex64), "coverage": np.ones((2, 2))}
    probe = np.ones((2, 2), np.complex64)
    np.savez_compressed(path, **image, **place, probeGuess=probe, metadata=np.array(" " * 2**21))
    for read in (read_metadata, read_reconstruction):
        with pytest.raises(DataFormatError, match=rf"{path.name}.*metadata' declares {4 * 2**21} bytes"):
            read(path)
