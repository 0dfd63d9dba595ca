"""The network: one training step, and inference, in FLOPs against the peak of the same process."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from pinn_config.architecture import network
from pinn_data.npz import read_scan
from pinn_data.probe import probe_modes
from pinn_torch.compilation import compile_network
from pinn_torch.datamodule import ScanDataModule
from pinn_torch.devices import autocast
from pinn_torch.module import PtychoPINN_Lightning

from benchmarks.clock import medians
from benchmarks.line import Line
from benchmarks.peaks import Peaks, prepare
from benchmarks.scans import BATCH, SCAN, configs

__all__ = ["compiled", "inference", "step"]

_CPU = torch.device("cpu")
_WANTED = (">=", 0.75)
_ROUNDS = 15


def _module(folder: Path, architecture: str, gridsize: int) -> tuple[PtychoPINN_Lightning, ScanDataModule]:
    config, execution = configs(architecture, gridsize, folder)
    scan = read_scan(folder / SCAN)
    data = ScanDataModule(scan, config, execution)
    probe = torch.from_numpy(probe_modes(scan.probe))
    return PtychoPINN_Lightning(config.model, probe, data.stack.intensity_scale, execution=execution), data


def _line(
    what: str, numbers: dict[str, Any], per_group: float, spent: float, rates: dict[str, float], wanted: bool
) -> Line:
    achieved = per_group * BATCH / spent
    return Line(
        what,
        f"{BATCH / spent:.1f} groups/s, {achieved / 1e9:.0f} GFLOP/s",
        achieved / rates["product"],
        "peak",
        _WANTED if wanted else None,
        f"{achieved / rates['convolution']:.2f} of the convolution peak",
        numbers={"seconds": spent, "flops_per_group": per_group, "rates": rates, **numbers},
    )


def _asked_for(architecture: str, gridsize: int, precision: str) -> bool:
    return (architecture, gridsize, precision) == ("cnn", 1, "32-true")


def _named(kind: str, architecture: str, gridsize: int, precision: str) -> str:
    return (
        f"{kind}, {architecture}, gridsize {gridsize}, {'float32' if precision == '32-true' else precision}"
    )


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
    wanted = _asked_for(architecture, gridsize, precision)
    named = _named("training step", architecture, gridsize, precision)
    return [_line(named, {"canvas": data.canvas}, flops, times["step"], peaks.rates(times), wanted)]


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
    return [
        Line(
            _named("forward and backward, compiled", architecture, gridsize, precision),
            f"{BATCH / times['compiled']:.1f} groups/s",
            times["plain"] / times["compiled"],
            "not compiled",
            None,
            f"{first:.0f} s for the first batch",
            numbers={"seconds": times["compiled"], "plain": times["plain"], "first": first},
        )
    ]


def inference(folder: Path, architecture: str, gridsize: int, precision: str) -> list[Line]:
    """The network alone: from amplitudes on the device to canvases on the device, the optics at hand."""
    prepare()
    module, data = _module(folder, architecture, gridsize)
    module.eval()
    seconds, flops, rates = network_alone(module, data, precision)
    wanted = _asked_for(architecture, gridsize, precision)
    named = _named("inference, network alone", architecture, gridsize, precision)
    return [_line(named, {}, flops, seconds, rates, wanted)]


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
