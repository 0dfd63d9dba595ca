"""The calls that read what `pinn convert` takes from others, and what `pinn info` says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pinn_data.files.cxi import GivenGeometry, read_cxi
from pinn_data.files.frame_stack import open_frames
from pinn_data.files.measurement import Framing, Measurement
from pinn_data.files.position_file import read_positions
from pinn_data.files.product import Product
from pinn_data.files.product_npz import read_any_product
from pinn_data.files.training_data import read_training_data, read_training_npz
from pinn_data.scan.scan import Scan
from pinn_dispatch.conversion import Request, converted
from pinn_dispatch.source_kinds import source_kind

from .soundness import require, sound_description, sound_product, sound_scan

__all__ = ["OPENERS"]

Opener = Callable[[Path], Any]

_GEOMETRY = GivenGeometry(2.0, 1.2e-10, (75e-6, 75e-6))


def _convert(source: Path | None = None, **said: Any) -> Opener:
    """`pinn convert` with these flags, as far as the output: of the hostile file, or of `source` beside it,
    where a flag names the hostile one as ``{}``."""

    def opener(path: Path) -> Any:
        flags = {key: path.name if value == "{}" else value for key, value in said.items()}
        request = Request(source or path, **flags)
        found, sentences = converted(request, source_kind(request.source), lambda frames: None)
        require(all(sentence.isprintable() for sentence in sentences), "sentences")
        if isinstance(found, Scan):
            return sound_scan(found)
        return sound_product(found) if isinstance(found, Product) else found

    return opener


def _measurement(read: Callable[[Path], Measurement]) -> Opener:
    def opener(path: Path) -> Any:
        found = read(path)
        require(found.recorded.ndim == 2 and found.recorded.shape[1] == 2, "positions")
        require(found.frames.mask is None or found.frames.mask.shape == found.frames.frame_shape, "mask")
        return found

    return opener


def _frames(path: Path, frames_axis: int = 0) -> Any:
    stack, count = open_frames(path, None, frames_axis), 0
    for start, block in stack.blocks():
        require(start == count and block.shape[1:] == stack.frame_shape, "blocks")
        require(block.dtype.newbyteorder("=") == stack.dtype, "dtype")
        count += len(block)
    require(count == len(stack), "frames")
    return stack


def _positions(path: Path, *columns: str) -> Any:
    entry = "motors/xy" if path.suffix == ".h5" else None
    positions, unit = read_positions(path, entry, columns or None)
    require(positions.ndim == 2 and positions.shape[1] == 2 and positions.dtype == np.float64, "positions")
    require(unit in (None, "m", "mm", "um", "nm", "px"), "unit")
    return positions


def _positions_of(columns: tuple[str, ...] | None, **said: Any) -> Opener:
    def opener(path: Path) -> Any:
        named = f"{path.name}:motors/xy" if path.suffix == ".h5" else path.name
        flags = {**_RAW, "positions": named, "positions_columns": columns, **said}
        return _convert(Path("frames.npy"), **flags)(path)

    return opener


_RAW = {"positions": "positions.csv", "geometry": _GEOMETRY, "guess_probe": True}

OPENERS: Mapping[str, Mapping[str, Opener]] = {
    "cxi": {
        "read_cxi": _measurement(lambda path: read_cxi(path, geometry_needed=False)),
        "pinn convert --guess-probe": _convert(guess_probe=True),
        # From here on, one a case.
        "pinn convert": _convert(),
        "pinn convert --size --defocus": _convert(framing=Framing(N=12), guess_probe=True, defocus_m=1e-5),
        "pinn convert --object-pixel": _convert(
            object_pixel_m=1e-7, framing=Framing(file_mask=False), guess_probe=True
        ),
        "pinn convert --distance ... --probe": _convert(geometry=_GEOMETRY, probe="{}"),
        "frames": _frames,
        "pinn info": sound_description,
    },
    "training": {
        "read_training_data": _measurement(read_training_data),
        "pinn convert": _convert(),
        # From here on, one a case.
        "pinn convert --mask": _convert(mask="{}"),
        "frames": _frames,
        "pinn info": sound_description,
    },
    "export": {
        "pinn convert": _convert(),
        "pinn info": sound_description,
        # From here on, one a case.
        "read_training_npz": lambda path: sound_scan(read_training_npz(path)[0]),
        "read_any_product": lambda path: sound_product(read_any_product(path)),
        "frames": _frames,
    },
    "stack": {
        "frames": _frames,
        "pinn convert --positions": _convert(**_RAW),
        # From here on, one a case.
        "frames, last": lambda path: _frames(path, frames_axis=2),
        "pinn convert --size": _convert(**_RAW, framing=Framing(N=12, zero_frequency="centre")),
        "pinn convert --probe": _convert(Path("frames.npy"), **{**_RAW, "guess_probe": False, "probe": "{}"}),
        "pinn convert --patterns": _convert(Path("product.h5"), patterns="{}"),
        "pinn convert --mask": _convert(Path("frames.npy"), **_RAW, mask="{}"),
        "pinn info": sound_description,
    },
    "table": {
        "read_positions": _positions,
        "pinn convert --positions-columns": _positions_of(("y", "x"), positions_unit="px"),
        # From here on, one a case.
        "read_positions(columns=...)": lambda path: _positions(path, "-", "y", "x"),
        "pinn convert --positions": _positions_of(None),
        "pinn convert --positions --size": _positions_of(
            ("x", "y"), positions_unit="um", framing=Framing(N=12)
        ),
    },
}
