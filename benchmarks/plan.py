"""The rows of the table, as data: what is measured, and with which arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """One process.

    function : 'module:function' in this folder; it is called with the folder of the scans and `arguments`,
        and returns a list of `benchmarks.line.Line`
    """

    name: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)


def _network(kind: str, architecture: str, gridsize: int, precision: str = "32-true") -> Row:
    name = f"{kind}-{architecture}-{gridsize}" + ("" if precision == "32-true" else "-bf16")
    arguments = {"architecture": architecture, "gridsize": gridsize, "precision": precision}
    return Row(name, f"network:{kind}", arguments)


ROWS = (
    Row("peak", "peaks:peak"),
    _network("step", "cnn", 1),
    _network("step", "cnn", 1, "bf16-mixed"),
    _network("step", "cnn", 2),
    _network("step", "cnn", 2, "bf16-mixed"),
    _network("step", "unrolled", 1),
    _network("step", "unrolled", 2),
    _network("step", "unrolled", 2, "bf16-mixed"),
    _network("compiled", "cnn", 1),
    _network("compiled", "unrolled", 1),
    Row("loop-cnn-1", "pipeline:loop", {"architecture": "cnn", "gridsize": 1}),
    Row("loop-unrolled-2", "pipeline:loop", {"architecture": "unrolled", "gridsize": 2}),
    _network("inference", "cnn", 1),
    _network("inference", "cnn", 1, "bf16-mixed"),
    _network("inference", "cnn", 2),
    _network("inference", "unrolled", 2),
    Row("file-to-image-cnn-1", "pipeline:file_to_image", {"architecture": "cnn", "gridsize": 1}),
    Row("file-to-image-unrolled-2", "pipeline:file_to_image", {"architecture": "unrolled", "gridsize": 2}),
    Row("grouping-1", "grouping:grouping", {"gridsize": 1}),
    Row("grouping-2", "grouping:grouping", {"gridsize": 2}),
    Row("memory-cnn-counts", "memory:memory", {"architecture": "cnn", "unit": "counts"}),
    Row("memory-unrolled-counts", "memory:memory", {"architecture": "unrolled", "unit": "counts"}),
    Row("memory-unrolled-amplitude", "memory:memory", {"architecture": "unrolled", "unit": "amplitude"}),
    Row("startup", "startup:startup"),
)
"""In the order of the table."""
