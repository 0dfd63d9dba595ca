"""Reconstructions as files: our NPZ, the ptychodus product, and the image to compare with.

==========================  ==========================  ================================================
entry of the NPZ            shape, dtype                meaning
==========================  ==========================  ================================================
``object``                  (H, W) complex64            the image; 0 where nothing is known
``coverage``                (H, W) float32              the weight that each pixel got
``canvas_origin``           (2,) int64                  (y, x) of pixel [0, 0], object pixels
``xcoords``, ``ycoords``    (n,) float64                the positions that were used, object pixels
``probeGuess``              ([modes,] N, N) complex64   the probe, sqrt(counts)
``metadata``                text                        one JSON object: where it came from, its
                                                        ``scales`` (`pinn_data.run.results.scales`) and its
                                                        ``provenance`` (`pinn_data.run.run_record`) without
                                                        the times of day
==========================  ==========================  ================================================

After the solver the entries of :mod:`pinn_data.scan.refined` are there too, in both kinds of file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pinn_data.errors import naming
from pinn_data.files.atomic_write import atomic_write
from pinn_data.files.npz_archive import NpzReader, NpzWriter
from pinn_data.files.npz_header import read_text
from pinn_data.files.product import Product, product_from_reconstruction, read_product, write_product
from pinn_data.optics.patches import place
from pinn_data.run.run_record import without_times
from pinn_data.scan.geometry import Geometry
from pinn_data.scan.positions import Canvas, canvas_for, validate_positions
from pinn_data.scan.refined import Refined
from pinn_data.scan.scan import checked_probe
from pinn_data.stitching.cropping import on_canvas

from pinn_dispatch.errors import ReconstructionFileError, ReconstructionFileNotFoundError

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan
    from pinn_data.solver import Solution

    from pinn_dispatch.backend import ReconstructionResult

__all__ = [
    "FILE_NAME",
    "PRODUCT_NAME",
    "Image",
    "Reconstruction",
    "located",
    "product_of",
    "read_image",
    "read_metadata",
    "read_reconstruction",
    "reconstruction_of",
    "write_reconstruction",
    "write_reconstruction_npz",
]

FILE_NAME = "reconstruction.npz"
PRODUCT_NAME = "reconstruction.h5"

NOMINAL = {"pixel_size_m": 1e-8, "detector_distance_m": 1.0, "photon_energy_eV": 8000.0}
"""What a product says where the scan does not tell: an NPZ scan knows pixels only."""

_NOMINAL_NOTE = "nominal, because the scan does not tell"
_WHOLE = 1e-3  # pixels: so far rounding in metres moves a whole pixel at most


@attrs.frozen(eq=False)
class Image:
    """A complex image and where it lies.

    image : (H, W) complex
    origin : (y, x) of its pixel [0, 0], object pixels
    positions : (n, 2) float64 as (y, x), object pixels; None if the file has none
    pixel_size_m : (height, width) of an object pixel; None if the file does not tell
    """

    image: NDArray[Any]
    origin: tuple[float, float] = (0.0, 0.0)
    positions: NDArray[np.float64] | None = None
    pixel_size_m: tuple[float, float] | None = None


@attrs.frozen(eq=False)
class Reconstruction:
    """A reconstruction in memory, as the NPZ holds it.

    refined : what the solver found besides; None where it had no part in it
    """

    object: NDArray[np.complex64]
    coverage: NDArray[np.float32]
    canvas: Canvas
    positions: NDArray[np.float64]
    probe: NDArray[np.complex64]
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    refined: Refined | None = None

    @classmethod
    def of(cls, result: ReconstructionResult, metadata: Mapping[str, Any]) -> Reconstruction:
        """The lasting part of what a backend returned; `metadata` go before what it says of itself."""
        itself = {"scales": dict(result.scales), "provenance": without_times(result.provenance)}
        return cls(
            np.asarray(result.object, np.complex64),
            np.asarray(result.coverage, np.float32),
            result.canvas,
            np.asarray(result.positions, np.float64),
            np.asarray(result.probe, np.complex64),
            {**metadata, **itself},
            result.refined,
        )

    @classmethod
    def solved(cls, solution: Solution, refined: Refined, metadata: Mapping[str, Any]) -> Reconstruction:
        """All of a solution, of which `refined` is what it holds besides the image."""
        image, coverage = solution.object, solution.coverage
        return cls(
            image, coverage, solution.canvas, solution.positions, solution.probe, dict(metadata), refined
        )

    def as_image(self) -> Image:
        """The image alone."""
        y, x = self.canvas.origin
        return Image(self.object, (float(y), float(x)), self.positions, self.geometry.pixel_size_m)

    @property
    def geometry(self) -> Geometry:
        """Object pixel, photon energy and detector distance, as far as the metadata tell."""
        return Geometry.of(self.metadata)

    def measured_in(self, geometry: Geometry) -> Reconstruction:
        """The same with the geometry of its scan in the metadata, where they do not tell it."""
        own = attrs.asdict(self.geometry)
        known = attrs.evolve(geometry, **{name: value for name, value in own.items() if value is not None})
        return attrs.evolve(self, metadata={**self.metadata, **known.metadata()})


def write_reconstruction(folder: Path, found: Reconstruction, scan: Scan | None = None) -> tuple[Path, Path]:
    """Write ``reconstruction.npz`` and the ptychodus product ``reconstruction.h5``, each whole or not at all.

    scan : its geometry goes into both; what it does not tell is :data:`NOMINAL` in the product, whose
        comments say so, and missing in the NPZ

    Raises `pinn_data.errors.DataWriteError`.
    """
    whole = found if scan is None else found.measured_in(scan.geometry)
    npz = write_reconstruction_npz(folder / FILE_NAME, whole)
    return npz, write_product(folder / PRODUCT_NAME, product_of(whole, {}))


def write_reconstruction_npz(path: Path, found: Reconstruction) -> Path:
    """Write the NPZ alone, whole or not at all, and return its path.

    Raises `pinn_data.errors.DataWriteError`.
    """
    arrays: dict[str, NDArray[Any]] = {
        "object": found.object,
        "coverage": found.coverage,
        "canvas_origin": np.asarray(found.canvas.origin, np.int64),
        "xcoords": found.positions[:, 1],
        "ycoords": found.positions[:, 0],
        "probeGuess": found.probe,
        "metadata": np.array(json.dumps(dict(found.metadata))),
        **({} if found.refined is None else found.refined.entries()),
    }
    with atomic_write(path) as temporary, NpzWriter(temporary) as file:
        for key, array in arrays.items():
            file.write(key, array)
    return path


def product_of(found: Reconstruction, geometry: Mapping[str, float]) -> Product:
    """The product of a reconstruction.

    geometry : what is known of ``pixel_size_m``, ``detector_distance_m`` and ``photon_energy_eV``; then what
        the reconstruction's own metadata say; what is missing is :data:`NOMINAL`, and the comments say so
    """
    told = [Geometry.of(source) for source in (found.metadata, geometry)]
    known = {
        key: getattr(source, key) for source in told for key in NOMINAL if getattr(source, key) is not None
    }
    missing = [key for key in NOMINAL if key not in known]
    comments = f"reconstructed by PtychoPINN{_origin(found.metadata)}"
    if missing:
        comments += f"; {_NOMINAL_NOTE}: {', '.join(missing)}"
    losses = [] if found.refined is None else [R for _, _, R in found.refined.course]
    return product_from_reconstruction(
        found.object,
        found.positions,
        found.probe,
        found.canvas,
        name="PtychoPINN",
        comments=comments,
        probe_photon_count=float(np.sum(np.abs(found.probe.astype(np.complex128)) ** 2)),
        loss_epochs=np.arange(len(losses)),
        loss_values=losses,
        refined=found.refined,
        **(NOMINAL | known),
    )


def reconstruction_of(product: Product) -> Reconstruction:
    """The reconstruction that a product is: its object (first layer) with the probe's light as coverage.

    Where the product's object begins at a whole pixel of its scan, as ours do, positions count from that
    scan's origin; else from the object's own top-left pixel.
    """
    image = product.object[0]
    local = product.positions_px()
    middle = (np.array(image.shape) - 1) / 2
    offset = np.asarray(product.object_center_m) / product.object_pixel_m - middle
    origin = np.rint(offset)
    if np.abs(offset - origin).max() > _WHOLE:
        origin = np.zeros(2)
    canvas = Canvas((int(origin[0]), int(origin[1])), (int(image.shape[0]), int(image.shape[1])))
    probe = product.probe[0]
    light = np.square(np.abs(probe)).sum(axis=0, dtype=np.float64)
    reach = canvas_for(local, probe.shape[-1])
    whole = np.zeros(reach.shape)
    for position in reach.local(np.floor(local)):
        place(light[None], position[None], reach.shape, out=whole)
    coverage = on_canvas(whole, reach.origin, Canvas((0, 0), canvas.shape))
    height, width = product.object_pixel_m
    metadata: dict[str, Any] = {
        "name": product.name,
        "comments": product.comments,
        **Geometry((height, width), product.photon_energy_eV, product.detector_distance_m).metadata(),
    }
    if _NOMINAL_NOTE in product.comments:  # what nobody told is not to pass for told
        nominal = product.comments.partition(_NOMINAL_NOTE)[2]
        metadata = {key: value for key, value in metadata.items() if key not in nominal}
    return Reconstruction(
        image.astype(np.complex64),
        coverage.astype(np.float32),
        canvas,
        local + origin,
        (probe if len(probe) > 1 else probe[0]).astype(np.complex64),
        metadata,
        product.refined,
    )


def _origin(metadata: Mapping[str, Any]) -> str:
    """What a product, which has one line for it, says of the provenance."""
    try:
        record = metadata["provenance"]
        versions = ", ".join(f"{name} {version}" for name, version in record["frameworks"].items())
        data, model = record["input"], record["model"]
        trained = f" by the network in {model['name']} (SHA-256 {model['sha256']})" if model else ""
        name, digest, seed = data["name"] or "a scan in memory", data["sha256"], record["seeds"]["seed"]
        seeded = "" if seed is None else f", seed {seed}"
    except (KeyError, TypeError, AttributeError):  # it is not told, or somebody else's record
        return ""
    return f" (with {versions}) from {name} (SHA-256 {digest}){trained}{seeded}"


def read_reconstruction(path: str | os.PathLike[str]) -> Reconstruction:
    """The reconstruction in an NPZ file of :func:`write_reconstruction`, or in the folder that holds it.

    Raises ReconstructionFileNotFoundError, ReconstructionFileError (something else), and what `pinn_data`
    raises for damaged files.
    """
    file_path = located(path)
    with NpzReader(file_path) as file:
        missing = [
            key
            for key in ("object", "coverage", "canvas_origin", "xcoords", "ycoords", "probeGuess")
            if key not in file
        ]
        if missing:
            raise ReconstructionFileError(
                f"{file_path} is not a reconstruction, it lacks {', '.join(missing)}: give the {FILE_NAME} "
                "that 'pinn infer' wrote"
            )
        image, coverage = file.read("object"), file.read("coverage")
        origin = file.read("canvas_origin").reshape(-1)
        x, y = file.read("xcoords"), file.read("ycoords")
        kinds = zip((image, coverage, origin, x, y), ("iufc", "biuf", "iu", "iuf", "iuf"), strict=True)
        if any(array.dtype.kind not in allowed for array, allowed in kinds):
            raise ReconstructionFileError(
                f"{file_path} holds arrays of the wrong type (the image must be complex, the origin whole "
                "numbers, all others real): write it again with 'pinn infer'"
            )
        with naming(file_path):
            text = read_text(file, "metadata") or "{}"
        if (
            image.ndim != 2
            or coverage.shape != image.shape
            or origin.shape != (2,)
            or x.shape != y.shape
            or x.ndim != 1
        ):
            raise ReconstructionFileError(
                f"{file_path} holds an object of shape {image.shape} and a coverage of shape "
                f"{coverage.shape} that do not "
                "fit together: write it again with 'pinn infer'"
            )
        canvas = Canvas((int(origin[0]), int(origin[1])), (int(image.shape[0]), int(image.shape[1])))
        with naming(file_path):
            positions = validate_positions(np.stack([y, x], axis=1))
            probe = checked_probe(file.read("probeGuess"))
            refined = Refined.read(file.__contains__, file.read)
            if refined is not None:
                refined.check_frames(len(positions))
        return Reconstruction(image, coverage, canvas, positions, probe, _json(text, file_path), refined)


def read_image(path: str | os.PathLike[str]) -> Image:
    """The complex image in a file: a reconstruction, the object in a scan (``objectGuess``), or a ptychodus
    product.

    Raises ReconstructionFileNotFoundError, ReconstructionFileError (none of these), and what `pinn_data`
    raises.
    """
    file_path = located(path)
    if _is_hdf5(file_path):
        product = read_product(file_path)
        middle = (np.array(product.object.shape[-2:]) - 1) / 2
        # The product's zero of metres is the centre of the scan's own object pixel (0, 0).
        oy, ox = np.asarray(product.object_center_m) / product.object_pixel_m - middle
        positions = product.positions_px() + np.array([oy, ox])
        size = None if _NOMINAL_NOTE in product.comments else product.object_pixel_m
        return Image(product.object[0], (float(oy), float(ox)), positions, size)
    with NpzReader(file_path) as file:
        if "objectGuess" in file:
            image = file.read("objectGuess")
            if image.ndim != 2:
                raise ReconstructionFileError(
                    f"objectGuess of {file_path} has shape {image.shape}, but (height, width) is needed: "
                    "store one image"
                )
            return Image(image)
        if "object" not in file:
            raise ReconstructionFileError(
                f"{file_path} holds no image (objectGuess or object): give a reconstruction, a scan with its "
                "object, or a "
                "ptychodus product"
            )
    return read_reconstruction(file_path).as_image()


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata in the NPZ file of a reconstruction, or in its folder; of other files none.

    Raises ReconstructionFileNotFoundError, ReconstructionFileError (not JSON), and what `pinn_data` raises.
    """
    file_path = located(path)
    if _is_hdf5(file_path):
        return {}
    with naming(file_path), NpzReader(file_path) as file:
        text = read_text(file, "metadata") if "object" in file else None
        return {} if text is None else _json(text, file_path)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(8) == b"\x89HDF\r\n\x1a\n"


def located(path: str | os.PathLike[str]) -> Path:
    """The file of a reconstruction: `path`, or ``reconstruction.npz`` in that folder.

    Raises ReconstructionFileNotFoundError.
    """
    given = Path(path)
    found = given / FILE_NAME if given.is_dir() else given
    if not found.is_file():
        raise ReconstructionFileNotFoundError(
            f"there is no reconstruction at {found}: check the path, or run 'pinn infer' first"
        )
    return found


def _json(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReconstructionFileError(
            f"the metadata of {path} is not JSON ({error}): write it again"
        ) from error
    if not isinstance(value, dict):
        raise ReconstructionFileError(f"the metadata of {path} is not a JSON object: write it again")
    return value
