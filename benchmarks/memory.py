"""Memory of a training on a hundred thousand groups of four patterns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.children import run_child
from benchmarks.line import Line

__all__ = ["bare", "memory", "train_some", "write_wide"]

_FRAMES, _FEW = 100_000, 1_024
_SECONDS = 25.0


def write_wide(folder: Path, target: str, unit: str) -> list[Line]:
    """Write the large scan, as uint16 counts or as float32 amplitudes; this process may be large itself."""
    import numpy as np
    from pinn_data.files.npz import write_scan

    from benchmarks.scans import wide_scan

    scan = wide_scan(folder, _FRAMES)
    write_scan(Path(target), scan, unit=unit)
    dtype = scan.diffraction.dtype if unit == "counts" else np.dtype(np.float32)
    numbers = {"raw_mib": scan.diffraction.size * dtype.itemsize / 2**20, "dtype": str(dtype)}
    return [Line("large scan", f"{numbers['raw_mib']:.0f} MiB", numbers=numbers)]


def bare(folder: Path, architecture: str, backend: str) -> list[Line]:
    """The process before any data: Python, the framework and the module."""
    from pinn_data.optics.probe import defocused_probe

    from benchmarks.scans import N, configs

    config, execution = configs(architecture, 2, folder, backend=backend)
    probe = defocused_probe(N)[None]
    if backend == "tensorflow":
        import pinn_tf.training.run  # noqa: F401  what `train` imports
        from pinn_tf.model.module import PtychoPINN

        PtychoPINN(config.model, probe, 1.0)
    else:
        import pinn_torch.training.run  # noqa: F401
        import torch
        from pinn_torch.model.module import PtychoPINN_Lightning

        PtychoPINN_Lightning(config.model, torch.from_numpy(probe), 1.0, execution=execution)
    return [Line("bare process", "")]


def train_some(folder: Path, source: str, architecture: str, groups: int, backend: str) -> list[Line]:
    """Train for some seconds in an epoch of so many groups at gridsize 2, from the file."""
    from pinn_data.files.npz import read_scan
    from pinn_data.scan.stored_patterns import LARGE

    from benchmarks.engines import engine
    from benchmarks.scans import configs

    with tempfile.TemporaryDirectory(dir=folder) as output:
        # So many epochs that the time ends it, however few the groups.
        options = {"nepochs": 1_000, "n_groups": groups, "backend": backend}
        config, execution = configs(architecture, 2, Path(output), **options)
        result = engine(backend).train(
            read_scan(Path(source), in_file_above=LARGE), config, execution, max_seconds=_SECONDS
        )
    steps = result.history[-1]["step"]
    return [Line("training", f"{steps} steps", numbers={"steps": steps})]


def memory(folder: Path, architecture: str, unit: str, backend: str) -> list[Line]:
    """Peak memory of training on 1e5 groups at gridsize 2, relative to the size of the patterns."""
    from benchmarks.scans import BATCH, SCAN

    def trained(source: str, groups: int) -> Line:
        arguments = {"source": source, "architecture": architecture, "groups": groups, "backend": backend}
        return run_child("memory:train_some", folder, arguments)[0]

    with tempfile.TemporaryDirectory(dir=folder) as large:
        target = str(Path(large) / "large.npz")
        raw = run_child("memory:write_wide", folder, {"target": target, "unit": unit})[0].numbers
        nothing = run_child("memory:bare", folder, {"architecture": architecture, "backend": backend})[
            0
        ].memory_mib
        few, many = trained(str(folder / SCAN), _FEW), trained(target, _FRAMES)
    size = raw["raw_mib"]
    numbers = {"bare_mib": nothing, "few_mib": few.memory_mib, "many_mib": many.memory_mib}
    return [
        Line(
            f"{'TensorFlow: ' if backend == 'tensorflow' else ''}training on 1e5 groups, {architecture}, "
            f"gridsize 2, batch {BATCH}",
            f"{many.memory_mib:.0f} MiB for {size:.0f} MiB of {raw['dtype']}",
            many.memory_mib / size,
            "raw data",
            ("<=", 2.0),
            f"bare process {nothing:.0f} MiB, on 1e3 groups {few.memory_mib:.0f} MiB; "
            f"what grows with the data is {(many.memory_mib - few.memory_mib) / size:.2f} of them",
            many.memory_mib,
            {**raw, **numbers, "steps": many.numbers["steps"]},
        )
    ]
