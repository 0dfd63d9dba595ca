"""From the files of others to ours, and back: which readers and writers serve a kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_data.errors import DataFormatError, DataKeyError, naming
from pinn_data.files.cxi import GivenGeometry, read_cxi
from pinn_data.files.cxi_writer import geometry_of, write_cxi
from pinn_data.files.detector_masks import masked_scan, read_mask
from pinn_data.files.frame_stack import open_frames, split_entry
from pinn_data.files.hdf5 import find_dataset, is_hdf5, opened, read_numbers
from pinn_data.files.measurement import Framing, Measurement, ProbeChoice, measured_scan
from pinn_data.files.npy_file import is_npy, mapped_npy
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.position_file import read_positions
from pinn_data.files.product import Product, write_product
from pinn_data.files.product_npz import read_any_product
from pinn_data.files.training_data import product_measurement, read_training_data, read_training_npz
from pinn_data.scan.far_field import photon_energy_eV
from pinn_data.scan.geometry import Geometry
from pinn_data.scan.scan import Scan
from pinn_data.scan.stage_positions import StageConvention
from pinn_data.scan.stored_patterns import LARGE

from pinn_dispatch.errors import UsageError
from pinn_dispatch.reconstruction import (
    NOMINAL,
    Reconstruction,
    product_of,
    read_reconstruction,
    reconstruction_of,
    write_reconstruction_npz,
)
from pinn_dispatch.source_kinds import Kind

__all__ = ["Request", "converted", "written"]


@attrs.frozen
class Request:
    """What is to be converted, and all that a person says of it; None leaves it to the file.

    source, entry : the file, and the array in it
    """

    source: Path
    entry: str | None = None
    patterns: str | None = None
    unit: str | None = None
    frames_axis: int | None = None
    framing: Framing = attrs.field(factory=Framing)
    mask: str | None = None
    invert_mask: bool = False
    positions: str | None = None
    positions_columns: tuple[str, ...] | None = None
    positions_unit: str | None = None
    motion: Literal["sample", "probe"] | None = None
    swap_xy: bool = False
    negate_x: bool = False
    negate_y: bool = False
    geometry: GivenGeometry = attrs.field(factory=GivenGeometry)
    object_pixel_m: float | None = None
    probe: str | None = None
    guess_probe: bool = False
    defocus_m: float = 0.0

    def stage(self, unit: str, motion: Literal["sample", "probe"]) -> StageConvention:
        """What recorded positions mean, where nothing else was said in `unit` and as `motion`."""
        return StageConvention(
            self.positions_unit or unit, self.motion or motion, self.swap_xy, self.negate_y, self.negate_x
        )

    def metadata(self, N: int) -> dict[str, float]:
        """What is said of the geometry, as the metadata of a scan of N x N patterns have it."""
        given, known = self.geometry, {}
        if given.distance_m is not None:
            known["detector_distance_m"] = given.distance_m
        if given.wavelength_m is not None:
            known["photon_energy_eV"] = photon_energy_eV(given.wavelength_m)
        if self.object_pixel_m is not None:
            known["pixel_size_m"] = self.object_pixel_m
        elif (far := given.far_field) is not None:
            known["pixel_size_m"] = far.object_pixel_m(N)
        return known


def converted(
    request: Request, kind: Kind, advance: Callable[[int], None]
) -> tuple[Scan | Reconstruction | Product, list[str]]:
    """What the source holds, and what was found and assumed, a sentence each.

    advance : called with the number of frames just read

    Raises UsageError, and what the readers raise.
    """
    if kind == "scan":
        return _scan(request)
    if kind == "reconstruction":
        return _reconstruction(request)
    if kind == "training" and not is_hdf5(request.source):
        scan, said = read_training_npz(request.source, unit=request.unit)
        return _masked(scan, request), said
    if kind == "product":
        product = read_any_product(request.source)
        if request.patterns is None:
            return product, ["a product holds no patterns: give --patterns FILE to make a scan"]
        frames = open_frames(*split_entry(request.patterns), request.frames_axis or 0)
        with naming(request.source):
            measurement = product_measurement(product, frames)
    elif kind == "training":
        measurement = read_training_data(request.source)
    elif kind == "cxi":
        measurement = read_cxi(
            request.source,
            request.geometry,
            stage=request.stage("m", "sample"),
            geometry_needed=request.object_pixel_m is None,
        )
    else:
        measurement = _raw(request)
    framing = attrs.evolve(request.framing, unit=request.unit)
    if request.mask is not None:
        path, entry = split_entry(request.mask)
        shape = measurement.frames.frame_shape
        framing = attrs.evolve(framing, mask=read_mask(path, entry, invert=request.invert_mask, shape=shape))
    probe = ProbeChoice(_given_probe(request), request.guess_probe, request.defocus_m)
    return measured_scan(measurement, framing, probe, object_pixel_m=request.object_pixel_m, advance=advance)


def written(path: Path, found: Scan | Reconstruction | Product, request: Request, unit: str | None) -> Path:
    """Write what was found in the format that the name of the file asks for.

    unit : of the patterns in an NPZ scan; None for that of the source

    Raises UsageError where there is no such way, and what the writers raise.
    """
    suffix = path.suffix.lower()
    if isinstance(found, Scan):
        if suffix == ".cxi":
            with naming(request.source):
                geometry = geometry_of(found, request.metadata(found.N))
            return write_cxi(path, found, geometry)
        return write_scan(path, found, unit=unit or found.unit)
    if suffix == ".npz":
        whole = found if isinstance(found, Reconstruction) else reconstruction_of(found)
        return write_reconstruction_npz(path, whole)
    product = (
        found if isinstance(found, Product) else product_of(found, request.metadata(found.probe.shape[-1]))
    )
    return write_product(path, product)


def _scan(request: Request) -> tuple[Scan, list[str]]:
    scan = read_scan(request.source, unit=request.unit, frames_axis=request.frames_axis, in_file_above=LARGE)
    probe = _given_probe(request)
    if probe is not None:
        scan = attrs.evolve(scan, probe=probe)
    scan = _masked(scan, request)
    known = request.metadata(scan.N)
    said = [f"patterns taken as {scan.unit} ({scan.diffraction.dtype})"]
    return attrs.evolve(scan, metadata=dict(scan.metadata) | known), said


def _masked(scan: Scan, request: Request) -> Scan:
    if request.mask is None:
        return scan
    return masked_scan(scan, *split_entry(request.mask), invert=request.invert_mask)


def _reconstruction(request: Request) -> tuple[Reconstruction, list[str]]:
    found = read_reconstruction(request.source)
    known = Geometry.of({**found.metadata, **request.metadata(found.probe.shape[-1])})
    nominal = [f"{key} = {value:g}" for key, value in NOMINAL.items() if getattr(known, key) is None]
    said = f"nominal, because neither the file nor a flag states them: {', '.join(nominal)}"
    return found, [said] if nominal else []


def _raw(request: Request) -> Measurement:
    frames = open_frames(request.source, request.entry, request.frames_axis or 0)
    if request.positions is None:
        raise UsageError(
            f"{request.source} holds patterns only: give the positions with --positions FILE, and the "
            "geometry with --distance, --energy or --wavelength, and --detector-pixel"
        )
    path, entry = split_entry(request.positions)
    recorded, unit = read_positions(path, entry, request.positions_columns)
    if unit is None and request.positions_unit is None:
        raise UsageError(
            f"{path} does not state the unit of its positions: give --positions-unit m, um, nm or px"
        )
    if unit is not None and request.positions_unit not in (None, unit):
        raise UsageError(
            f"--positions-unit is {request.positions_unit}, but {path} says {unit}: leave the flag out, or "
            "fix the headings"
        )
    given = request.geometry
    geometry, said = given.far_field, []
    flags = {
        "--distance": given.distance_m,
        "--energy or --wavelength": given.wavelength_m,
        "--detector-pixel": given.detector_pixel_m,
    }
    if geometry is None and any(value is not None for value in flags.values()):
        if request.object_pixel_m is None:
            lacking = [flag for flag, value in flags.items() if value is None]
            raise UsageError(f"the geometry lacks {', '.join(lacking)}: give it, or --object-pixel")
        said.append("an incomplete geometry, not stored")
    stage = request.stage(unit or "px", "probe")
    return Measurement(frames, recorded, stage, geometry, said=tuple(said), far_field_is_given=True)


def _given_probe(request: Request) -> NDArray[Any] | None:
    """The array that --probe names: NPY, an entry of an NPZ or HDF5 file, or the probe of a scan, product
    or CXI file."""
    if request.probe is None:
        return None
    path, entry = split_entry(request.probe)
    if not path.is_file():
        raise UsageError(f"there is no probe at {path}: check the path")
    if is_hdf5(path):
        with opened(path, "HDF5 file") as file:
            found = find_dataset(file, entry or "probe", "/entry_1/instrument_1/source_1/illumination")
            if found is None:
                raise DataKeyError(f"the file has no dataset {entry or 'probe'}: name it as FILE:DATASET")
            array = read_numbers(found, "c")
    elif _starts_with(path, b"PK"):
        with naming(path), NpzReader(path) as file:
            names = (entry,) if entry else ("probeGuess", "probe")
            array = file.read(next((name for name in names if name in file), names[0]))
    elif is_npy(path):
        array = np.array(mapped_npy(path))
    else:
        raise DataFormatError(f"{path} holds no readable probe: give an NPY, NPZ or HDF5 file")
    while array.ndim > 3:  # (OPR, modes, H, W) of a product, (1, OPR, modes, H, W) of tike
        array = array[0]
    return array


def _starts_with(path: Path, signature: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(signature)) == signature
