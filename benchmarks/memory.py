"""Memory of a training on a hundred thousand groups of four patterns."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.children import run_child
from benchmarks.line import Line

__all__ = ["memory", "train_some", "write_wide"]

_FRAMES, _FEW = 100_000, 1_024
_STEPS = 24


def write_wide(folder: Path, target: str) -> list[Line]:
    """Write the large scan; in its own process, which may take what memory it likes."""
    from pinn_data.npz import write_scan

    from benchmarks.scans import wide_scan

    scan = wide_scan(folder, _FRAMES)
    write_scan(Path(target), scan, unit="counts")
    numbers = {"raw_mib": scan.diffraction.nbytes / 2**20, "dtype": str(scan.diffraction.dtype)}
    return [Line("large scan", f"{numbers['raw_mib']:.0f} MiB", numbers=numbers)]


def train_some(folder: Path, source: str, architecture: str, groups: int) -> list[Line]:
    """Train some steps of an epoch of so many groups at gridsize 2, from the file."""
    import lightning
    from pinn_data.npz import read_scan
    from pinn_torch.workflows import train

    from benchmarks.peaks import prepare
    from benchmarks.scans import configs

    class _Enough(lightning.Callback):
        """Ends the training early, as the time limit of `train` does."""

        def on_train_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            trainer.should_stop = trainer.should_stop or trainer.global_step >= _STEPS

    prepare()
    with tempfile.TemporaryDirectory() as output:
        config, execution = configs(architecture, 2, Path(output), nepochs=1, n_groups=groups)
        with _callback(_Enough()):
            result = train(read_scan(Path(source)), config, execution)
    steps = result.history[-1]["step"]
    return [Line("training", f"{steps} steps", numbers={"steps": steps})]


class _callback:
    """Every Trainer that is made inside has this callback besides its own."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback

    def __enter__(self) -> None:
        import lightning

        self.original = original = lightning.Trainer.__init__
        extra = self.callback

        def init(trainer: Any, *arguments: Any, callbacks: Any = None, **options: Any) -> None:
            original(trainer, *arguments, callbacks=[*(callbacks or []), extra], **options)

        lightning.Trainer.__init__ = init

    def __exit__(self, *error: object) -> None:
        import lightning

        lightning.Trainer.__init__ = self.original


def memory(folder: Path, architecture: str) -> list[Line]:
    """Peak memory of training on 1e5 groups at gridsize 2, relative to the size of the raw patterns (uint16)."""
    from benchmarks.scans import SCAN

    with tempfile.TemporaryDirectory(prefix="pinn-benchmark-") as large:
        target = str(Path(large) / "large.npz")
        raw = run_child("memory:write_wide", folder, {"target": target})[0].numbers
        few, many = (
            run_child(
                "memory:train_some",
                folder,
                {"source": source, "architecture": architecture, "groups": groups},
            )[0]
            for source, groups in ((str(folder / SCAN), _FEW), (target, _FRAMES))
        )
    size = raw["raw_mib"]
    return [
        Line(
            f"training on 1e5 groups, {architecture}, gridsize 2",
            f"{many.memory_mib:.0f} MiB for {size:.0f} MiB of {raw['dtype']}",
            many.memory_mib / size,
            "raw data",
            ("<=", 2.0),
            f"{few.memory_mib:.0f} MiB the same on 1e3 groups; the rest is {(many.memory_mib - few.memory_mib) / size:.2f} "
            "of the raw data",
            many.memory_mib,
            {**raw, "few_mib": few.memory_mib, "many_mib": many.memory_mib, "steps": many.numbers["steps"]},
        )
    ]
