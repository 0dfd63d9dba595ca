"""CXI files and frames as a beamline might write them, for several tests."""

import h5py
import numpy as np

PIXEL, DISTANCE, WAVELENGTH = 75e-6, 2.0, 1.2e-10
ROWS_DOWN = np.array([[0.0, -PIXEL], [-PIXEL, 0.0], [0.0, 0.0]])  # cdtools: rows along -y, columns along -x


def counts(n=6, N=16, seed=0, shape=None):
    """Poisson counts of a lopsided spot in the middle."""
    height, width = shape or (N, N)
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((y - height // 2 - 0.4) ** 2 / 5 + (x - width // 2 + 0.7) ** 2 / 9))
    return np.random.default_rng(seed).poisson(200 * spot, (n, height, width)).astype(np.uint16)


def object_pixel(N):
    return WAVELENGTH * DISTANCE / (N * PIXEL)


def positions(n=6, seed=0):
    """(n, 2) as (y, x), object pixels; y and x differ."""
    return np.random.default_rng(seed).uniform((0, 20), (12, 60), (n, 2))


def put(file, name, value):
    """A dataset in the place of another one, or nothing for None."""
    if name in file:
        del file[name]
    if value is not None:
        file[name] = value


def write_cxi(path, patterns, metres, **entries):
    """A CXI file of patterns whose probe lay at `metres` (n, 2) as (y, x), rows down; entries by their path
    with _ for /."""
    translation = np.zeros((len(metres), 3))
    # The sample moves against the probe, and y up and x to the left against rows and columns: both cancel.
    translation[:, 0], translation[:, 1] = metres[:, 1], metres[:, 0]
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"], detector["distance"] = patterns, DISTANCE
        detector["x_pixel_size"] = detector["y_pixel_size"] = PIXEL
        detector["basis_vectors"] = ROWS_DOWN
        file["entry_1/instrument_1/source_1/wavelength"] = WAVELENGTH
        file["entry_1/sample_1/geometry_1/translation"] = translation
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        for name, value in entries.items():
            put(file, PLACES[name], value)
    return path


PLACES = {
    "distance": "entry_1/instrument_1/detector_1/distance",
    "mask": "entry_1/instrument_1/detector_1/mask",
    "basis": "entry_1/instrument_1/detector_1/basis_vectors",
    "corner": "entry_1/instrument_1/detector_1/corner_position",
    "x_pixel": "entry_1/instrument_1/detector_1/x_pixel_size",
    "y_pixel": "entry_1/instrument_1/detector_1/y_pixel_size",
    "energy": "entry_1/instrument_1/source_1/energy",
    "wavelength": "entry_1/instrument_1/source_1/wavelength",
    "probe": "entry_1/instrument_1/source_1/illumination",
    "translation": "entry_1/sample_1/geometry_1/translation",
    "link": "entry_1/data_1/data",
    "data": "entry_1/instrument_1/detector_1/data",
}
