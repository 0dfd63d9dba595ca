"""Masks of a detector: what the bits of CXI and NeXus mean, and masks that come as a file of their own.

======================  ==============================================================================
file                    which pixels were not measured
======================  ==============================================================================
NPY, NPZ, HDF5, TIFF    where the number is not 0; of an HDF5 file ``bad_pixels``, else a mask of CXI
                        or NeXus with its own bits, else ``valid_pixel_mask`` of ptychodus, which marks
                        the good ones, else ``mask`` or the only array
JSON                    a list of [row, column], or ``{"Bad pixels": [{"Pixel": [column, row]}]}`` of
                        ptychodus
======================  ==============================================================================

Sources: CXI file format 1.6, section 5.7; NeXus ``NXdetector`` (pixel_mask) and ``NXmx``, which reject a
pixel where ``mask & 0xFFFF``; ptychodus 1.7.0, ``plugins/bad_pixels.py``.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray
from pinn_config.quoting import one_line

from pinn_data.errors import (
    DataFileNotFoundError,
    DataFormatError,
    DataKeyError,
    DataRangeError,
    ShapeError,
    listed,
    naming,
)
from pinn_data.files.hdf5 import find_dataset, is_hdf5, label, opened, read_numbers
from pinn_data.files.npy_file import is_npy, mapped_npy
from pinn_data.files.npz_archive import NpzReader
from pinn_data.scan.scan import Scan

__all__ = ["CXI_MASKS", "NEXUS_MASKS", "check_sense", "find_mask", "masked_scan", "read_mask"]

CXI_MASKS = ("/entry_1/instrument_1/detector_1/mask", "/entry_1/data_1/mask", "/entry_1/image_1/mask")
NEXUS_MASKS = (
    "/entry_1/instrument_1/detector_1/pixel_mask",
    "/entry/instrument/detector/pixel_mask",
    "/entry/instrument/detector/detectorSpecific/pixel_mask",
    "/entry/instrument/detector/threshold_1_channel/pixel_mask",
)
_CXI_GOOD = 0x1000  # 1.3: the pixel has signal; 1.5: an artefact was corrected. Both are good pixels
_NEXUS_BAD = 0xFFFF  # bit 31 marks a virtual pixel between two chips, which counts
_PLAIN = ("mask", "/mask", "arr_0")
_MOST_JSON = 2**26  # bytes
_MOST_TIFF = 2**28  # pixels


def find_mask(file: h5py.File) -> NDArray[np.bool_] | None:
    """(H, W) bool: pixels that the mask of CXI or NeXus in an HDF5 file excludes; None where it has none. Of
    a mask for each frame, those that it excludes in any.

    Raises ShapeError, and what reading raises.
    """
    for names, bits in ((CXI_MASKS, ~_CXI_GOOD), (NEXUS_MASKS, _NEXUS_BAD)):
        found = find_dataset(file, *names)
        if found is not None:
            if len(found.shape) not in (2, 3):
                raise ShapeError(
                    f"'{label(found)}' has shape {found.shape}, but one mask, (rows, columns), or one mask "
                    "per frame is needed: combine them"
                )
            values = read_numbers(found)
            bad = (values.astype(np.int64) & bits) != 0 if values.dtype.kind in "iu" else values != 0
            return bad if bad.ndim == 2 else bad.any(axis=0)
    return None


def read_mask(
    path: str | os.PathLike[str],
    entry: str | None = None,
    *,
    invert: bool = False,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.bool_]:
    """The pixels that were not measured, (H, W) or (n, H, W) bool, from a file of its own.

    entry : the array in an NPZ or HDF5 file; default by the table above
    invert : whether the file marks the good pixels
    shape : (H, W) of the detector, which a list of pixels (JSON) does not tell

    Raises DataFileNotFoundError, DataFormatError (of no kind that is known, damaged), DataKeyError (which
    array?), ShapeError, DataRangeError (a pixel outside the detector).
    """
    source = Path(path)
    if not source.is_file():
        raise DataFileNotFoundError(f"{source} does not exist: check the path of the mask")
    with naming(source):
        values = _values(source, entry, shape)
        if values.ndim not in (2, 3) or 0 in values.shape or values.dtype.kind not in "biuf":
            raise ShapeError(
                f"the mask is {one_line(values.dtype)} of shape {values.shape}, but one number per pixel, "
                "(rows, columns), is needed: name another array as FILE:NAME"
            )
    bad = np.isnan(values) | (values != 0) if values.dtype.kind == "f" else values != 0
    return ~bad if invert else bad


def check_sense(bad: NDArray[np.bool_], source: object, advice: str) -> None:
    """Returns unless a mask excludes more than half of all pixels, as one that marks the good ones does;
    raises DataRangeError then.

    advice : what to do
    """
    count = int(bad.sum())
    if count > bad.size / 2:
        raise DataRangeError(
            f"the mask of {source} excludes {count} of {bad.size} pixels, more than half: {advice}"
        )


def masked_scan(
    scan: Scan, path: str | os.PathLike[str], entry: str | None = None, *, invert: bool = False
) -> Scan:
    """The scan without the pixels that a mask in a file of its own excludes, besides those that it lacks
    already.

    path, entry, invert : as for `read_mask`

    Raises what `read_mask` raises, and ShapeError where the mask is not of the size of the patterns.
    """
    N, frames = scan.N, len(scan)
    bad = read_mask(path, entry, invert=invert, shape=(N, N))
    if bad.shape not in ((N, N), (frames, N, N)):
        raise ShapeError(
            f"{path}: the mask has shape {bad.shape}, but the patterns are {N} x {N}: crop it like the "
            "patterns, or pass it to 'pinn convert' with the detector frames"
        )
    check_sense(bad, path, f"give {'no ' if invert else ''}--invert-mask if it marks good pixels")
    return attrs.evolve(scan, bad_pixels=bad if scan.bad_pixels is None else bad | scan.bad_pixels)


def _values(path: Path, entry: str | None, shape: tuple[int, int] | None) -> NDArray[Any]:
    with path.open("rb") as file:
        start = file.read(8)
    if is_npy(path):
        return np.array(mapped_npy(path))
    if start.startswith(b"PK"):
        with NpzReader(path) as archive:
            return archive.read(entry or _only(archive.keys, "bad_pixels", *_PLAIN))
    if is_hdf5(path):
        return _hdf5_values(path, entry)
    if start[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_values(path)
    if start.lstrip()[:1] in (b"[", b"{"):
        return _listed_pixels(path, shape)
    raise DataFormatError(f"{path} is not a known mask format: give an NPY, NPZ, HDF5, TIFF or JSON file")


def _only(names: list[str], *customary: str) -> str:
    for name in customary:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    raise DataKeyError(
        f"it holds {listed(names)}, so it is not clear which is the mask: name it as FILE:NAME"
    )


def _hdf5_values(path: Path, entry: str | None) -> NDArray[Any]:
    with opened(path, "mask") as file:
        if entry is None:
            found = find_dataset(file, "bad_pixels")
            if found is not None:
                return read_numbers(found)
            known = find_mask(file)
            if known is not None:
                return known
            valid = find_dataset(file, "valid_pixel_mask")
            if valid is not None:
                return read_numbers(valid) == 0
            entry = _only(list(file), "mask")
        found = find_dataset(file, entry)
        if found is None:
            raise DataKeyError(
                f"the file has no dataset {one_line(entry, 60)}: name the mask as FILE:DATASET"
            )
        return read_numbers(found)


def _tiff_values(path: Path) -> NDArray[Any]:
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=("TIFF",)) as picture:
            if picture.width * picture.height > _MOST_TIFF:
                raise ValueError(f"it declares {picture.width} x {picture.height} pixels")
            values = np.asarray(picture)
    except Exception as error:  # a decoder of many formats: anything may come
        reason = one_line(error) or type(error).__name__
        raise DataFormatError(
            f"{path} is not a readable TIFF file ({reason}): store the mask as NPY"
        ) from error
    return values[..., 0] if values.ndim == 3 else values


def _listed_pixels(path: Path, shape: tuple[int, int] | None) -> NDArray[np.bool_]:
    if shape is None:
        raise ShapeError(
            f"{path} lists bad pixels, but the size of the detector is not known: give a mask image"
        )
    if path.stat().st_size > _MOST_JSON:
        raise DataFormatError(f"{path} is larger than {_MOST_JSON} bytes: store the mask as NPY")
    try:
        content = json.loads(path.read_text("utf-8"))
        if isinstance(content, dict):
            pixels = [item["Pixel"][::-1] for item in content["Bad pixels"]]
        else:
            pixels = content
        where = np.array(pixels, np.int64).reshape(len(pixels), 2)
        exact = bool((where == np.array(pixels, np.float64).reshape(len(pixels), 2)).all())
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise DataFormatError(
            f"{path} is not a list of pixels: give [[row, column], ...], or the list of bad pixels of "
            "ptychodus"
        ) from error
    if not exact or (where < 0).any() or (where >= shape).any():
        raise DataRangeError(
            f"{path} lists pixels outside the detector of {shape[0]} x {shape[1]}, or fractions: give "
            "(row, column), counted from 0"
        )
    bad = np.zeros(shape, bool)
    bad[where[:, 0], where[:, 1]] = True
    return bad
