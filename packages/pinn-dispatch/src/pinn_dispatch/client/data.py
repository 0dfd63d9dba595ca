"""Scans as programs have them: a folder of training data, an NPZ file, a scan, or its arrays.

Positions are object pixels, as everywhere; what is in metres, with the pixel origin of ptychodus, enters and
leaves through :mod:`pinn_data.run.product_scan`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pinn_dispatch.errors import DispatchError

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

__all__ = ["TEST_FILE", "TRAINING_FILE", "export_scan", "scan_given", "training_scans"]

TRAINING_FILE = "train_data.npz"
TEST_FILE = "test_data.npz"
"""Names in a folder of training data (specification, section 4.5)."""


def scan_given(data: Any, what: str) -> Scan:
    """The scan that `data` is: a `Scan`, a `RawData`, the path of an NPZ file, or a mapping (or an object) of
    arrays under the names of the NPZ schema.

    what : names it in messages

    Raises what :func:`pinn_data.grouping.raw_data.scan_of` raises.
    """
    from pinn_data.grouping.raw_data import scan_of

    return scan_of(SimpleNamespace(**data) if isinstance(data, Mapping) else data, what)


def training_scans(data: Any, validation: Any) -> tuple[Scan, Scan | None]:
    """What is learned, and what validates it, if anything does.

    data : as for `scan_given`, or a folder that holds `TRAINING_FILE` and, to validate, `TEST_FILE`
    validation : as for `scan_given`; it goes before a `TEST_FILE`

    Raises DispatchError where a folder lacks `TRAINING_FILE`, and what `scan_given` raises.
    """
    if isinstance(data, (str, os.PathLike)) and Path(data).is_dir():
        folder = Path(data)
        data = folder / TRAINING_FILE
        if not data.is_file():
            raise DispatchError(
                f"{folder} holds no {TRAINING_FILE}: export training data to it, or give a file or a scan"
            )
        if validation is None and (folder / TEST_FILE).is_file():
            validation = folder / TEST_FILE
    learned = scan_given(data, "the training data")
    return learned, None if validation is None else scan_given(validation, "the validation data")


def export_scan(path: str | os.PathLike[str], data: Any) -> Path:
    """Write `data` (as for `scan_given`) as training data with amplitudes under ``diff3d``, whole or not at
    all; the path of the file.

    path : an ``.npz`` file, or a folder, in which it becomes `TRAINING_FILE`

    Raises DispatchError for another ending, and what `scan_given` and :func:`pinn_data.files.npz.write_scan`
    raise.
    """
    from pinn_data.files.npz import write_scan

    target = Path(path)
    if target.is_dir():
        target = target / TRAINING_FILE
    if target.suffix.lower() != ".npz":
        raise DispatchError(
            f"training data cannot be exported to {target}: give a name that ends in .npz, or a folder that "
            "exists"
        )
    return write_scan(target, scan_given(data, "the training data"))
