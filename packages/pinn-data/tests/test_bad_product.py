"""Bad product files: each is refused with one sentence."""

import attrs
import h5py
import numpy as np
import pytest
from pinn_data import errors
from pinn_data.files.product import Product, read_product, write_product


def a_product():
    return Product(
        np.ones((1, 2)), np.eye(4) * 1j, np.eye(6) * 1j, (1, 1), detector_distance_m=1, photon_energy_eV=1
    )


def without(*names):
    def change(file):
        for name in names:
            if name in file:
                del file[name]
            else:
                del file.attrs[name]

    return change


def replaced(name, value):
    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = value
        if not isinstance(value, h5py.ExternalLink):
            file[name].attrs.update(attributes)

    return change


def huge(file):
    attributes = dict(file["object"].attrs)
    del file["object"]
    file.create_dataset("object", (2**20, 2**20), "c8", chunks=(64, 64)).attrs.update(attributes)


def through_a_link(file):
    file["way"] = h5py.ExternalLink("other.h5", "/")
    del file["object"]
    file["object"] = h5py.SoftLink("/way/object")


def to_nowhere(file):
    del file["probe_position_x_m"]
    file["probe_position_x_m"] = h5py.SoftLink("/nowhere")


def one_text_many_times(file):
    del file["probe"]
    file.create_dataset("probe", (4,), h5py.string_dtype())[...] = "x" * 1000


def large_chunk(file):
    del file["loss_values"]
    options = {"chunks": (4 * 2**20,), "maxshape": (None,), "compression": "gzip"}
    file.create_dataset("loss_values", data=[1.0], **options)


def pixels_of_nothing(file):
    file["object"].attrs["pixel_height_m"], file["object"].attrs["center_y_m"] = 5e-324, 7.0


def attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


BAD_PRODUCTS = {
    "no object": (
        without("object"),
        errors.DataKeyError,
        "dataset 'object' is missing, .* export it from ptychodus",
    ),
    "no positions": (
        without("probe_position_x_m"),
        errors.DataKeyError,
        "dataset 'probe_position_x_m' is missing",
    ),
    "no energy": (
        without("photon_energy_eV", "probe_energy_eV"),
        errors.DataKeyError,
        "attribute photon_energy_eV is",
    ),
    "no distance": (
        without("detector_object_distance_m"),
        errors.DataKeyError,
        "detector_object_distance_m is missing",
    ),
    "NaN positions": (
        replaced("probe_position_x_m", [np.nan]),
        errors.PositionError,
        "1 of 1 scan positions are NaN",
    ),
    "odd positions": (
        replaced("probe_position_x_m", [1.0, 2.0]),
        errors.ShapeError,
        r"shapes \(1,\) \(y\) and \(2,\) \(x\)",
    ),
    "real object": (replaced("object", np.ones((6, 6))), errors.DataRangeError, "object has dtype float64"),
    "text for a probe": (
        replaced("probe", "probe"),
        errors.DataRangeError,
        "'probe' has dtype .*, but numbers",
    ),
    "link": (
        replaced("object", h5py.ExternalLink("other.h5", "/x")),
        errors.DataFormatError,
        "link into another file",
    ),
    "link through a link": (through_a_link, errors.DataFormatError, "'object' is a link into another file"),
    "link to nowhere": (
        to_nowhere,
        errors.DataKeyError,
        "'probe_position_x_m' is missing",
    ),
    "texts for a probe": (one_text_many_times, errors.DataRangeError, "'probe' has dtype object"),
    "nothing for a probe": (replaced("probe", h5py.Empty("c8")), errors.DataRangeError, "'probe' has dtype"),
    "a chunk of many MB": (large_chunk, errors.DataFormatError, "holds 8 bytes in chunks of 33554432"),
    "several energies": (
        attribute("photon_energy_eV", [1.0, 2.0]),
        errors.DataFormatError,
        r"photon_energy_eV of '/' has shape \(2,\)",
    ),
    "many names": (
        attribute("name", np.array(["a"] * 500, h5py.string_dtype())),
        errors.DataFormatError,
        r"attribute name of '/' has shape \(500,\)",
    ),
    "text for an energy": (
        attribute("photon_energy_eV", "much\nlight"),
        errors.DataFormatError,
        "not a readable",
    ),
    "an object far away": (pixels_of_nothing, errors.PositionError, "NaN or infinite"),
    "huge object": (
        huge,
        errors.DataFormatError,
        r"declares 8796093022208 bytes .* but 0 are stored: .* forged",
    ),
}


@pytest.mark.parametrize("case", BAD_PRODUCTS)
def test_a_bad_product_is_refused_in_one_sentence(tmp_path, only_sentence, case):
    change, error, sentence = BAD_PRODUCTS[case]
    path = write_product(tmp_path / "product.h5", a_product())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(error, match=sentence) as caught:
        read_product(path)
    only_sentence(caught, path)


def test_a_foreign_or_truncated_product_is_refused_in_one_sentence(tmp_path, only_sentence):
    path = write_product(tmp_path / "product.h5", a_product())
    whole = path.read_bytes()
    for content in (b"", b"PK\x03\x04" + bytes(99), whole[: len(whole) // 2], whole[:600]):
        path.write_bytes(content)
        with pytest.raises(
            errors.DataFormatError, match=r"not a readable HDF5 product .* export it again"
        ) as caught:
            read_product(path)
        only_sentence(caught, path)


def test_texts_whose_bytes_were_lost_are_refused(tmp_path, only_sentence):
    """The HDF5 library would walk along them without end, in C, where nothing stops it."""
    path = write_product(tmp_path / "product.h5", a_product())
    whole = path.read_bytes()
    start = whole.index(b"GCOL")
    for lost in (start + 16, start + 32, start + 60):
        path.write_bytes(whole[:lost] + bytes(start + 4096 - lost) + whole[start + 4096 :])
        with pytest.raises(errors.DataFormatError, match="an object of size zero") as caught:
            read_product(path)
        only_sentence(caught, path)


def test_four_letters_among_numbers_are_no_text(tmp_path):
    """What begins as a collection of texts does, in the middle of an object, harms nothing."""
    letters = np.frombuffer(b"GCOL" * 2 * 36, np.complex64).reshape(6, 6)
    product = attrs.evolve(a_product(), object=letters, name="GCOL" * 2**18)
    found = read_product(write_product(tmp_path / "product.h5", product))
    assert np.array_equal(found.object[0], letters) and found.name == product.name
