"""The image that a trained network makes of a scan: its groups' canvases, brought to one phase and added."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from pinn_data.errors import NotFiniteError
from pinn_data.grouping.group_rows import canvas_size, reconstruction_rows
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.optics.probe import probe_disk, probe_modes
from pinn_data.prefetch import prefetched
from pinn_data.progress.reports import CancelledError, Report
from pinn_data.run.ranks import ONE_PROCESS, Ranks
from pinn_data.run.reconstruction_job import NetworkOnScan, ReconstructionJob
from pinn_data.run.results import Reconstruction, scales
from pinn_data.stitching.canvas_sum import CanvasSum, phase_factors
from pinn_data.stitching.counting import Window
from pinn_data.stitching.cropping import cut_to, emptied_outside, on_canvas

__all__ = ["make_image"]

_LOG = logging.getLogger(__name__)
_RESIDUAL_FRAMES = 64  # whose patterns are predicted at once


def make_image(
    job: ReconstructionJob, network: NetworkOnScan, report: Report, ranks: Ranks = ONE_PROCESS
) -> Reconstruction:
    """The image of the groups of a scan; every process of `ranks` has the whole of it in the end.

    report : is told how far it is; it may stop the work

    Raises CancelledError, NotFiniteError.
    """
    began = time.perf_counter()
    _go_on(report, 0.0)
    scan, config = job.scan, job.config
    stack = PatternStack(scan)
    rows = reconstruction_rows(scan, stack.centres, config, config.model.gridsize, seed=job.seed)
    _LOG.debug(
        "%d groups of %d of %d frames of %d x %d on %s; canvas %d x %d at %s",
        *rows.shape,
        len(scan),
        scan.N,
        scan.N,
        network.place,
        *job.canvas.shape,
        job.canvas.origin,
    )
    groups = _Groups(job, network, stack, rows, report, ranks)
    total = groups.add_up()
    image, coverage = (
        emptied_outside(on_canvas(array, total.origin, job.canvas), job.canvas, job.inner)
        for array in (total.image(), total.coverage)
    )
    image = (image * np.float32(_object_scale(job, network, stack))).astype(np.complex64)
    seconds = time.perf_counter() - began
    probe = _file_probe(job, network)
    sigma = config.model.gaussian_smoothing_sigma
    residual = _residual(job, network, stack, image, probe, ranks)
    return Reconstruction(
        object=cut_to(image, job.canvas, job.inner),
        coverage=cut_to(coverage, job.canvas, job.inner),
        canvas=job.inner,
        positions=scan.positions,
        residual=residual,
        probe=probe if probe.ndim == 2 or len(probe) > 1 else probe[0],
        seconds={"network": groups.network_seconds, "stitching": groups.stitching_seconds, "total": seconds},
        gridsize=config.model.gridsize,
        smoothing_sigma=sigma,
        scales=scales(
            nphotons=stack.nphotons,
            normalisation=stack.scale,
            intensity_scale=job.gain * stack.intensity_scale,
        ),
    )


def _go_on(report: Report, share: float) -> None:
    """Report; raises CancelledError if a watcher wants no more."""
    if not report(share):
        raise CancelledError(
            f"the reconstruction was cancelled when {share:.0%} of it was done, so there is no image"
        )


def _norm(probe: NDArray[np.complexfloating]) -> float:
    return float(np.sqrt(np.sum(np.abs(np.asarray(probe, np.complex128)) ** 2)))


def _object_scale(job: ReconstructionJob, network: NetworkOnScan, stack: PatternStack) -> float:
    """From network units to the object that, with the probe of `_file_probe`, predicts sqrt(counts)."""
    inside = _norm(network.whole_probe)
    outside = inside if job.probe_trained else _norm(job.scan.probe)
    return inside / outside * job.gain / stack.scale


def _file_probe(job: ReconstructionJob, network: NetworkOnScan) -> NDArray[np.complex64]:
    if job.probe_trained:
        return network.probe
    # The network was given no more than the mask leaves of it.
    return job.scan.probe * probe_disk(job.scan.N) if job.config.model.probe_mask else job.scan.probe


_Kept = tuple[NDArray[Any], ...]
"""Windows of a batch, their light and, where pixels do not count by that, what they count."""


@attrs.define
class _Groups:
    """The groups of a scan, of which every process has its part."""

    job: ReconstructionJob
    network: NetworkOnScan
    stack: PatternStack
    all_rows: NDArray[np.int64]
    report: Report
    ranks: Ranks
    network_seconds: float = 0.0
    stitching_seconds: float = 0.0

    def add_up(self) -> CanvasSum:
        """The sum of all canvases. Their phases agree by what the light tells; pixels count as asked."""
        N = self.stack.N
        size = canvas_size(self.stack.centres, self.all_rows, N)
        window = Window.of(self.network.probe, size, self.job.counting)
        windows_of = self.network.windows_of(size, window, self.job.counting)
        first = self.stack.centres[self.all_rows].min(1) - N // 2  # of each canvas, its pixel (0, 0)
        total = CanvasSum.around(first, size)
        kept: list[_Kept] = []
        for done, batch in self._batches():
            began = time.perf_counter()
            kept.append(windows_of(batch))
            self.network_seconds += time.perf_counter() - began
            _go_on(self.report, done)
        began = time.perf_counter()
        self._join(kept, window.size, first + window.first, total)
        self.stitching_seconds += time.perf_counter() - began
        self._check_finite(total.image())
        return total

    def _join(self, kept: list[_Kept], size: int, corners: NDArray[np.int64], total: CanvasSum) -> None:
        if not kept:  # the process has no group
            none = np.empty((0, size, size))
            kept.append((none.astype(np.complex64), none.astype(np.float32)))
        windows, light, *counts = (np.concatenate(arrays) for arrays in zip(*kept, strict=True))
        kept.clear()
        part = self.ranks.part(len(corners))
        windows *= self._factors(windows, light, corners)[part][:, None, None]
        total.add(windows, counts[0] if counts else light, corners[part])
        for values in (total.total, total.coverage):
            self.ranks.add_up(values)

    def _factors(
        self, windows: NDArray[np.complex64], light: NDArray[np.float32], corners: NDArray[np.int64]
    ) -> NDArray[np.complex64]:
        """One factor for each window of all processes; the first process has all windows to find them."""
        every = [self.ranks.gather(array, len(corners)) for array in (windows, light)]
        factors = None
        if every[0] is not None and every[1] is not None:
            self._check_finite(every[0])
            middles = corners + windows.shape[-1] // 2
            factors = phase_factors(every[0], middles, every[1]).astype(np.complex64)
        found = self.ranks.first(factors)
        assert found is not None
        return found

    def _batches(self) -> Iterator[tuple[float, Mapping[str, NDArray[Any]]]]:
        rows, execution = self.all_rows[self.ranks.part(len(self.all_rows))], self.job.execution
        step = execution.inference_batch_size or len(rows)
        parts = [slice(start, min(start + step, len(rows))) for start in range(0, len(rows), step)]
        gathered = prefetched(
            lambda part: self.stack.batch(rows[part]),
            parts,
            execution.num_workers,
            execution.prefetch_factor or 1,
        )
        for part, batch in zip(parts, gathered, strict=True):
            yield part.stop / len(rows), batch

    def _check_finite(self, image: NDArray[np.complex64]) -> None:
        if not np.isfinite(image).all():
            precision = self.job.execution.precision
            raise NotFiniteError(
                f"the network made numbers that are not finite, in precision {precision!r}: "
                + (
                    "float16 holds none above 65504, so choose 'bf16-mixed' or '32-true'"
                    if precision == "16-mixed"
                    else "its weights may have diverged, so train it again with a lower learning rate"
                )
            )


def _residual(
    job: ReconstructionJob,
    network: NetworkOnScan,
    stack: PatternStack,
    image: NDArray[np.complex64],
    probe: NDArray[np.complex64],
    ranks: Ranks,
) -> float:
    """R over all frames, by the backend's forward model."""
    modes = probe_modes(probe).astype(np.complex64)
    canvas = CanvasSum(np.asarray(job.canvas.origin), job.canvas.shape)
    sums = np.zeros(2)
    own = np.arange(len(stack))[ranks.part(len(stack))]
    for start in range(0, len(own), _RESIDUAL_FRAMES):
        batch = stack.batch(own[start : start + _RESIDUAL_FRAMES, None])
        patches = canvas.cut(image, batch["centres"][:, 0] - stack.N // 2, stack.N)
        sigma = job.config.model.gaussian_smoothing_sigma
        expected = network.intensities(modes, patches, batch["fractions"][:, 0], sigma)
        if "stray" in batch:
            expected = expected + batch["stray"][0] / np.float32(stack.scale**2)
        measured = batch["amplitude"][:, 0] / np.float32(stack.scale)
        squares = (np.sqrt(expected) - measured) ** 2
        if "measured" in batch:
            squares *= batch["measured"][:, 0]
        sums += np.sum(squares, dtype=np.float64), np.sum(measured**2, dtype=np.float64)
    misfit, energy = ranks.add_up(sums)
    return float(np.sqrt(misfit / energy))
