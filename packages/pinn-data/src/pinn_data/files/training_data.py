"""What ptychodus exports to train networks with: HDF5, or an NPZ scan.

Both hold counts whose bad pixels ptychodus has filled, the object, the modes of the probe, and positions in
pixels of the object array that carry the *middle* of the patch, (N - 1)/2: half a pixel is added
(:func:`pinn_data.scan.positions.from_ptychodus`), so that the object lies under its patterns.

HDF5 (``api/io.py``, ``TrainingDataFileKeys``): ``patterns`` (n, N, N), ``bad_pixels`` (N, N), ``probe``
(modes, N, N), ``object`` (H, W), ``probe_position_x_px``, ``…_y_px`` (n,), ``object_pixel_width_m``,
``…height_m``, ``detector_object_distance_m``, ``photon_energy_eV``. NPZ: a scan with an entry ``bad_pixels``.

Source: ptychodus 1.7.0, ``save_training_data``, ``save_ptychopinn_training_data``.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import DataRangeError, ShapeError
from pinn_data.files.frame_stack import FrameStack, hdf5_frames
from pinn_data.files.hdf5 import find_dataset, missing, opened, read_numbers, read_one
from pinn_data.files.measurement import Measurement
from pinn_data.files.npz import read_scan
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.product import Product
from pinn_data.scan.far_field import FarField, wavelength_m
from pinn_data.scan.positions import from_ptychodus
from pinn_data.scan.scan import Scan
from pinn_data.scan.stage_positions import StageConvention

__all__ = [
    "is_training_hdf5",
    "is_training_npz",
    "product_measurement",
    "read_training_data",
    "read_training_npz",
]

_PIXELS = StageConvention("px", "probe")


def is_training_hdf5(file: h5py.File) -> bool:
    """Whether an HDF5 file is laid out as training data."""
    return "patterns" in file and "probe_position_x_px" in file


def is_training_npz(file: NpzReader) -> bool:
    """Whether an NPZ scan was exported by ptychodus."""
    names = ("bad_pixels", "xcoords", "xcoords_start", "diff3d", "objectGuess", "scan_index")
    return all(name in file for name in names) and "diffraction_unit" not in file


def read_training_data(path: str | os.PathLike[str]) -> Measurement:
    """The measurement in a training file (HDF5); its patterns are looked at, not read.

    Raises DataFileNotFoundError, DataFormatError, DataKeyError, ShapeError, DataRangeError.
    """
    source = Path(path)
    with opened(source, "training file") as file:

        def dataset(key: str) -> h5py.Dataset:
            found = find_dataset(file, key)
            if found is None:
                raise missing(key, "training data", "export it from ptychodus again")
            return found

        x, y = (read_numbers(dataset(f"probe_position_{axis}_px"), "iuf") for axis in "xy")
        if x.ndim != 1 or x.shape != y.shape:
            raise ShapeError(
                f"the positions have shapes {y.shape} (y) and {x.shape} (x), but one number per frame is "
                "needed: export it again"
            )
        pixel = tuple(read_one(dataset(f"object_pixel_{side}_m")) for side in ("height", "width"))
        distance, energy = (read_one(dataset(k)) for k in ("detector_object_distance_m", "photon_energy_eV"))
        probe, image = read_numbers(dataset("probe"), "c"), read_numbers(dataset("object"), "c")
        geometry = _far_field(distance, energy, pixel, probe.shape[-1] if probe.ndim else 0)
    return Measurement(
        hdf5_frames(source, ("patterns",)),
        from_ptychodus(np.stack([y, x], axis=1)),
        _PIXELS,
        geometry,
        probe,
        object=image,
        said=("ptychodus positions moved by half a pixel, because they mark the middle of a patch",),
    )


def read_training_npz(path: str | os.PathLike[str], *, unit: str | None = None) -> tuple[Scan, list[str]]:
    """The scan in a training file (NPZ), and what was assumed, a sentence each. The pixels that ptychodus
    filled were not measured.

    Raises what :func:`pinn_data.files.npz.read_scan` raises.
    """
    scan = read_scan(path, unit=unit)
    found = scan.metadata.get("conversion", {})
    count = 0 if scan.bad_pixels is None else int(scan.bad_pixels.sum())
    said = [
        *(found.get("said", ()) if isinstance(found, dict) else ()),
        "ptychodus positions moved by half a pixel, because they mark the middle of a patch",
        f"{count or 'no'} pixel(s) excluded by the mask in the file",
        f"patterns taken as {scan.unit} ({scan.diffraction.dtype})",
    ]
    moved = attrs.evolve(
        scan,
        positions=from_ptychodus(scan.positions),
        positions_start=from_ptychodus(scan.positions_start),
        metadata=dict(scan.metadata) | {"conversion": {"source": str(path), "said": said}},
    )
    return moved, said


def product_measurement(product: Product, frames: FrameStack) -> Measurement:
    """The frames of a product, which holds everything else.

    Frames that say their scan points (``indexes``) are matched with the positions of the same number;
    others must be as many as the positions, in their order. Frames without a position are left out.

    Raises ShapeError, DataRangeError.
    """
    said = ["ptychodus positions moved by half a pixel, because they mark the middle of a patch"]
    if not product.far_field:
        said.append(
            "the product is from a near-field measurement, which the far-field model does not describe"
        )
    positions, chosen = product.positions_px(), None
    if frames.indexes is not None:
        common, of_frame, of_position = np.intersect1d(
            frames.indexes, product.position_indexes, return_indices=True
        )
        if len(np.unique(frames.indexes)) != len(frames) or not len(common):
            raise ShapeError(
                f"the frames of {frames.source} have {len(np.unique(frames.indexes))} different scan "
                f"indexes, {len(common)} of them in the product, but each frame needs its own: the files "
                "seem to belong to different scans"
            )
        order = np.argsort(of_frame)
        chosen, positions = of_frame[order], positions[of_position[order]]
        said.append(f"{len(chosen)} of {len(frames)} frames have a position with the same scan index")
        if len(chosen) == len(frames):
            chosen = None
    if len(product.object) > 1:
        said.append(f"the first of {len(product.object)} layers of the object")
    if len(product.probe) > 1:
        said.append(f"the first of {len(product.probe)} variations of the probe (OPR)")
    probe = product.probe[0]
    geometry = _far_field(
        product.detector_distance_m, product.photon_energy_eV, product.object_pixel_m, probe.shape[-1]
    )
    return Measurement(
        frames,
        positions,
        _PIXELS,
        geometry,
        probe,
        object=product.object[0],
        chosen=chosen,
        said=tuple(said),
    )


def _far_field(distance_m: float, energy_eV: float, object_pixel_m: tuple[float, ...], N: int) -> FarField:
    """The far field with these object pixels; ptychodus keeps no detector pixel in these files."""
    if not (N > 0 and energy_eV > 0 and distance_m > 0 and min(object_pixel_m) > 0):
        raise DataRangeError(
            f"a distance of {distance_m:g} m, an energy of {energy_eV:g} eV and object pixels of "
            f"{object_pixel_m} m are not a valid geometry (numbers above 0 are needed): export it again"
        )
    wavelength = wavelength_m(energy_eV)
    pixel: NDArray[np.float64] = wavelength * distance_m / (N * np.asarray(object_pixel_m))
    return FarField(distance_m, wavelength, (float(pixel[0]), float(pixel[1])))
