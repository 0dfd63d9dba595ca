"""One reconstruction, from an archive and a scan to an image."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pinn_archive.reader import find_archive
from pinn_config.configs import InferenceConfig, ModelConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import validate
from pinn_data.grouping.group_rows import canvas_size, reconstruction_rows
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.optics.probe import probe_modes
from pinn_data.prefetch import prefetched
from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import CancelledError, Report, Watcher
from pinn_data.run.results import Reconstruction, scales
from pinn_data.run.run_record import Origin
from pinn_data.scan.positions import Canvas, canvas_for
from pinn_data.scan.scan import Scan
from pinn_data.stitching.counting import Counting, Window
from pinn_data.stitching.cropping import cut_to, emptied_outside, on_canvas, without_border

from pinn_tf import BACKEND
from pinn_tf.archive.model_archive import TrainedModel, framework_versions, load_model
from pinn_tf.errors import NotFiniteError, RunError
from pinn_tf.model.module import PtychoPINN, probe_disk
from pinn_tf.model.network import read_weights, write_weights
from pinn_tf.model.tracing import BatchFunction
from pinn_tf.optics.canvas_sum import Mosaic, agreeing_phases, counted
from pinn_tf.optics.physics import fourier_shift
from pinn_tf.optics.smoothing import smoothed
from pinn_tf.runtime.devices import device_of, network_precision, on_device, resolved_precision
from pinn_tf.runtime.supported import refuse_unsupported
from pinn_tf.training.training_policy import HISTORICAL_EXECUTION

__all__ = ["run_reconstruction"]

_LOG = logging.getLogger(__name__)


@attrs.define
class _Clock:
    network: float = 0.0
    stitching: float = 0.0


def run_reconstruction(
    model: Path | TrainedModel,
    scan: Scan,
    config: InferenceConfig | None,
    execution: PyTorchExecutionConfig | None,
    *,
    seed: int,
    progress: Watcher | None = None,
) -> Reconstruction:
    """See `pinn_tf.workflows.reconstruct`. `model`: an archive, or a model of this process, which stays as it
    is."""
    began = time.perf_counter()
    trained = model if isinstance(model, TrainedModel) else load_model(model)
    execution = execution or HISTORICAL_EXECUTION
    config = config or InferenceConfig(model=trained.config.model)
    validate(config)
    refuse_unsupported(execution)
    if scan.N != trained.config.model.N:
        raise RunError(
            f"the patterns are {scan.N} x {scan.N}, but the model was trained for "
            f"N={trained.config.model.N}: "
            "crop or pad the patterns, or train a model for their size"
        )
    _refuse_other_network(config.model, trained.config.model)
    canvas = canvas_for(scan.positions, scan.N)
    inner = without_border(canvas, config.border_px)
    counting = Counting.of(scan.N, config.patch_weighting, execution.middle_trim, execution.pad_eval)
    device = device_of(execution.accelerator)
    precision = resolved_precision(device, execution.precision)
    origin = Origin(scan, model=None if isinstance(model, TrainedModel) else find_archive(model))
    with on_device(device):
        stack = PatternStack(scan)
        module = _module_for(trained, scan, precision)
        rows = reconstruction_rows(scan, stack.centres, config, trained.config.model.gridsize, seed=seed)
        _LOG.debug(
            "%d groups of %d of %d frames of %d x %d on %s; canvas %d x %d at %s",
            *rows.shape,
            len(scan),
            scan.N,
            scan.N,
            device,
            *canvas.shape,
            canvas.origin,
        )
        runner = _Runner(module, stack, rows, counting, precision, execution, trained.config.batch_size)
        with progress_bar(execution.enable_progress_bar) as bar:
            report = Report("reconstruction", bar, progress)
            _go_on(report, 0.0)
            mosaic = runner.run(lambda share: _go_on(report, share))
        image, coverage = (
            emptied_outside(on_canvas(array, mosaic.origin, canvas), canvas, inner)
            for array in (mosaic.image(), mosaic.coverage())
        )
        result = (image * np.float32(_object_scale(module, scan, stack, trained))).astype(np.complex64)
        seconds = time.perf_counter() - began
        probe = _file_probe(module, scan, trained)
        sigma = module.model.gaussian_smoothing_sigma
        residual = _residual(result, probe, scan, stack, canvas, sigma)
    batch_size = execution.inference_batch_size or trained.config.batch_size
    record = origin.record(
        replace(config, model=trained.config.model),
        replace(execution, precision=precision, inference_batch_size=batch_size),
        seed=seed,
        backend=BACKEND,
        package="pinn_tf",
        frameworks=framework_versions(),
    )
    report.finish()
    return Reconstruction(
        object=cut_to(result, canvas, inner),
        coverage=cut_to(coverage, canvas, inner),
        canvas=inner,
        positions=scan.positions,
        residual=residual,
        probe=probe if probe.ndim == 2 or len(probe) > 1 else probe[0],
        seconds={"network": runner.clock.network, "stitching": runner.clock.stitching, "total": seconds},
        gridsize=trained.config.model.gridsize,
        smoothing_sigma=sigma,
        scales=scales(
            nphotons=stack.nphotons,
            normalisation=stack.scale,
            intensity_scale=trained.gain * stack.intensity_scale,
        ),
        provenance=record,
    )


def _go_on(report: Report, share: float) -> None:
    """Tell; raises CancelledError where somebody who is told wants no more."""
    if not report(share):
        raise CancelledError(
            f"the reconstruction was cancelled when {share:.0%} of it was done, so there is no image"
        )


def _refuse_other_network(asked: ModelConfig, trained: ModelConfig) -> None:
    """The archive says what the network is; a config may repeat it or leave it at the defaults."""
    wrong = [
        f"{item.name}={getattr(asked, item.name)!r} (the archive's is {getattr(trained, item.name)!r})"
        for item in fields(ModelConfig)
        if getattr(asked, item.name) not in (item.default, getattr(trained, item.name))
    ]
    if wrong:
        raise RunError(
            f"the configuration asks for another network than the archive holds: {', '.join(wrong)}: "
            "leave these out, or open an archive of such a network"
        )


def _module_for(trained: TrainedModel, scan: Scan, precision: str) -> PtychoPINN:
    """The model with the scan's probe, or its own where that was trained; a copy."""
    source = trained.module
    module = PtychoPINN(source.model, probe_modes(scan.probe), 1.0, precision=network_precision(precision))
    read_weights(module.network, write_weights(source.network))
    if trained.probe_trained:
        module.restore(_unmasked_probe(source), 0.0, 1.0)
    return module


def _unmasked_probe(module: PtychoPINN) -> NDArray[np.complex64]:
    return np.ascontiguousarray(module.probe_parts.value.numpy()).view(np.complex64)[..., 0]


def _norm(probe: NDArray[np.complexfloating]) -> float:
    return float(np.sqrt(np.sum(np.abs(np.asarray(probe, np.complex128)) ** 2)))


def _object_scale(module: PtychoPINN, scan: Scan, stack: PatternStack, trained: TrainedModel) -> float:
    """From network units to the object that, with the probe of `_file_probe`, predicts sqrt(counts)."""
    inside = _norm(_unmasked_probe(module))
    outside = inside if trained.probe_trained else _norm(scan.probe)
    return inside / outside * trained.gain / stack.scale


def _file_probe(module: PtychoPINN, scan: Scan, trained: TrainedModel) -> NDArray[np.complex64]:
    if trained.probe_trained:
        return module.probe.numpy()
    # The network was given no more than the mask leaves of it.
    return scan.probe * probe_disk(scan.N) if module.model.probe_mask else scan.probe


def _frame_of(corners: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Origin and shape of the mosaic that holds canvases of this size at these corners (canvas, 2)."""
    origin = corners.min(0)
    rows, columns = (int(v) for v in corners.max(0) - origin + size)
    return origin, (rows, columns)


_Kept = tuple[NDArray[Any], ...]
"""Windows of a batch, their light and, where pixels do not count by that, what they count."""


class _Runner:
    """A network over the groups of a scan."""

    def __init__(
        self,
        module: PtychoPINN,
        stack: PatternStack,
        rows: NDArray[np.int64],
        counting: Counting,
        precision: str,
        execution: PyTorchExecutionConfig,
        batch_size: int,
    ) -> None:
        self.module, self.stack, self.rows, self.counting = module, stack, rows, counting
        self.precision, self.execution = precision, execution
        self.batch_size = execution.inference_batch_size or batch_size
        self.size = canvas_size(stack.centres, rows, stack.N)
        self.window = Window.of(module.probe.numpy(), self.size, counting)
        self.corners = stack.centres[rows].min(1) - stack.N // 2
        self.origin, self.shape = _frame_of(self.corners, self.size)
        self.clock = _Clock()
        self._windows = BatchFunction(self._network, compiled=execution.compile)

    def _network(self, batch: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """The windows of a batch, their light and, where pixels do not count by that, what they count."""
        canvases, optics = self.module(batch, canvas=self.size)
        arrays = [canvases, optics.coverage]
        if not self.counting.is_plain:
            arrays.append(counted(self.counting, optics))
        return [self.window.cut(array) for array in arrays]

    def run(self, report: Callable[[float], None]) -> Mosaic:
        """The image of all groups. Their phases agree by what the light tells; pixels count as asked."""
        mosaic = Mosaic(self.origin, self.shape)
        kept: list[_Kept] = []
        for done, batch in self._batches():
            began = time.perf_counter()
            kept.append(tuple(array.numpy() for array in self._windows((), batch)))
            self.clock.network += time.perf_counter() - began
            report(done)
        began = time.perf_counter()
        self._join(kept, mosaic)
        self.clock.stitching += time.perf_counter() - began
        _check_finite(mosaic.image(), self.precision)
        return mosaic

    def _join(self, kept: list[_Kept], mosaic: Mosaic) -> None:
        windows, light, *asked = (np.concatenate(arrays) for arrays in zip(*kept, strict=True))
        kept.clear()
        _check_finite(windows, self.precision)
        corners = self.corners + self.window.first
        windows *= agreeing_phases(windows, light, corners)[:, None, None]
        weights = asked[0] if asked else light
        for start in range(0, len(windows), self.batch_size):
            part = slice(start, start + self.batch_size)
            mosaic.add(windows[part], weights[part], corners[part])

    def _batches(self) -> Iterator[tuple[float, dict[str, tf.Tensor]]]:
        starts = range(0, len(self.rows), self.batch_size)
        parts = [slice(start, min(start + self.batch_size, len(self.rows))) for start in starts]
        workers, ahead = self.execution.num_workers, self.execution.prefetch_factor or 1
        gathered = prefetched(lambda part: self.stack.batch(self.rows[part]), parts, workers, ahead)
        for part, patterns in zip(parts, gathered, strict=True):
            batch = {name: tf.convert_to_tensor(array) for name, array in patterns.items()}
            yield part.stop / len(self.rows), batch


def _check_finite(image: NDArray[np.complex64], precision: str) -> None:
    if not np.isfinite(image).all():
        raise NotFiniteError(
            f"the network made numbers that are not finite, in precision {precision!r}: "
            + (
                "float16 holds none above 65504, so choose 'bf16-mixed' or '32-true'"
                if precision == "16-mixed"
                else "its weights may have diverged, so train it again with a lower learning rate"
            )
        )


def _residual(
    image: NDArray[np.complex64],
    probe: NDArray[np.complex64],
    scan: Scan,
    stack: PatternStack,
    canvas: Canvas,
    smoothing_sigma: float,
) -> float:
    """R over all frames, by the forward model of TensorFlow."""
    modes = tf.constant(probe_modes(probe).astype(np.complex64))
    mosaic = Mosaic(canvas.origin, canvas.shape)
    misfit = energy = 0.0
    for start in range(0, len(stack), 64):
        batch = stack.batch(np.arange(start, min(start + 64, len(stack)))[:, None])
        patches = mosaic.cut(image, batch["centres"][:, 0] - scan.N // 2, scan.N)
        probes = fourier_shift(modes, tf.constant(batch["fractions"][:, 0]))
        field = tf.signal.fft2d(smoothed(probes * patches[:, None], smoothing_sigma)) / scan.N
        intensity = tf.reduce_sum(tf.math.real(field) ** 2 + tf.math.imag(field) ** 2, 1)
        expected = tf.signal.fftshift(intensity, axes=(-2, -1)).numpy()
        if "stray" in batch:
            expected = expected + batch["stray"][0] / np.float32(stack.scale**2)
        measured = batch["amplitude"][:, 0] / np.float32(stack.scale)
        squares = (np.sqrt(expected) - measured) ** 2
        if "measured" in batch:
            squares *= batch["measured"][:, 0]
        misfit += float(np.sum(squares, dtype=np.float64))
        energy += float(np.sum(measured**2, dtype=np.float64))
    return float(np.sqrt(misfit / energy))
