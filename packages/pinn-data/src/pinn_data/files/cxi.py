"""CXI files: measurements in HDF5, in SI units, in the laboratory's axes.

==========================================  ================================================================
entry, below ``/entry_1``                   meaning
==========================================  ================================================================
``data_1/data``                             (n, H, W) frames; else ``instrument_1/detector_1/data``
``instrument_1/detector_1/distance``        metres, from the sample
``…/x_pixel_size``, ``…/y_pixel_size``      metres; one alone stands for both
``…/basis_vectors``                         (3, 2): columns are the steps along rows (first) and columns
``…/corner_position``                       (3,) metres, where the frames begin
``…/mask``, or NeXus' ``…/pixel_mask``       ([n,] H, W) bits (:mod:`pinn_data.files.detector_masks`)
``…/data_dark``                             ([n,] H, W), counts without light: their mean is the background
``instrument_1/source_1/energy``            joules; else ``wavelength``, metres
``instrument_1/source_1/illumination``      ([modes,] H, W) complex, optional: a probe
``sample_1/geometry_1/translation``         (n, 3) metres (x, y, z): where the *sample* was moved
==========================================  ================================================================

The laboratory's z runs along the beam, y up. Without basis vectors rows step along -y and columns along -x.
The probe's position on the sample is the negative translation; its components along rows and columns are
positions of ours.

Source: the CXI file format, version 1.6 (F. R. N. C. Maia, Nature Methods 9, 854, 2012); the default basis is
that of cdtools. ptychodus writes positions of the probe, y down, which comes to the same.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import DataKeyError, DataRangeError, ShapeError
from pinn_data.files.detector_masks import find_mask
from pinn_data.files.frame_stack import hdf5_frames
from pinn_data.files.hdf5 import find_dataset, label, missing, opened, read_numbers, read_one
from pinn_data.files.measurement import Measurement
from pinn_data.scan.far_field import FarField, photon_energy_eV, wavelength_m
from pinn_data.scan.stage_positions import StageConvention

__all__ = ["DATA", "GivenGeometry", "is_cxi", "read_cxi"]

DATA = ("/entry_1/data_1/data", "/entry_1/instrument_1/detector_1/data")
_DETECTOR = "/entry_1/instrument_1/detector_1"
_SOURCE = "/entry_1/instrument_1/source_1"
_TRANSLATION = (
    "/entry_1/sample_1/geometry_1/translation",
    "/entry_1/data_1/translation",
    f"{_DETECTOR}/translation",
)
_J_per_eV = 1.602176634e-19
_SQUARE_ON = 0.05  # sine of the angle up to which a detector faces the beam


@attrs.frozen
class GivenGeometry:
    """What a person says of the geometry; None leaves it to the file."""

    distance_m: float | None = None
    wavelength_m: float | None = None
    detector_pixel_m: tuple[float, float] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to a file."""
        return None not in (self.distance_m, self.wavelength_m, self.detector_pixel_m)

    @property
    def far_field(self) -> FarField | None:
        """The geometry, where nothing is left to a file."""
        if self.distance_m is None or self.wavelength_m is None or self.detector_pixel_m is None:
            return None
        return FarField(self.distance_m, self.wavelength_m, self.detector_pixel_m)


def is_cxi(file: h5py.File) -> bool:
    """Whether an HDF5 file is laid out as CXI."""
    return "cxi_version" in file or "entry_1" in file


def read_cxi(
    path: str | os.PathLike[str],
    given: GivenGeometry | None = None,
    *,
    stage: StageConvention | None = None,
    geometry_needed: bool = True,
) -> Measurement:
    """The measurement in a CXI file; its frames are looked at, not read.

    given : instead of what the file says
    stage : what the translations mean; default: metres, sample motion. It applies after the basis vectors
    geometry_needed : False where the object pixel is known otherwise, and the file need not tell

    Raises DataFileNotFoundError, DataFormatError, DataKeyError (something is missing), DataRangeError (a
    tilted detector; a number out of range), ShapeError.
    """
    source, given = Path(path), given or GivenGeometry()
    frames = hdf5_frames(source, DATA)
    with opened(source, "CXI file") as file:
        said: list[str] = []
        geometry = _geometry(file, given, geometry_needed, said)
        basis = _basis(file, geometry, said)
        recorded = _translations(file, basis)
        mask = find_mask(file)
        probe = _probe(file)
        beam = _beam(file, basis, geometry)
        background = _background(file, frames.frame_shape, said)
    if mask is not None and mask.shape != frames.frame_shape:
        raise ShapeError(
            f"{source}: the mask has shape {mask.shape}, but the frames are {frames.frame_shape[0]} x "
            f"{frames.frame_shape[1]}: one mask of that size is needed"
        )
    return Measurement(
        attrs.evolve(frames, mask=mask, background=background),
        recorded,
        stage or StageConvention("m", "sample"),
        geometry,
        probe,
        beam,
        tuple(said),
        far_field_is_given=given.is_complete,
        holds_intensities=True,
    )


def _geometry(file: h5py.File, given: GivenGeometry, needed: bool, said: list[str]) -> FarField | None:
    distance = _length(file, f"{_DETECTOR}/distance", given.distance_m)
    wavelength = _wavelength(file, given.wavelength_m, said)
    pixel = given.detector_pixel_m or _pixel(file, said)
    if distance is None or wavelength is None or pixel is None:
        if not needed:
            return None
        lacking = [
            f"{what} ({flag})"
            for what, flag, value in (
                ("distance", "--distance", distance),
                ("energy or wavelength", "--energy", wavelength),
                ("pixel size", "--detector-pixel", pixel),
            )
            if value is None
        ]
        raise DataKeyError(f"the file does not state its {', '.join(lacking)}: give it")
    return FarField(abs(distance), wavelength, pixel)


def _length(file: h5py.File, name: str, given: float | None) -> float | None:
    if given is not None:
        return given
    found = find_dataset(file, name)
    return None if found is None else read_one(found)


def _pixel(file: h5py.File, said: list[str]) -> tuple[float, float] | None:
    height, width = (_length(file, f"{_DETECTOR}/{axis}_pixel_size", None) for axis in "yx")
    if height is None and width is None:
        basis = _stored_basis(file)
        if basis is None:
            return None
        said.append("detector pixel taken from the length of the basis vectors")
        height, width = (float(length) for length in np.linalg.norm(basis, axis=0))
    elif height is None or width is None:
        said.append(f"the file states only {'the width' if height is None else 'the height'} of a pixel")
    one, other = (width if height is None else height), (height if width is None else width)
    assert one is not None and other is not None
    return one, other


def _wavelength(file: h5py.File, given: float | None, said: list[str]) -> float | None:
    if given is not None:
        return given
    energy = find_dataset(file, f"{_SOURCE}/energy")
    length = find_dataset(file, f"{_SOURCE}/wavelength")
    found = None if length is None else read_one(length)
    if found is not None and not found > 0:
        raise DataRangeError(
            f"'{label(length)}' is {found:g} m, but a length above 0 is needed: give --energy or --wavelength"
        )
    if energy is None:
        return found
    value = read_one(energy)
    if 1e-19 < value < 1e-12:
        value /= _J_per_eV
    elif 10 <= value < 1e6:  # no photon has that many joules
        said.append(f"the energy {value:g} is read as electronvolts, although CXI uses joules")
    else:
        raise DataRangeError(
            f"'{label(energy)}' is {value:g}, which is no plausible photon energy in joules or "
            "electronvolts: give --energy or --wavelength"
        )
    if found is not None and abs(found * value / wavelength_m(1.0) - 1) > 0.01:
        raise DataRangeError(
            f"the file states a wavelength of {found:g} m, which is {photon_energy_eV(found):.6g} eV, and "
            f"an energy of {value:.6g} eV, which disagree: choose one with --energy or --wavelength"
        )
    return wavelength_m(value) if found is None else found


def _stored_basis(file: h5py.File) -> NDArray[np.float64] | None:
    found = find_dataset(file, f"{_DETECTOR}/basis_vectors")
    if found is None:
        return None
    basis = read_numbers(found).astype(np.float64) if found.size == 6 else np.empty(0)
    basis = basis.T if basis.shape == (2, 3) else basis
    with np.errstate(over="ignore"):
        length = np.linalg.norm(basis, axis=0) if basis.shape == (3, 2) else np.zeros(2)
    if not (np.isfinite(length) & (length > 0)).all():
        raise ShapeError(
            f"'{label(found)}' has shape {found.shape}, but two finite nonzero vectors, (3, 2), are needed: "
            "fix it"
        )
    return basis


def _basis(file: h5py.File, geometry: FarField | None, said: list[str]) -> NDArray[np.float64]:
    """(3, 2): unit vectors of a step from row to row, and from column to column, in the laboratory."""
    basis = _stored_basis(file)
    if basis is None:
        said.append("no basis vectors: rows are taken to run along -y, columns along -x of the laboratory")
        return np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])
    basis = basis / np.linalg.norm(basis, axis=0)
    tilt = max(abs(float(basis[:, 0] @ basis[:, 1])), float(np.abs(basis[2]).max()))
    if tilt > _SQUARE_ON:
        raise DataRangeError(
            f"the basis vectors of the detector are tilted by {np.rad2deg(np.arcsin(min(tilt, 1))):.0f} "
            "degrees, but the far-field model needs a detector perpendicular to the beam: project the "
            "frames first"
        )
    names = ["".join(_axis_words(column)) for column in basis.T]
    said.append(f"basis vectors: rows run along {names[0]}, columns along {names[1]} of the laboratory")
    return basis


def _axis_words(vector: NDArray[np.float64]) -> str:
    largest = int(np.argmax(np.abs(vector)))
    if abs(vector[largest]) > 0.999:
        return ("-" if vector[largest] < 0 else "+") + "xyz"[largest]
    return f"({vector[0]:.3f}, {vector[1]:.3f}, {vector[2]:.3f})"


def _translations(file: h5py.File, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) along rows and columns."""
    found = find_dataset(file, *_TRANSLATION)
    if found is None:
        raise missing(
            _TRANSLATION[0],
            "a scan",
            "convert the patterns as raw counts (--from raw) with the positions in a file",
        )
    if len(found.shape) != 2 or found.shape[1] not in (2, 3) or found.shape[0] == 0:
        raise ShapeError(
            f"'{label(found)}' has shape {found.shape}, but one (x, y, z) per frame, (frames, 3), is "
            "needed: reshape it"
        )
    vectors = read_numbers(found, "iuf").astype(np.float64)
    return vectors @ basis[: vectors.shape[1]]


def _background(file: h5py.File, shape: tuple[int, int], said: list[str]) -> NDArray[np.float64] | None:
    """(H, W): the mean of the dark frames."""
    found = find_dataset(file, f"{_DETECTOR}/data_dark")
    if found is None:
        return None
    if found.shape[-2:] != shape or len(found.shape) not in (2, 3):
        raise ShapeError(
            f"'{label(found)}' has shape {found.shape}, but dark frames of {shape[0]} x {shape[1]} are "
            "needed: reshape them, or leave them out"
        )
    dark = read_numbers(found, "iuf").astype(np.float64)
    said.append("the mean of the dark frames (data_dark) is the background")
    return dark if dark.ndim == 2 else dark.mean(axis=0)


def _probe(file: h5py.File) -> NDArray[Any] | None:
    found = find_dataset(file, f"{_SOURCE}/illumination")
    return None if found is None or found.dtype.kind != "c" else read_numbers(found, "c")


def _beam(
    file: h5py.File, basis: NDArray[np.float64], geometry: FarField | None
) -> tuple[float, float] | None:
    """Where the beam meets the detector, (y, x) pixels, from the corner of the first pixel."""
    found = find_dataset(file, f"{_DETECTOR}/corner_position")
    if found is None or geometry is None:
        return None
    corner = read_numbers(found, "iuf").astype(np.float64)
    if corner.shape != (3,) or not np.isfinite(corner).all():
        raise ShapeError(f"'{label(found)}' has shape {corner.shape}, but (x, y, z) is needed: reshape it")
    with np.errstate(over="ignore", invalid="ignore"):
        row, column = -(corner @ basis) / geometry.detector_pixel_m
    if not (math.isfinite(row) and math.isfinite(column)):
        raise DataRangeError(
            f"'{label(found)}' holds {one_line(corner)}, which is no plausible detector position in metres: "
            "fix it"
        )
    return float(row), float(column)
