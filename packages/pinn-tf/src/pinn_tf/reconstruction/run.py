"""The network's image of a scan, from an archive; `pinn_data.run.network_image` does what needs no
framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pinn_data.optics.probe import probe_modes
from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import Report, Watcher
from pinn_data.run.network_image import make_image
from pinn_data.run.reconstruction_job import ReconstructionJob
from pinn_data.run.results import Reconstruction
from pinn_data.scan.scan import Scan
from pinn_data.stitching.counting import Counting, Window

from pinn_tf.archive.model_archive import TrainedModel
from pinn_tf.model.module import PtychoPINN
from pinn_tf.model.network import read_weights, write_weights
from pinn_tf.model.tracing import BatchFunction
from pinn_tf.optics.counted import counted
from pinn_tf.optics.physics import fourier_shift
from pinn_tf.optics.smoothing import smoothed
from pinn_tf.runtime.devices import device_of, network_precision, on_device

__all__ = ["run_network"]


def run_network(trained: TrainedModel, job: ReconstructionJob, progress: Watcher | None) -> Reconstruction:
    """The image of a trained model, which stays as it is."""
    execution = job.execution
    device = device_of(execution.accelerator)
    with (
        on_device(device),
        progress_bar(execution.enable_progress_bar) as bar,
    ):
        report = Report("reconstruction", bar, progress)
        module = _module_for(trained, job.scan, execution.precision)
        result = make_image(job, _NetworkOnScan(module, device, compiled=execution.compile), report)
        report.finish()
        return result


def _module_for(trained: TrainedModel, scan: Scan, precision: str) -> PtychoPINN:
    """The model with the scan's probe, or its own where that was trained; a copy."""
    source = trained.module
    module = PtychoPINN(source.model, probe_modes(scan.probe), 1.0, precision=network_precision(precision))
    read_weights(module.network, write_weights(source.network))
    if trained.probe_trained:
        module.restore(_whole_probe(source), 0.0, 1.0)
    return module


def _whole_probe(module: PtychoPINN) -> NDArray[np.complex64]:
    return np.ascontiguousarray(module.probe_parts.value.numpy()).view(np.complex64)[..., 0]


class _NetworkOnScan:
    """`pinn_data.run.reconstruction_job.NetworkOnScan` of a module."""

    def __init__(self, module: PtychoPINN, place: str, *, compiled: bool) -> None:
        self.module, self.place, self.compiled = module, place, compiled
        self.probe: NDArray[np.complex64] = module.probe.numpy()
        self.whole_probe = _whole_probe(module)

    def windows_of(
        self, size: int, window: Window, counting: Counting
    ) -> Callable[[Mapping[str, NDArray[Any]]], tuple[NDArray[Any], ...]]:
        def windows(batch: dict[str, tf.Tensor]) -> list[tf.Tensor]:
            canvases, optics = self.module(batch, canvas=size)
            arrays = [canvases, optics.coverage]
            if not counting.is_plain:
                arrays.append(counted(counting, optics))
            return [window.cut(array) for array in arrays]

        graph = BatchFunction(windows, compiled=self.compiled)

        def arrays_of(batch: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
            tensors = {name: tf.convert_to_tensor(array) for name, array in batch.items()}
            return tuple(array.numpy() for array in graph((), tensors))

        return arrays_of

    def intensities(
        self, probe: NDArray[Any], patches: NDArray[Any], fractions: NDArray[Any], smoothing_sigma: float
    ) -> NDArray[Any]:
        probes = fourier_shift(tf.constant(probe), tf.constant(fractions))
        field = tf.signal.fft2d(smoothed(probes * patches[:, None], smoothing_sigma)) / probe.shape[-1]
        intensity = tf.reduce_sum(tf.math.real(field) ** 2 + tf.math.imag(field) ** 2, 1)
        return tf.signal.fftshift(intensity, axes=(-2, -1)).numpy()
