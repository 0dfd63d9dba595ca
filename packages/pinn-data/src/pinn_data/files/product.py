"""ptychodus product files (HDF5): a reconstruction with its probe, positions and experiment, in metres.

Layout (ptychodus 1.7.0, ``api/io.py``, ``load_product``/``save_product``):

* root attributes ``name``, ``comments``, ``detector_object_distance_m``, ``photon_energy_eV`` (before its
  renaming ``probe_energy_eV``; both are written, either is read), ``exposure_time_s``,
  ``probe_photon_count``, ``mass_attenuation_m2_per_kg``, ``tomography_angle_deg``, ``far_field``;
* ``probe_position_indexes``, ``probe_position_x_m``, ``probe_position_y_m`` (n,);
* ``probe`` (OPR, modes, H, W) and ``object`` (layers, H, W) complex, with attributes ``pixel_width_m``,
  ``pixel_height_m``, and for the object ``center_x_m``, ``center_y_m``; ``object_layer_spacing_m`` (layers -
  1,);
* optional ``opr_weights``, and ``loss_epochs`` with ``loss_values`` (formerly ``costs``);
* of ours, and left alone by ptychodus: the group ``ptychopinn`` (:mod:`pinn_data.scan.refined`).

Positions are those of ptychodus, in metres: object pixel ``p = (position - center)/pixel + (extent - 1)/2``
carries the *middle* of the patch.  :func:`product_from_reconstruction` and :meth:`Product.positions_px` are
the two places where they meet our positions (:func:`pinn_data.scan.positions.to_ptychodus`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinn_data.errors import DataKeyError, DataRangeError, ShapeError
from pinn_data.files.atomic_write import atomic_write
from pinn_data.files.hdf5 import find_dataset, label, missing, opened, read_attribute, read_numbers
from pinn_data.scan.positions import Canvas, from_ptychodus, to_ptychodus, validate_positions
from pinn_data.scan.refined import ENTRIES, Refined

_LEGACY_ENERGY = "probe_energy_eV"
_OURS = "ptychopinn"
NUMBERS: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "detector_distance_m": (("detector_object_distance_m",), True),
    "photon_energy_eV": (("photon_energy_eV", _LEGACY_ENERGY), True),
    "exposure_time_s": (("exposure_time_s",), False),
    "probe_photon_count": (("probe_photon_count",), False),
    "mass_attenuation_m2_per_kg": (("mass_attenuation_m2_per_kg", "mass_attenuation_m2_kg"), False),
    "tomography_angle_deg": (("tomography_angle_deg",), False),
}
"""Numbers of a whole product: our name -> (theirs and its older spellings, whether it must be there)."""


def _complex_stack(value: ArrayLike, what: str, axes: int, least: int = 2) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind != "c":
        raise DataRangeError(
            f"the {what} has dtype {array.dtype}, but a product holds complex numbers: convert it"
        )
    if not least <= array.ndim <= axes or 0 in array.shape:
        raise ShapeError(
            f"the {what} has shape {array.shape}, but {least} to {axes} axes, the last two (H, W), are needed"
        )
    if not np.isfinite(array).all():
        raise DataRangeError(
            f"the {what} holds NaN or infinity, but must be finite: repair it before writing"
        )
    return array.reshape((1,) * (axes - array.ndim) + array.shape)


def _probe(value: ArrayLike) -> NDArray[Any]:
    return _complex_stack(value, "probe", 4)


def _object(value: ArrayLike) -> NDArray[Any]:
    return _complex_stack(value, "object", 3)


def _pair(value: ArrayLike) -> tuple[float, float]:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (2,) or not np.isfinite(array).all():
        raise ShapeError(f"{value!r} is not a pair (y, x) of finite numbers in metres: give two numbers")
    return float(array[0]), float(array[1])


def _pixel(value: ArrayLike) -> tuple[float, float]:
    pair = _pair(value)
    if min(pair) <= 0:
        raise DataRangeError(f"the pixel size {pair} m is not positive: give height and width in metres")
    return pair


def _floats(value: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64).reshape(-1)


def _indexes(value: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(value, dtype=np.int64).reshape(-1)


@attrs.frozen(eq=False)
class Product:
    """One product, in the conventions of ptychodus.

    positions_m : (n, 2) float64, metres, as (y, x)
    probe : (OPR, modes, H, W) complex; given with fewer axes, ones are put in front
    object : (layers, H, W) complex; likewise
    object_pixel_m, probe_pixel_m : (height, width), metres; the probe's default to the object's
    object_center_m : (y, x), metres, of the middle of the object array
    layer_spacing_m : (layers - 1,) float64
    loss_epochs, loss_values : (k,)
    refined : what the solver found besides; None where it had no part in it
    far_field : False where ptychodus took the detector for one in the near field

    Raises ShapeError, DataRangeError, PositionError where the parts do not fit together.
    """

    positions_m: NDArray[np.float64] = attrs.field(converter=validate_positions, repr=False)
    probe: NDArray[Any] = attrs.field(converter=_probe, repr=lambda a: f"<{a.dtype} {a.shape}>")
    object: NDArray[Any] = attrs.field(converter=_object, repr=lambda a: f"<{a.dtype} {a.shape}>")
    object_pixel_m: tuple[float, float] = attrs.field(converter=_pixel)
    detector_distance_m: float = attrs.field(converter=float, kw_only=True)
    photon_energy_eV: float = attrs.field(converter=float, kw_only=True)
    exposure_time_s: float = attrs.field(default=0.0, converter=float, kw_only=True)
    probe_photon_count: float = attrs.field(default=0.0, converter=float, kw_only=True)
    mass_attenuation_m2_per_kg: float = attrs.field(default=0.0, converter=float, kw_only=True)
    tomography_angle_deg: float = attrs.field(default=0.0, converter=float, kw_only=True)
    name: str = attrs.field(default="Unnamed", kw_only=True)
    comments: str = attrs.field(default="", kw_only=True, repr=False)
    object_center_m: tuple[float, float] = attrs.field(default=(0.0, 0.0), converter=_pair, kw_only=True)
    probe_pixel_m: tuple[float, float] = attrs.field(converter=_pixel, kw_only=True)
    position_indexes: NDArray[np.int64] = attrs.field(converter=_indexes, kw_only=True, repr=False)
    layer_spacing_m: NDArray[np.float64] = attrs.field(converter=_floats, kw_only=True, repr=False)
    opr_weights: NDArray[np.float64] | None = attrs.field(default=None, kw_only=True, repr=False)
    far_field: bool = attrs.field(default=True, converter=bool, kw_only=True)
    loss_epochs: NDArray[np.int64] = attrs.field(factory=list, converter=_indexes, kw_only=True, repr=False)
    loss_values: NDArray[np.float64] = attrs.field(factory=list, converter=_floats, kw_only=True, repr=False)
    refined: Refined | None = attrs.field(default=None, kw_only=True, repr=False)

    @probe_pixel_m.default
    def _object_pixel(self) -> tuple[float, float]:
        return self.object_pixel_m

    @position_indexes.default
    def _counted(self) -> NDArray[np.int64]:
        return np.arange(len(self.positions_m))

    @layer_spacing_m.default
    def _touching_layers(self) -> NDArray[np.float64]:
        return np.zeros(len(self.object) - 1)

    def __attrs_post_init__(self) -> None:
        for field in NUMBERS:
            if not math.isfinite(getattr(self, field)):
                raise DataRangeError(f"{field} = {getattr(self, field)} is not finite: give a number")
        if len(self.position_indexes) != len(self.positions_m):
            raise ShapeError(
                f"there are {len(self.position_indexes)} position indexes for {len(self.positions_m)} "
                "positions: give one each"
            )
        if len(self.layer_spacing_m) != len(self.object) - 1:
            raise ShapeError(
                f"there are {len(self.layer_spacing_m)} layer spacings for {len(self.object)} object layers: "
                "one fewer than layers is needed"
            )
        if len(self.loss_epochs) != len(self.loss_values):
            raise ShapeError(
                f"there are {len(self.loss_epochs)} loss epochs for {len(self.loss_values)} loss values: one "
                "each"
            )
        if self.refined is not None:
            self.refined.check_frames(len(self.positions_m))
        self.positions_px()  # raises where the pixel makes no positions of the metres

    def positions_px(self) -> NDArray[np.float64]:
        """Our positions (n, 2) as (y, x), pixels of this product's object array (patch pixel N/2)."""
        middle = (np.array(self.object.shape[-2:]) - 1) / 2
        with np.errstate(over="ignore"):  # of an absurd pixel, which is refused below
            pixels = (self.positions_m - self.object_center_m) / self.object_pixel_m + middle
        return validate_positions(from_ptychodus(pixels))


def product_from_reconstruction(
    image: ArrayLike,
    positions: ArrayLike,
    probe: ArrayLike,
    canvas: Canvas,
    *,
    pixel_size_m: float | tuple[float, float],
    detector_distance_m: float,
    photon_energy_eV: float,
    **fields: Any,
) -> Product:
    """The product of an image on `canvas`, at our positions in object pixels.

    image : (H, W) complex, the shape of the canvas
    positions : (n, 2) as (y, x), object pixels (not counted from the canvas)
    pixel_size_m : height and width of an object pixel, or one number for both
    fields : further fields of :class:`Product` (name, comments, exposure_time_s, loss_epochs, ...)

    The zero of the metres is the centre of the *object's* top-left pixel whatever the canvas, so products of
    two parts of one scan lie where they belong: ``positions_m = (position - 1/2) * pixel`` and
    ``center_m = (origin + (shape - 1)/2) * pixel``.

    Raises ShapeError where the image has not the shape of the canvas, and what :class:`Product` raises.
    """
    array = np.asarray(image)
    if array.shape[-2:] != canvas.shape:
        raise ShapeError(
            f"the image has shape {array.shape}, but its canvas is {canvas.shape}: pass the canvas it lies on"
        )
    pixel = np.broadcast_to(np.asarray(pixel_size_m, dtype=np.float64), (2,))
    return Product(
        positions_m=to_ptychodus(validate_positions(positions)) * pixel,
        probe=probe,
        object=array,
        object_pixel_m=pixel,
        object_center_m=(np.asarray(canvas.origin) + (np.asarray(canvas.shape) - 1) / 2) * pixel,
        detector_distance_m=detector_distance_m,
        photon_energy_eV=photon_energy_eV,
        **fields,
    )


def write_product(path: str | os.PathLike[str], product: Product) -> Path:
    """Write a product file that ptychodus 1.7.0 opens, whole or not at all, and return the path.

    Raises DataWriteError (folder missing or not writable, disk full).
    """
    target = Path(path)
    with atomic_write(target) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["name"] = product.name
        file.attrs["comments"] = product.comments
        for field, ((key, *_), _) in NUMBERS.items():
            file.attrs[key] = getattr(product, field)
        file.attrs[_LEGACY_ENERGY] = product.photon_energy_eV
        file.attrs["far_field"] = product.far_field
        file["probe_position_indexes"] = product.position_indexes
        file["probe_position_x_m"] = product.positions_m[:, 1]
        file["probe_position_y_m"] = product.positions_m[:, 0]
        for key, array, pixel in (
            ("probe", product.probe, product.probe_pixel_m),
            ("object", product.object, product.object_pixel_m),
        ):
            file[key] = array
            file[key].attrs["pixel_height_m"], file[key].attrs["pixel_width_m"] = pixel
        file["object"].attrs["center_y_m"], file["object"].attrs["center_x_m"] = product.object_center_m
        file["object_layer_spacing_m"] = product.layer_spacing_m
        if product.opr_weights is not None:
            file["opr_weights"] = product.opr_weights
        file["loss_epochs"] = product.loss_epochs
        file["loss_values"] = product.loss_values
        if product.refined is not None:
            for name, array in product.refined.entries().items():
                file[f"{_OURS}/{name}"] = array
    return target


def read_product(path: str | os.PathLike[str]) -> Product:
    """The product in an HDF5 file of ptychodus (or of :func:`write_product`).

    Raises DataFileNotFoundError, DataFormatError (foreign, truncated, forged), DataKeyError (missing entry),
    and what :class:`Product` raises.
    """
    with opened(Path(path), "HDF5 product") as file:
        return _product_in(file)


def _product_in(file: h5py.File) -> Product:
    fields: dict[str, Any] = {}
    for field, (keys, needed) in NUMBERS.items():
        found = [key for key in keys if key in file.attrs]
        if found:
            fields[field] = float(read_attribute(file, found[0]))
        elif needed:
            raise DataKeyError(
                f"the attribute {keys[0]} is missing, but every product needs it: export it from ptychodus "
                "again"
            )
    obj, probe = _dataset(file, "object"), _dataset(file, "probe")
    pixel = _pixel_of(obj, None)
    if _holds(file, "object_layer_spacing_m"):
        fields["layer_spacing_m"] = _read(file, "object_layer_spacing_m")
    if _holds(file, "opr_weights"):
        fields["opr_weights"] = _read(file, "opr_weights")
    losses = "loss_values" if _holds(file, "loss_values") else "costs"
    if _holds(file, losses):
        fields["loss_values"] = _read(file, losses)
        count = len(fields["loss_values"])
        fields["loss_epochs"] = (
            _read(file, "loss_epochs") if _holds(file, "loss_epochs") else np.arange(count)
        )
    x, y = _read(file, "probe_position_x_m"), _read(file, "probe_position_y_m")
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(
            f"the positions have shapes {y.shape} (y) and {x.shape} (x), but one number per frame is "
            "needed: export it again"
        )
    return Product(
        positions_m=np.stack([y, x], axis=1),
        position_indexes=_read(file, "probe_position_indexes"),
        probe=_read(file, "probe"),
        object=_read(file, "object"),
        object_pixel_m=pixel,
        probe_pixel_m=_pixel_of(probe, pixel),
        object_center_m=(_number(obj, "center_y_m"), _number(obj, "center_x_m")),
        name=_text(read_attribute(file, "name")) if "name" in file.attrs else "Unnamed",
        comments=_text(read_attribute(file, "comments")) if "comments" in file.attrs else "",
        far_field=bool(read_attribute(file, "far_field")) if "far_field" in file.attrs else True,
        refined=_refined(file),
        **fields,
    )


def _refined(file: h5py.File) -> Refined | None:
    if not _holds(file, _OURS):
        return None
    there = {name: found for name in ENTRIES if (found := find_dataset(file, f"{_OURS}/{name}")) is not None}
    return Refined.read(there.__contains__, lambda name: read_numbers(there[name]))


def _dataset(file: h5py.File, key: str) -> h5py.Dataset:
    found = find_dataset(file, key)
    if found is None:
        raise missing(key, "every product", "export it from ptychodus again")
    return found


def _read(file: h5py.File, key: str) -> NDArray[Any]:
    return read_numbers(_dataset(file, key), "iufc")


def _holds(file: h5py.File, key: str) -> bool:
    """Whether there is a `key`, without following a link (``key in file`` would)."""
    return bool(file.id.links.exists(key.encode()))


def _number(dataset: h5py.Dataset, key: str) -> float:
    if key not in dataset.attrs:
        raise DataKeyError(f"the attribute {key} of '{label(dataset)}' is missing: export the product again")
    return float(read_attribute(dataset, key))


def _pixel_of(dataset: h5py.Dataset, default: tuple[float, float] | None) -> tuple[float, float]:
    if default is not None and "pixel_height_m" not in dataset.attrs and "pixel_width_m" not in dataset.attrs:
        return default
    return _number(dataset, "pixel_height_m"), _number(dataset, "pixel_width_m")


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
