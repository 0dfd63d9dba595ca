"""What the machine can do: matrix products and convolutions of this very process.

The peak that a network is held against is the best of several sizes of ``torch.mm`` in float32. On some
machines its library is slower than the convolutions of oneDNN (MKL leaves half of the vector unit of AMD
processors idle); there a network passes 100 %, so the fastest large convolution is measured, too, and the
ratio to it stands beside.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from benchmarks.clock import medians
from benchmarks.line import Line
from benchmarks.rows import CONVOLUTIONS, PRODUCTS, best_rates
from benchmarks.scans import BATCH

__all__ = ["Peaks", "peak", "prepare"]


def prepare() -> None:
    """The state in which this backend runs."""
    from pinn_torch.runtime.devices import prepare_cpu

    torch.manual_seed(0)
    prepare_cpu()


class Peaks:
    """Functions to be timed beside others, and what their times say."""

    def __init__(self) -> None:
        self.flops: dict[str, float] = {}
        self.functions: dict[str, Callable[[], Any]] = {}
        for m, n, k in PRODUCTS:
            a, b, c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
            self._add(f"product {m} {n} {k}", 2 * m * n * k, lambda a=a, b=b, c=c: torch.mm(a, b, out=c))
        for channels, side, kernel in CONVOLUTIONS:
            x = torch.randn(BATCH, channels, side, side).contiguous(memory_format=torch.channels_last)
            w = torch.randn(channels, channels, kernel, kernel).contiguous(memory_format=torch.channels_last)
            flops = 2 * BATCH * side**2 * channels**2 * kernel**2
            name = f"convolution {channels} {side} {kernel}"
            self._add(name, flops, lambda x=x, w=w: functional.conv2d(x, w, padding=w.shape[-1] // 2))

    def _add(self, name: str, flops: float, function: Callable[[], Any]) -> None:
        self.flops[name] = flops
        self.functions[name] = function

    def rates(self, seconds: dict[str, float]) -> dict[str, float]:
        """FLOP/s: 'product' and 'convolution', the fastest of each, and every single one."""
        return best_rates(self.flops, seconds)


def peak(folder: Path) -> list[Line]:
    """The machine."""
    prepare()
    peaks = Peaks()
    half = torch.randn(1024, 1024, dtype=torch.bfloat16)
    functions = {**peaks.functions, "bfloat16": lambda: torch.mm(half, half)}
    with torch.inference_mode():
        times = medians(functions, 15)
    rates = peaks.rates(times)
    bfloat16 = 2 * 1024**3 / times["bfloat16"]
    product = rates["product"]
    numbers = {**rates, "bfloat16": bfloat16, "torch": torch.__version__}
    convolution = rates["convolution"]
    return [
        Line("matrix product, float32 (the peak)", f"{product / 1e9:.0f} GFLOP/s", numbers=numbers),
        Line("convolution, float32", f"{convolution / 1e9:.0f} GFLOP/s", convolution / product, "peak"),
        Line("matrix product, bfloat16", f"{bfloat16 / 1e9:.0f} GFLOP/s", bfloat16 / product, "peak"),
    ]
