"""A scan as a CXI file, in the layout of cdtools; ptychodus reads it, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import DataKeyError
from pinn_data.files.atomic_write import atomic_write
from pinn_data.scan.diffraction import check_values, convert_block, frame_blocks
from pinn_data.scan.far_field import FarField, wavelength_m
from pinn_data.scan.scan import Scan

__all__ = ["geometry_of", "write_cxi"]

_hc_J_m = 1.9864458571489286e-25


def geometry_of(scan: Scan, given: dict[str, float]) -> FarField:
    """The far field in which this scan was taken, from its metadata and from what is `given` besides or
    instead (``detector_distance_m``, ``photon_energy_eV``, ``pixel_size_m``).

    Raises DataKeyError where one is missing.
    """
    names = {
        "detector_distance_m": "--distance",
        "photon_energy_eV": "--energy",
        "pixel_size_m": "--object-pixel",
    }
    known = {key: given.get(key, scan.metadata.get(key)) for key in names}
    numbers = {key: value for key, value in known.items() if isinstance(value, (int, float))}
    lacking = [f"{key} ({flag})" for key, flag in names.items() if key not in numbers]
    if lacking:
        raise DataKeyError(
            f"a CXI file is in metres, but the scan does not state {', '.join(lacking)}: give it"
        )
    wavelength, distance = wavelength_m(numbers["photon_energy_eV"]), numbers["detector_distance_m"]
    return FarField(
        distance,
        wavelength,
        wavelength * distance / (scan.N * numbers["pixel_size_m"]),
    )


def write_cxi(path: str | os.PathLike[str], scan: Scan, geometry: FarField) -> Path:
    """Write a scan as CXI, whole or not at all, and return the path.

    Patterns as counts or intensities in their own dtype (amplitudes squared), the translations those of the
    sample in metres with basis vectors beside them, the probe as ``source_1/illumination``, the background as
    ``data_dark``. Bad pixels of all frames are the mask; those of single frames hold a marker
    (:mod:`pinn_data.scan.unmeasured`), as detectors write it. Reading it back gives the same patterns, bad
    pixels, background and differences of positions.

    Raises DataWriteError, and what `check_values` raises.
    """
    target, stack = Path(path), scan.diffraction
    check_values(stack)
    pixel = geometry.object_pixel_m(scan.N)
    height, width = geometry.detector_pixel_m
    squared = scan.unit == "amplitude"
    with atomic_write(target) as temporary, h5py.File(temporary, "w") as file:
        file["cxi_version"] = 160
        file["number_of_entries"] = 1
        entry = file.create_group("entry_1")
        detector = entry.create_group("instrument_1/detector_1")
        detector["distance"] = geometry.distance_m
        detector["x_pixel_size"], detector["y_pixel_size"] = width, height
        detector["basis_vectors"] = np.array([[0.0, -width], [-height, 0.0], [0.0, 0.0]])
        data = detector.create_dataset(
            "data", stack.shape, np.float64 if squared else stack.dtype, chunks=(1, *stack.shape[1:]),
            compression="gzip", compression_opts=1, shuffle=True,
        )  # fmt: skip
        for block, patterns in _intensities(scan, squared):
            data[block] = patterns
        bad = scan.bad_pixels
        if bad is not None:
            detector["mask"] = (bad if bad.ndim == 2 else bad.all(axis=0)).astype(np.uint32)
        if scan.background is not None:
            detector["data_dark"] = np.broadcast_to(scan.background, stack.shape[1:])
        source = entry.create_group("instrument_1/source_1")
        source["energy"] = _hc_J_m / geometry.wavelength_m
        source["wavelength"] = geometry.wavelength_m
        source["illumination"] = scan.probe
        # The sample moves the other way, and so do the axes: y down and x to the right are -y and -x.
        on_object = scan.positions * pixel + np.asarray(scan.metadata.get("origin_m", (0.0, 0.0)))
        translation = np.zeros((len(scan), 3))
        translation[:, 0], translation[:, 1] = on_object[:, 1], on_object[:, 0]
        entry["sample_1/geometry_1/translation"] = translation
        entry["data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        entry["data_1/translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
    return target


def _intensities(scan: Scan, squared: bool) -> Iterator[tuple[slice, NDArray[Any]]]:
    for block in frame_blocks(scan.diffraction):
        patterns = scan.diffraction[block]
        if squared:
            patterns = convert_block(patterns, "amplitude", "intensity")
        if scan.bad_pixels is not None and scan.bad_pixels.ndim == 3:
            patterns = np.where(scan.bad_pixels[block], _marker(patterns.dtype), patterns)
        yield block, patterns


def _marker(dtype: np.dtype[Any]) -> Any:
    """What says in a stack of this dtype that a pixel was not measured."""
    return dtype.type(np.nan if dtype.kind == "f" else np.iinfo(dtype).max)
