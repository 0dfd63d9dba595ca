"""What TensorFlow makes of the machine: the products and convolutions of `benchmarks.peaks`, its own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.rows import CONVOLUTIONS, PRODUCTS, best_rates
from benchmarks.scans import BATCH

__all__ = ["TensorFlowPeaks"]


class TensorFlowPeaks:
    """Functions to be timed beside others, and what their times say."""

    def __init__(self) -> None:
        self.flops: dict[str, float] = {}
        self.functions: dict[str, Callable[[], Any]] = {}
        for m, n, k in PRODUCTS:
            a, b = tf.random.normal((m, k)), tf.random.normal((k, n))
            self._add(f"product {m} {n} {k}", 2 * m * n * k, lambda a=a, b=b: tf.matmul(a, b))
        for channels, side, kernel in CONVOLUTIONS:
            x = tf.random.normal((BATCH, side, side, channels))
            w = tf.random.normal((kernel, kernel, channels, channels))
            flops = 2 * BATCH * side**2 * channels**2 * kernel**2
            name = f"convolution {channels} {side} {kernel}"
            self._add(name, flops, lambda x=x, w=w: tf.nn.conv2d(x, w, 1, "SAME"))

    def _add(self, name: str, flops: float, function: Callable[[], Any]) -> None:
        self.flops[name] = flops
        # As a network's own operations run: in a graph.
        self.functions[name] = tf.function(function)

    def rates(self, seconds: dict[str, float]) -> dict[str, float]:
        """FLOP/s: 'product' and 'convolution', the fastest of each, and every single one."""
        return best_rates(self.flops, seconds)
