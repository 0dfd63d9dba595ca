"""Memory of a program that trains again and again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.clock import peak_memory_mib
from benchmarks.line import Line

__all__ = ["repeated"]

_TRAININGS, _AFTER = 20, 3
# Networks and sizes of a group in turn: none may find what another one left.
_KINDS = (("cnn", 1), ("refined", 2))


def repeated(folder: Path, backend: str) -> list[Line]:
    """Peak memory after the twentieth training and reconstruction, against that after the third."""
    import numpy as np
    from pinn_data.files.npz import read_scan

    from benchmarks.engines import engine
    from benchmarks.scans import BATCH, SCAN, configs

    engines, scan = engine(backend), read_scan(folder / SCAN).select(np.arange(64))
    peaks = []
    for i in range(_TRAININGS):
        architecture, gridsize = _KINDS[i % len(_KINDS)]
        with tempfile.TemporaryDirectory(dir=folder) as output:
            options = {"nepochs": 1, "n_groups": 2 * BATCH, "backend": backend}
            config, execution = configs(architecture, gridsize, Path(output), **options)
            result = engines.train(scan, config, execution, seed=i)
            engines.reconstruct(result.archive, scan)
        peaks.append(peak_memory_mib())
    before, after = peaks[_AFTER - 1], peaks[-1]
    return [
        Line(
            f"{engines.title}{_TRAININGS} trainings and reconstructions in one process",
            f"{after:.0f} MiB, {before:.0f} MiB after {_AFTER}",
            after / before,
            f"after {_AFTER}",
            ("<=", 1.05),
            numbers={"peaks_mib": peaks},
        )
    ]
