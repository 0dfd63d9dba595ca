"""What lies in HDF5 files of others: CXI, the training data of ptychodus, stacks of patterns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_data.files.cxi import read_cxi
from pinn_data.files.frame_stack import FrameStack, open_frames
from pinn_data.files.measurement import Measurement
from pinn_data.files.training_data import read_training_data
from pinn_data.scan.far_field import near_field_signs, photon_energy_eV
from pinn_data.scan.unmeasured import measured_part

from pinn_dispatch.info.description import Description, Picture
from pinn_dispatch.info.scan_description import probe_picture, probe_words
from pinn_dispatch.source_kinds import source_kind

__all__ = ["describe_measured"]


def describe_measured(path: Path) -> Description:
    """A CXI file, a training file, or a stack of patterns in HDF5; of the patterns a few are read.

    Raises what `read_cxi`, `read_training_data` and `open_frames` raise.
    """
    kind = source_kind(path)
    if kind == "raw":
        frames = open_frames(path)
        words = {**_frames(frames), "positions": "none: give them to 'pinn convert' with --positions"}
        return Description(path, "stack of patterns", words, _facts(frames), (_pattern(_few(frames)[0]),))
    if kind == "training":
        return _described(path, "ptychodus training data", read_training_data(path))
    return _described(path, "CXI file", read_cxi(path, geometry_needed=False))


def _described(path: Path, kind: str, found: Measurement) -> Description:
    frames, on_object = found.frames, found.stage.on_object(found.recorded)
    first, bad = _few(frames)
    span = np.ptp(on_object, axis=0)
    unit, scale = ("object pixels", 1.0) if found.stage.unit == "px" else ("um", 1e6)
    words = {
        **_frames(frames),
        "positions": f"{len(on_object)}, spanning y {span[0] * scale:.4g}, x {span[1] * scale:.4g} {unit}; "
        f"{found.stage.words}",
        **_geometry(found, first, bad),
        "probe": "none" if found.probe is None else probe_words(found.probe),
        "object": "none"
        if found.object is None
        else f"{found.object.shape[0]} x {found.object.shape[1]} pixels",
        **{f"assumed {number}": sentence for number, sentence in enumerate(found.said, 1)},
        "next": "'pinn convert' turns it into a scan",
    }
    far = found.geometry
    facts = {
        **_facts(frames),
        "positions": len(on_object),
        "positions_unit": found.stage.unit,
        "positions_span": span,
        "detector_distance_m": None if far is None else far.distance_m,
        "photon_energy_eV": None if far is None else photon_energy_eV(far.wavelength_m),
        "detector_pixel_m": None if far is None else far.detector_pixel_m,
        "probe_shape": None if found.probe is None else found.probe.shape,
        "object_shape": None if found.object is None else found.object.shape,
        "assumed": found.said,
    }
    pictures = [_pattern(first), Picture("positions", "positions", on_object * scale, unit)]
    if found.probe is not None:
        pictures.append(probe_picture(found.probe))
    return Description(path, kind, words, facts, tuple(pictures))


def _few(frames: FrameStack) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """The first block of frames, 0 where a pixel was not measured, and those pixels."""
    first = next(block for _, block in frames.blocks())
    found = measured_part(first, frames.mask, drop_empty=False, owned=False)
    return np.asarray(found.stack), found.bad_pixels


def _frames(frames: FrameStack) -> dict[str, str]:
    return {
        "patterns": f"{len(frames)} of {frames.shape[1]} x {frames.shape[2]} pixels ({frames.dtype})",
        "mask": "none" if frames.mask is None else f"{int(frames.mask.sum())} pixels",
    }


def _facts(frames: FrameStack) -> dict[str, Any]:
    return {
        "patterns": len(frames),
        "pattern_shape": frames.frame_shape,
        "dtype": str(frames.dtype),
        "masked_pixels": None if frames.mask is None else int(frames.mask.sum()),
    }


def _pattern(first: NDArray[Any]) -> Picture:
    return Picture("first pattern", "pattern", first[0].astype(np.float64), "log10")


def _geometry(found: Measurement, first: NDArray[Any], bad: NDArray[np.bool_] | None) -> Mapping[str, str]:
    far = found.geometry
    if far is None:
        return {"geometry": "incomplete: give --distance, --energy and --detector-pixel to 'pinn convert'"}
    height, width = far.detector_pixel_m
    words = {
        "energy": f"{photon_energy_eV(far.wavelength_m):.6g} eV, wavelength {far.wavelength_m * 1e9:.5g} nm",
        "distance": f"{far.distance_m:.5g} m",
        "detector pixel": f"{height * 1e6:.4g} x {width * 1e6:.4g} um (height, width)",
    }
    rows, columns = found.frames.frame_shape
    if rows != columns or not far.has_square_pixels:
        return words
    pixel = far.object_pixel_m(rows)
    on_object = found.stage.on_object(found.recorded)
    positions = on_object if found.stage.unit == "px" else on_object / pixel
    words["object pixel"] = f"{pixel * 1e9:.4g} nm in the far field"
    signs = near_field_signs(first, "intensity", positions, bad)
    if signs:
        words["near field?"] = f"the far-field model does not seem to describe it: {'; '.join(signs)}"
    return words
