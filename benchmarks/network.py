"""The network: one training step, and inference, in FLOPs against the peak of the same process."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import torch
from pinn_config.architecture import network
from pinn_data.files.npz import read_scan
from pinn_data.optics.probe import probe_modes
from pinn_torch.model.module import PtychoPINN_Lightning
from pinn_torch.runtime.compilation import compile_network
from pinn_torch.runtime.devices import autocast
from pinn_torch.training.datamodule import ScanDataModule

from benchmarks.clock import medians
from benchmarks.line import Line
from benchmarks.peaks import Peaks, prepare
from benchmarks.rows import achieved_line, asked_for, compiled_line, named
from benchmarks.scans import SCAN, configs

__all__ = ["compiled", "inference", "step"]

_CPU = torch.device("cpu")
_ROUNDS = 15


def _module(folder: Path, architecture: str, gridsize: int) -> tuple[PtychoPINN_Lightning, ScanDataModule]:
    config, execution = configs(architecture, gridsize, folder)
    scan = read_scan(folder / SCAN)
    data = ScanDataModule(scan, config, execution)
    probe = torch.from_numpy(probe_modes(scan.probe))
    return PtychoPINN_Lightning(config.model, probe, data.stack.intensity_scale, execution=execution), data


def step(folder: Path, architecture: str, gridsize: int, precision: str) -> list[Line]:
    """The module's training_step, backward and optimiser, without Lightning's loop and without the loader.

    FLOPs: three times those of the forward convolutions; what physics and activations do is not counted.
    """
    prepare()
    module, data = _module(folder, architecture, gridsize)
    # What training_step asks of a trainer: how large the canvas is, how long the schedule. Nothing is logged.
    module._trainer = SimpleNamespace(datamodule=data, estimated_stepping_batches=10_000, global_step=0)
    module.log = module.log_dict = lambda *arguments, **options: None
    configured = module.configure_optimizers()
    optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
    batch = next(iter(data.train_dataloader()))

    def one() -> None:
        with autocast(_CPU, precision):
            loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    peaks = Peaks()
    times = medians({"step": one, **peaks.functions}, _ROUNDS)
    flops = 3 * network(module.model).flops(data.canvas)
    wanted = asked_for(architecture, gridsize, precision)
    what = named("training step", architecture, gridsize, precision)
    return [achieved_line(what, {"canvas": data.canvas}, flops, times["step"], peaks.rates(times), wanted)]


def compiled(folder: Path, architecture: str, gridsize: int, precision: str) -> list[Line]:
    """The same step with the network compiled, against the step as it is, in turn."""
    prepare()
    module, data = _module(folder, architecture, gridsize)
    batch = next(iter(data.train_dataloader()))

    def one() -> None:
        with autocast(_CPU, precision):
            module.loss(batch, data.canvas)["loss"].backward()

    def plain() -> None:
        # What torch.compile puts in place of a module's call; without it the module runs as it is.
        made, module.network._compiled_call_impl = module.network._compiled_call_impl, None
        one()
        module.network._compiled_call_impl = made

    compile_network(module.network, _CPU)
    began = time.perf_counter()
    one()
    first = time.perf_counter() - began
    times = medians({"compiled": one, "plain": plain}, _ROUNDS)
    what = named("forward and backward, compiled", architecture, gridsize, precision)
    return [compiled_line(what, times, first)]


def inference(folder: Path, architecture: str, gridsize: int, precision: str) -> list[Line]:
    """The network alone: from amplitudes on the device to canvases on the device, the optics at hand."""
    prepare()
    module, data = _module(folder, architecture, gridsize)
    module.eval()
    seconds, flops, rates = network_alone(module, data, precision)
    wanted = asked_for(architecture, gridsize, precision)
    what = named("inference, network alone", architecture, gridsize, precision)
    return [achieved_line(what, {}, flops, seconds, rates, wanted)]


def network_alone(
    module: PtychoPINN_Lightning, data: ScanDataModule, precision: str
) -> tuple[float, float, dict[str, float]]:
    """Median seconds of a batch, FLOPs of a group, and the rates of `Peaks`."""
    # A reconstruction has no patterns that the network does not see.
    batch = {k: v[:, : module.channels].contiguous() for k, v in next(iter(data.train_dataloader())).items()}
    peaks = Peaks()

    def alone() -> None:
        with autocast(_CPU, precision):
            module.network(batch["amplitude"], optics)

    with torch.inference_mode():
        _, optics = module(batch, data.canvas)
        times = medians({"network": alone, **peaks.functions}, _ROUNDS)
    return times["network"], network(module.model).flops(data.canvas), peaks.rates(times)
