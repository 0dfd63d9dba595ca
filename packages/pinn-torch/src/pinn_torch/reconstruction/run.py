"""The network's image of a scan, from an archive; `pinn_data.run.network_image` does what needs no
framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pinn_data.optics.probe import normalised_probe, probe_modes
from pinn_data.progress.bar import progress_bar
from pinn_data.progress.reports import Report, Watcher
from pinn_data.run.network_image import make_image
from pinn_data.run.reconstruction_job import ReconstructionJob
from pinn_data.run.results import Reconstruction
from pinn_data.scan.scan import Scan
from pinn_data.stitching.counting import Counting, Window

from pinn_torch.distributed.ranks import Team
from pinn_torch.distributed.spawn import run_on_all_ranks
from pinn_torch.distributed.strategies import processes_for
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.optics.counted import counted
from pinn_torch.optics.physics import fourier_shift
from pinn_torch.optics.smoothing import smoothed
from pinn_torch.runtime.compilation import compiled
from pinn_torch.runtime.devices import autocast, device_of, prepare_cpu

__all__ = ["run_network"]


def run_network(
    module: PtychoPINN_Lightning, job: ReconstructionJob, progress: Watcher | None
) -> Reconstruction:
    """The image of a trained module; several processes share the groups where the execution says so."""
    device = device_of(job.execution.accelerator)
    return run_on_all_ranks(
        _reconstruct,
        {"job": job, "module": module},
        {"progress": progress},
        processes=processes_for(job.execution, device),
        device=device,
    )


def _reconstruct(
    team: Team, job: ReconstructionJob, module: PtychoPINN_Lightning, progress: Watcher | None = None
) -> Reconstruction:
    """The share of one process, of which the first one reports."""
    device = team.device(device_of(job.execution.accelerator))
    if device.type == "cpu":
        prepare_cpu()
    module.to(device)
    if not job.probe_trained:
        _use_probe(module, job.scan)
    with (
        progress_bar(job.execution.enable_progress_bar and team.is_first) as bar,
        torch.inference_mode(),
        compiled(module.network, device, job.execution.compile),
    ):
        report = Report("reconstruction", bar, progress)
        network = _NetworkOnScan(module, device, job.execution.precision)
        result = make_image(job, network, report, team)
        report.finish()
        return result


def _use_probe(module: PtychoPINN_Lightning, scan: Scan) -> None:
    normalised = normalised_probe(probe_modes(scan.probe), scan.N, module.model.probe_scale)
    parts = torch.view_as_real(torch.from_numpy(normalised)).to(module.probe_parts.device)
    module.probe_parts = torch.nn.Parameter(parts.clone(), requires_grad=False)


class _NetworkOnScan:
    """`pinn_data.run.reconstruction_job.NetworkOnScan` of a module."""

    def __init__(self, module: PtychoPINN_Lightning, device: torch.device, precision: str) -> None:
        self.module, self.device, self.precision = module, device, precision
        self.place = str(device)
        self.probe: NDArray[np.complex64] = module.probe.detach().cpu().numpy()
        self.whole_probe = torch.view_as_complex(module.probe_parts.detach().cpu()).numpy()

    def windows_of(
        self, size: int, window: Window, counting: Counting
    ) -> Callable[[Mapping[str, NDArray[Any]]], tuple[NDArray[Any], ...]]:
        def windows(batch: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
            tensors = {name: torch.from_numpy(array).to(self.device) for name, array in batch.items()}
            with autocast(self.device, self.precision):
                canvases, optics = self.module(tensors, size)
            arrays = [canvases, optics.coverage]
            if not counting.is_plain:
                arrays.append(counted(counting, optics))
            return tuple(window.cut(array).cpu().numpy() for array in arrays)

        return windows

    def intensities(
        self, probe: NDArray[Any], patches: NDArray[Any], fractions: NDArray[Any], smoothing_sigma: float
    ) -> NDArray[Any]:
        modes, pieces, shifts = (
            torch.from_numpy(array).to(self.device) for array in (probe, patches, fractions)
        )
        waves = smoothed(fourier_shift(modes, shifts) * pieces[:, None], smoothing_sigma)
        field = torch.fft.fftshift(torch.fft.fft2(waves, norm="ortho"), dim=(-2, -1))
        return (field.real**2 + field.imag**2).sum(1).cpu().numpy()
