"""The scans of a workflow function: given, or named by the configuration, with their axes put right.

Source: the specification, section 4.5.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import attrs
from pinn_config.configs import InferenceConfig, TrainingConfig

from pinn_data.errors import RequestError
from pinn_data.grouping.raw_data import scan_of
from pinn_data.scan.positions import reoriented
from pinn_data.scan.scan import Scan

__all__ = ["check_window", "given_scan", "inference_config", "turned", "two_scans"]


def given_scan(data: Any, file: Path | None, what: str) -> Scan:
    """`data` as a scan, or the one in the `file` that a configuration names; ``Path()`` names none.

    what : how the caller calls it, ``'train_data'`` or ``'test_data'``

    Raises RequestError where there is neither, and what :func:`pinn_data.grouping.raw_data.scan_of` raises.
    """
    if data is None and file in (None, Path()):
        raise RequestError(
            f"there is no {what}: give a scan, or name its NPZ file in the configuration "
            f"({what.removesuffix('_data')}_data_file)"
        )
    return scan_of(file if data is None else data, what)


def two_scans(
    train_data: Any, test_data: Any, config: TrainingConfig, *, stitched: bool = False, M: int | None = None
) -> tuple[Scan, Scan | None]:
    """What is learned, and what validates it, None where nothing does.

    stitched : the second one is stitched with `M`, and has to be there

    Raises RequestError, and what :func:`pinn_data.grouping.raw_data.scan_of` raises.
    """
    train_scan = given_scan(train_data, config.train_data_file, "train_data")
    test_scan = None
    if test_data is not None or config.test_data_file not in (None, Path()):
        test_scan = given_scan(test_data, config.test_data_file, "test_data")
    if stitched:
        if test_scan is None:
            raise RequestError(
                "do_stitching=True was given without test_data: give the scan to reconstruct, or "
                "do_stitching=False"
            )
        check_window(M, test_scan)
    return train_scan, test_scan


def check_window(M: int | None, scan: Scan) -> None:
    """Returns if the central M x M pixels of a patch of `scan` exist; raises RequestError."""
    if M is not None and not 0 <= M <= scan.N:
        raise RequestError(
            f"M={M} was given, but it must be 0 to N={scan.N}: the central M x M pixels of each patch are "
            "stitched (0: all)"
        )


def turned(scan: Scan, *, scale: float = 1.0, **flips: bool) -> Scan:
    """The same patterns at positions of which the axes are put right, see
    :func:`pinn_data.scan.positions.reoriented`."""
    if scale == 1 and not any(flips.values()):
        return scan
    return attrs.evolve(
        scan,
        positions=reoriented(scan.positions, scale=scale, **flips),
        positions_start=reoriented(scan.positions_start, scale=scale, **flips),
    )


def inference_config(config: TrainingConfig) -> InferenceConfig:
    """The reconstruction that belongs to a training: all frames, grouped by the same rule."""
    shared = {f.name for f in dataclasses.fields(InferenceConfig)} & {
        f.name for f in dataclasses.fields(TrainingConfig)
    }
    # How many groups and frames to learn from does not say how much to reconstruct.
    shared -= {"n_groups", "n_images", "n_subsample", "subsample_seed"}
    return InferenceConfig(**{name: getattr(config, name) for name in shared})
