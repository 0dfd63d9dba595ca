"""A simulated scan from the object and the probe in an NPZ file, as the historical `RawData`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pinn_config.configs import InferenceConfig, TrainingConfig

from pinn_data.errors import DataRangeError, PositionError, ShapeError, naming
from pinn_data.files.npz_archive import NpzReader
from pinn_data.files.npz_header import is_present
from pinn_data.grouping.raw_data import RawData
from pinn_data.optics.patches import extract
from pinn_data.simulation.simulate import simulate_scan

__all__ = ["simulate_from_npz"]

_BUFFER = 0.35  # of the object's shorter side, kept free by default


def simulate_from_npz(
    config: TrainingConfig | InferenceConfig,
    file_path: str | os.PathLike[str],
    buffer: float | None = None,
    return_patches: bool = True,
    *,
    seed: int = 42,
) -> RawData | tuple[RawData, NDArray[np.complex64]]:
    """Poisson counts of ``config.n_groups`` patterns at random positions on the object of a file.

    Parameters
    ----------
    config : says how many patterns (512 where it says nothing), of what N, and with how many photons each
    file_path : an NPZ file with ``objectGuess`` and ``probeGuess``, and, if it has them, the ``background``
        and the ``bad_pixels`` of all frames; its patterns are not looked at
    buffer : pixels that positions keep from the object's edges; default 0.35 of its shorter side, and in any
        case as many as keep the patches inside
    seed : the same seed gives the same scan

    Returns
    -------
    RawData; with `return_patches` that and its ``Y``, (n, N, N, 1) complex64, the object under each pattern

    Raises
    ------
    DataFileNotFoundError, DataFormatError, DataKeyError
        No such file, no NPZ, or without the two entries.
    ShapeError
        The probe is not N x N.
    DataRangeError
        No numbers, or such that no pattern can be counted.
    PositionError
        The object leaves no room for positions.
    """
    N = config.model.N
    with naming(file_path):
        with NpzReader(file_path) as file:
            image, probe = file.read("objectGuess"), file.read("probeGuess")
            measured: dict[str, Any] = {}
            for key in ("bad_pixels", "background"):
                # Those of each frame belong to the positions of the file.
                if is_present(file, key) and file.entry(key).shape in ((), probe.shape[-2:]):
                    measured[key] = file.read(key)
        for key, array in (("objectGuess", image), ("probeGuess", probe)):
            if array.dtype.kind not in "iufc":
                raise DataRangeError(
                    f"{key} has dtype {array.dtype}, but complex numbers are needed: store it as complex64"
                )
        if image.ndim != 2 or probe.ndim not in (2, 3) or probe.shape[-2:] != (N, N):
            raise ShapeError(
                f"objectGuess has shape {image.shape} and probeGuess {probe.shape}, but (H, W) and ([modes,] "
                f"{N}, {N}) are needed for N={N}: set N to the probe's size"
            )
        free = max(N / 2, _BUFFER * min(image.shape) if buffer is None else buffer)
        # The last row of a patch lies N/2 - 1 beyond its position, and one more at a fraction.
        last = np.array(image.shape) - 1 - free
        if (last <= free).any():
            raise PositionError(
                f"an object of {image.shape[0]} x {image.shape[1]} pixels leaves no room for positions that "
                f"keep {free:g} pixels from its edges: use a larger object, or a smaller buffer"
            )
        count = 512 if config.n_groups is None else config.n_groups
        rng = np.random.default_rng(seed)
        positions = rng.uniform(free, last, (count, 2))
        photons = getattr(config, "nphotons", TrainingConfig.nphotons)
        raw = RawData.from_scan(simulate_scan(image, probe, positions, photons=photons, rng=rng, **measured))
    if not return_patches:
        return raw
    assert raw.scan.object is not None  # it was simulated from one
    raw.Y = extract(raw.scan.object, positions, N)
    return raw, raw.Y[..., None]
