"""The rows of `benchmarks.network` for the TensorFlow backend."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from pinn_config.architecture import network
from pinn_data.files.npz import read_scan
from pinn_data.optics.probe import probe_modes
from pinn_tf.model.module import PtychoPINN
from pinn_tf.runtime.devices import network_precision
from pinn_tf.training.datamodule import GroupBatches
from pinn_tf.training.optimisation import Optimiser

from benchmarks.clock import medians
from benchmarks.line import Line
from benchmarks.rows import achieved_line, asked_for, compiled_line, named
from benchmarks.scans import SCAN, configs
from benchmarks.tf_peaks import TensorFlowPeaks

__all__ = ["compiled", "inference", "network_alone", "step"]

_ROUNDS = 15
_RATE = 1e-4


def _parts(folder: Path, architecture: str, gridsize: int, precision: str) -> tuple[Any, ...]:
    config, execution = configs(architecture, gridsize, folder, backend="tensorflow")
    execution = dataclasses.replace(execution, precision=precision)
    scan = read_scan(folder / SCAN)
    data = GroupBatches(scan, config, execution)
    module = PtychoPINN(
        config.model,
        probe_modes(scan.probe),
        data.stack.intensity_scale,
        precision=network_precision(precision),
    )
    _, batch = next(iter(data.epoch(0)))
    return module, execution, batch, data.canvas


def step(folder: Path, architecture: str, gridsize: int, precision: str) -> list[Line]:
    """One step of `pinn_tf.training.optimisation.Optimiser`, without the loop and without the gather.

    FLOPs: three times those of the forward convolutions; what physics and activations do is not counted.
    """
    module, execution, batch, canvas = _parts(folder, architecture, gridsize, precision)
    optimiser = Optimiser(module, execution)
    peaks = TensorFlowPeaks()
    functions = {"step": lambda: optimiser.take(batch, canvas, _RATE), **peaks.functions}
    times = medians(functions, _ROUNDS)
    flops = 3 * network(module.model).flops(canvas)
    what = f"TensorFlow: {named('training step', architecture, gridsize, precision)}"
    wanted = asked_for(architecture, gridsize, precision)
    return [achieved_line(what, {"canvas": canvas}, flops, times["step"], peaks.rates(times), wanted)]


def compiled(folder: Path, architecture: str, gridsize: int, precision: str) -> list[Line]:
    """The same step compiled by XLA, against the step as it is, in turn."""
    module, execution, batch, canvas = _parts(folder, architecture, gridsize, precision)
    plain = Optimiser(module, execution)
    made = Optimiser(module, dataclasses.replace(execution, compile=True))
    began = time.perf_counter()
    made.take(batch, canvas, _RATE)
    first = time.perf_counter() - began
    times = medians(
        {
            "compiled": lambda: made.take(batch, canvas, _RATE),
            "plain": lambda: plain.take(batch, canvas, _RATE),
        },
        _ROUNDS,
    )
    what = f"TensorFlow: {named('training step, compiled', architecture, gridsize, precision)}"
    return [compiled_line(what, times, first)]


def inference(folder: Path, architecture: str, gridsize: int, precision: str) -> list[Line]:
    """The network alone: from amplitudes to canvases, the optics at hand."""
    module, _, batch, canvas = _parts(folder, architecture, gridsize, precision)
    seconds, flops, rates = network_alone(module, batch, canvas)
    what = f"TensorFlow: {named('inference, network alone', architecture, gridsize, precision)}"
    wanted = asked_for(architecture, gridsize, precision)
    return [achieved_line(what, {}, flops, seconds, rates, wanted)]


def network_alone(module: PtychoPINN, batch: Any, canvas: int) -> tuple[float, float, dict[str, float]]:
    """Median seconds of a batch, FLOPs of a group, and the rates of `TensorFlowPeaks`."""
    # A reconstruction has no patterns that the network does not see.
    seen = {k: tf.constant(np.asarray(v)[:, : module.channels]) for k, v in batch.items()}
    _, optics = module(seen, canvas=canvas)
    graph = tf.function(lambda amplitude: module.network(amplitude, optics=optics))
    peaks = TensorFlowPeaks()
    times = medians({"network": lambda: graph(seen["amplitude"]), **peaks.functions}, _ROUNDS)
    return times["network"], network(module.model).flops(canvas), peaks.rates(times)
