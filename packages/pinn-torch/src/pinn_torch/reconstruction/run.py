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
import torch
from numpy.typing import NDArray
from pinn_archive.reader import find_archive
from pinn_config.configs import InferenceConfig, ModelConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.validation import validate
from pinn_data.grouping.group_rows import canvas_size, reconstruction_rows
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
from torch import Tensor

from pinn_torch import BACKEND
from pinn_torch.archive.model_archive import TrainedModel, framework_versions, load_model
from pinn_torch.distributed.ranks import Team
from pinn_torch.distributed.spawn import run_on_all_ranks
from pinn_torch.distributed.strategies import processes_for
from pinn_torch.errors import NotFiniteError, RunError
from pinn_torch.model.module import Batch, PtychoPINN_Lightning, normalised_probe, probe_disk
from pinn_torch.optics.canvas_sum import Mosaic, agreeing_phases, counted
from pinn_torch.optics.physics import fourier_shift
from pinn_torch.optics.smoothing import smoothed
from pinn_torch.runtime.compilation import compiled
from pinn_torch.runtime.devices import autocast, device_of, prepare_cpu, resolved_precision
from pinn_torch.training.datamodule import PatternStack

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
    progress: Watcher | None,
) -> Reconstruction:
    """See `pinn_torch.workflows.reconstruct`. `model`: an archive, or a model that was loaded already."""
    trained = model if isinstance(model, TrainedModel) else load_model(model)
    execution = execution or PyTorchExecutionConfig()
    config = config or InferenceConfig(model=trained.config.model)
    validate(config)
    if scan.N != trained.config.model.N:
        raise RunError(
            f"the patterns are {scan.N} x {scan.N}, but the model was trained for "
            f"N={trained.config.model.N}: "
            "crop or pad the patterns, or train a model for their size"
        )
    _refuse_other_network(config.model, trained.config.model)
    canvas = canvas_for(scan.positions, scan.N)
    device = device_of(execution.accelerator)
    shared = {
        "trained": trained,
        "scan": scan,
        "config": config,
        "execution": execution,
        "counting": Counting.of(scan.N, config.patch_weighting, execution.middle_trim, execution.pad_eval),
        "canvas": canvas,
        "inner": without_border(canvas, config.border_px),
        "seed": seed,
    }
    processes = processes_for(execution, device)
    origin = Origin(scan, model=None if isinstance(model, TrainedModel) else find_archive(model))
    result = run_on_all_ranks(
        _reconstruct, shared, {"progress": progress}, processes=processes, device=device
    )
    effective = replace(config, model=trained.config.model)
    precision = resolved_precision(device, execution.precision)
    batch_size = execution.inference_batch_size or trained.config.batch_size
    record = origin.record(
        effective,
        replace(execution, precision=precision, inference_batch_size=batch_size),
        seed=seed,
        backend=BACKEND,
        package="pinn_torch",
        frameworks=framework_versions(),
    )
    return attrs.evolve(result, provenance=record)


def _reconstruct(
    team: Team, execution: PyTorchExecutionConfig, progress: Watcher | None = None, **reconstruction: Any
) -> Reconstruction:
    """The share of one process, of which the first one tells how far it is."""
    with progress_bar(execution.enable_progress_bar and team.is_first) as bar:
        report = Report("reconstruction", bar, progress)
        _go_on(report, 0.0)
        found = _image(team, execution=execution, report=report, **reconstruction)
        report.finish()
        return found


def _go_on(report: Report, share: float) -> None:
    """Tell; raises CancelledError where somebody who is told wants no more."""
    if not report(share):
        raise CancelledError(
            f"the reconstruction was cancelled when {share:.0%} of it was done, so there is no image"
        )


def _image(
    team: Team,
    trained: TrainedModel,
    scan: Scan,
    config: InferenceConfig,
    execution: PyTorchExecutionConfig,
    counting: Counting,
    canvas: Canvas,
    inner: Canvas,
    seed: int,
    report: Report,
) -> Reconstruction:
    """The share of one process; all of them have the whole image in the end."""
    began = time.perf_counter()
    module, gridsize = trained.module, trained.config.model.gridsize
    device = team.device(device_of(execution.accelerator))
    if device.type == "cpu":
        prepare_cpu()
    module.to(device)
    stack = PatternStack(scan)
    if not trained.probe_trained:
        _use_probe(module, scan)
    rows = reconstruction_rows(scan, stack.centres, config, gridsize, seed=seed)
    _LOG.debug(
        "%d frames of %d x %d in %d groups of %d on %s; canvas %d x %d at %s",
        len(scan),
        scan.N,
        scan.N,
        *rows.shape,
        device,
        *canvas.shape,
        canvas.origin,
    )
    batch_size = execution.inference_batch_size or trained.config.batch_size
    clock = _Clock()
    with torch.inference_mode():
        precision = resolved_precision(device, execution.precision)
        runner = _Runner(
            module,
            stack,
            rows,
            batch_size,
            counting,
            device,
            precision,
            clock,
            lambda share: _go_on(report, share),
            team,
            execution.num_workers,
        )
        with compiled(module.network, device, execution.compile):
            mosaic = runner.run()
    scale = _object_scale(module, scan, stack, trained)
    origin = mosaic.origin.cpu().numpy()
    image, coverage = (
        emptied_outside(on_canvas(array.cpu().numpy(), origin, canvas), canvas, inner)
        for array in (mosaic.image(), mosaic.coverage())
    )
    total = time.perf_counter() - began
    result = np.ascontiguousarray(image * np.float32(scale)).astype(np.complex64)
    probe = _file_probe(module, scan, trained)
    sigma = module.model.gaussian_smoothing_sigma
    residual = _residual(torch.from_numpy(result).to(device), probe, scan, canvas, sigma, device, team)
    return Reconstruction(
        object=cut_to(result, canvas, inner),
        coverage=cut_to(coverage, canvas, inner),
        canvas=inner,
        positions=scan.positions,
        residual=residual,
        probe=probe if probe.ndim == 2 or len(probe) > 1 else probe[0],
        seconds={"network": clock.network, "stitching": clock.stitching, "total": total},
        gridsize=gridsize,
        smoothing_sigma=sigma,
        scales=scales(
            nphotons=stack.nphotons,
            normalisation=stack.scale,
            intensity_scale=trained.gain * stack.intensity_scale,
        ),
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


def _use_probe(module: PtychoPINN_Lightning, scan: Scan) -> None:
    modes = torch.from_numpy(probe_modes(scan.probe)).to(module.probe_parts.device)
    normalised = normalised_probe(modes.to(torch.complex64), scan.N, module.model.probe_scale)
    with torch.no_grad():
        module.probe_parts = torch.nn.Parameter(torch.view_as_real(normalised).clone(), requires_grad=False)


def _norm(probe: NDArray[np.complexfloating]) -> float:
    return float(np.sqrt(np.sum(np.abs(np.asarray(probe, np.complex128)) ** 2)))


def _object_scale(
    module: PtychoPINN_Lightning, scan: Scan, stack: PatternStack, trained: TrainedModel
) -> float:
    """From network units to the object that, with the probe of `_file_probe`, predicts sqrt(counts)."""
    inside = _norm(torch.view_as_complex(module.probe_parts.detach().cpu()).numpy())
    outside = inside if trained.probe_trained else _norm(scan.probe)
    return inside / outside * trained.gain / stack.scale


def _file_probe(module: PtychoPINN_Lightning, scan: Scan, trained: TrainedModel) -> NDArray[np.complex64]:
    if trained.probe_trained:
        return module.probe.detach().cpu().numpy()
    # The network was given no more than the mask leaves of it.
    return (
        scan.probe * probe_disk(scan.N, torch.device("cpu")).numpy()
        if module.model.probe_mask
        else scan.probe
    )


def _frame_of(corners: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Origin and shape of the mosaic that holds canvases of this size at these corners (canvas, 2)."""
    origin = corners.min(0)
    rows, columns = (int(v) for v in corners.max(0) - origin + size)
    return origin, (rows, columns)


_Kept = tuple[NDArray[Any], ...]
"""Windows of a batch, their light and, where pixels do not count by that, what they count."""


class _Runner:
    """A network over a scan, of whose groups every process of the team takes its part."""

    def __init__(
        self,
        module: PtychoPINN_Lightning,
        stack: PatternStack,
        rows: NDArray[np.int64],
        batch_size: int,
        counting: Counting,
        device: torch.device,
        precision: str,
        clock: _Clock,
        report: Callable[[float], None],
        team: Team,
        workers: int,
    ) -> None:
        self.workers = workers
        self.module, self.stack, self.batch_size, self.team = module, stack, batch_size, team
        self.device, self.precision, self.clock, self.report = device, precision, clock, report
        self.counting = counting
        self.size = canvas_size(stack.centres, rows, stack.N)
        self.window = Window.of(module.probe.detach().cpu().numpy(), self.size, counting)
        self.all_corners = stack.centres[rows].min(1) - stack.N // 2
        self.origin, self.shape = _frame_of(self.all_corners, self.size)
        self.part = team.part(len(rows))
        self.rows, self.corners = rows[self.part], self.all_corners[self.part]

    def run(self) -> Mosaic:
        """The image of all groups. Their phases agree by what the light tells; pixels count as asked."""
        mosaic = Mosaic(self.origin, self.shape, self.device)
        kept: list[_Kept] = []
        for done, batch in self._batches():
            began = time.perf_counter()
            with autocast(self.device, self.precision):
                canvases, optics = self.module(batch, self.size)
            self._wait()
            between = time.perf_counter()
            arrays = [canvases, optics.coverage]
            if not self.counting.is_plain:
                arrays.append(counted(self.counting, optics))
            kept.append(tuple(self.window.cut(array).cpu().numpy() for array in arrays))
            self.clock.network += between - began
            self.clock.stitching += time.perf_counter() - between
            self.report(done)
        began = time.perf_counter()
        self._join(kept, mosaic)
        self.clock.stitching += time.perf_counter() - began
        mosaic.add_up(self.team)
        _check_finite(mosaic.image().cpu().numpy(), self.precision)
        return mosaic

    def _join(self, kept: list[_Kept], mosaic: Mosaic) -> None:
        if not kept:  # the process has no group
            none = np.empty((0, self.window.size, self.window.size))
            kept.append((none.astype(np.complex64), none.astype(np.float32)))
        windows, light, *asked = (np.concatenate(arrays) for arrays in zip(*kept, strict=True))
        kept.clear()
        windows *= self._factors(windows, light)[:, None, None]
        corners = self.corners + self.window.first
        weights = asked[0] if asked else light
        for start in range(0, len(windows), self.batch_size):
            part = slice(start, start + self.batch_size)
            mosaic.add(
                torch.from_numpy(windows[part]).to(self.device),
                torch.from_numpy(weights[part]).to(self.device),
                torch.from_numpy(corners[part]).to(self.device),
            )

    def _factors(self, windows: NDArray[np.complex64], weights: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Of this process' windows: the first process has all of them before it and finds what agrees."""
        count = len(self.all_corners)
        every = [self.team.gather(torch.from_numpy(array), count) for array in (windows, weights)]
        factors = None
        if every[0] is not None and every[1] is not None:
            _check_finite(every[0].numpy(), self.precision)
            corners = self.all_corners + self.window.first
            factors = agreeing_phases(every[0].numpy(), every[1].numpy(), corners)
        return self.team.first(factors)[self.part]

    def _batches(self) -> Iterator[tuple[float, Batch]]:
        starts = range(0, len(self.rows), self.batch_size)
        parts = [slice(start, min(start + self.batch_size, len(self.rows))) for start in starts]
        gathered = prefetched(lambda part: self.stack.batch(self.rows[part]), parts, self.workers)
        for part, patterns in zip(parts, gathered, strict=True):
            yield part.stop / len(self.rows), {k: v.to(self.device) for k, v in patterns.items()}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


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
    image: Tensor,
    probe: NDArray[np.complex64],
    scan: Scan,
    canvas: Canvas,
    smoothing_sigma: float,
    device: torch.device,
    team: Team,
) -> float:
    """R over all frames, by the torch forward model."""
    stack = PatternStack(scan)
    modes = torch.from_numpy(probe_modes(probe)).to(device)
    mosaic = Mosaic(np.asarray(canvas.origin), canvas.shape, device)
    misfit = energy = 0.0
    own = np.arange(len(stack))[team.part(len(stack))]
    with torch.inference_mode():
        for start in range(0, len(own), 64):
            rows = own[start : start + 64]
            batch = {k: v.to(device) for k, v in stack.batch(rows).items()}
            patches = mosaic.cut(image, batch["centres"] - scan.N // 2, scan.N)
            waves = smoothed(fourier_shift(modes, batch["fractions"]) * patches[:, None], smoothing_sigma)
            field = torch.fft.fftshift(torch.fft.fft2(waves, norm="ortho"), dim=(-2, -1))
            intensity = (field.real**2 + field.imag**2).sum(1)
            if "stray" in batch:
                intensity = intensity + batch["stray"][0] / stack.scale**2
            predicted = torch.sqrt(intensity)
            measured = batch["amplitude"] / stack.scale
            squares = (predicted - measured) ** 2
            misfit += float((squares * batch.get("measured", 1.0)).sum(dtype=torch.float64))
            energy += float((measured**2).sum(dtype=torch.float64))
    misfit, energy = team.sum(torch.tensor([misfit, energy], dtype=torch.float64)).tolist()
    return float(np.sqrt(misfit / energy))
