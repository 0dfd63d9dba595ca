"""Both backends behind one face, for the rows that go through `train` and `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pinn_config.configs import TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_data.files.npz import read_scan
from pinn_data.scan.scan import Scan

from benchmarks.scans import SCAN

__all__ = ["engine"]


class _Torch:
    title = ""

    def __init__(self) -> None:
        from pinn_torch.workflows import reconstruct, train

        from benchmarks.peaks import Peaks, prepare

        prepare()
        self.train, self.reconstruct, self.peaks = train, reconstruct, Peaks

    def canvas(self, scan: Scan, config: TrainingConfig, execution: PyTorchExecutionConfig) -> int:
        from pinn_torch.training.datamodule import ScanDataModule

        return ScanDataModule(scan, config, execution).canvas

    def network_alone(
        self, folder: Path, model: Path, config: TrainingConfig, execution: PyTorchExecutionConfig
    ) -> float:
        """Seconds of a batch."""
        from pinn_torch.archive.model_archive import load_model
        from pinn_torch.training.datamodule import ScanDataModule

        from benchmarks.network import network_alone

        data = ScanDataModule(read_scan(folder / SCAN), config, execution)
        return network_alone(load_model(model).module, data, "32-true")[0]


class _TensorFlow:
    title = "TensorFlow: "

    def __init__(self) -> None:
        from pinn_tf.workflows import reconstruct, train

        from benchmarks.tf_peaks import TensorFlowPeaks

        self.train, self.reconstruct, self.peaks = train, reconstruct, TensorFlowPeaks

    def canvas(self, scan: Scan, config: TrainingConfig, execution: PyTorchExecutionConfig) -> int:
        from pinn_tf.training.datamodule import GroupBatches

        return GroupBatches(scan, config, execution).canvas

    def network_alone(
        self, folder: Path, model: Path, config: TrainingConfig, execution: PyTorchExecutionConfig
    ) -> float:
        """Seconds of a batch."""
        from pinn_tf.archive.model_archive import load_model
        from pinn_tf.training.datamodule import GroupBatches

        from benchmarks.tf_network import network_alone

        data = GroupBatches(read_scan(folder / SCAN), config, execution)
        _, batch = next(iter(data.epoch(0)))
        return network_alone(load_model(model).module, batch, data.canvas)[0]


def engine(backend: str) -> Any:
    """What the rows call of a backend; its framework is loaded."""
    return {"pytorch": _Torch, "tensorflow": _TensorFlow}[backend]()
