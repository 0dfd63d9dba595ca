"""The rows of the table, as data: what is measured, and with which arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.measured_scans import ROWS as MEASURED

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


def _network(kind: str, architecture: str, gridsize: int, precision: str = "32-true", tf: str = "") -> Row:
    name = f"{tf}{kind}-{architecture}-{gridsize}" + ("" if precision == "32-true" else "-bf16")
    arguments = {"architecture": architecture, "gridsize": gridsize, "precision": precision}
    return Row(name, f"{'tf_' if tf else ''}network:{kind}", arguments)


def _tensorflow(kind: str, architecture: str, gridsize: int, precision: str = "32-true") -> Row:
    return _network(kind, architecture, gridsize, precision, "tf-")


def _both(kind: str, architecture: str, gridsize: int) -> tuple[Row, Row]:
    """Rows of `benchmarks.pipeline`, one for each backend."""
    arguments = {"architecture": architecture, "gridsize": gridsize}
    name, function = f"{kind}-{architecture}-{gridsize}", f"pipeline:{kind.replace('-', '_')}"
    return (
        Row(name, function, arguments | {"backend": "pytorch"}),
        Row(f"tf-{name}", function, arguments | {"backend": "tensorflow"}),
    )


def _memory(architecture: str, unit: str, backend: str = "pytorch") -> Row:
    name = f"{'' if backend == 'pytorch' else 'tf-'}memory-{architecture}-{unit}"
    return Row(name, "memory:memory", {"architecture": architecture, "unit": unit, "backend": backend})


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
    *_both("loop", "cnn", 1),
    *_both("loop", "unrolled", 2),
    _network("inference", "cnn", 1),
    _network("inference", "cnn", 1, "bf16-mixed"),
    _network("inference", "cnn", 2),
    _network("inference", "unrolled", 2),
    _tensorflow("step", "cnn", 1),
    _tensorflow("step", "cnn", 1, "bf16-mixed"),
    _tensorflow("step", "cnn", 2),
    _tensorflow("step", "unrolled", 1),
    _tensorflow("step", "unrolled", 2),
    _tensorflow("step", "unrolled", 2, "bf16-mixed"),
    _tensorflow("compiled", "cnn", 1),
    _tensorflow("compiled", "unrolled", 1),
    _tensorflow("inference", "cnn", 1),
    _tensorflow("inference", "cnn", 1, "bf16-mixed"),
    _tensorflow("inference", "cnn", 2),
    _tensorflow("inference", "unrolled", 2),
    *_both("file-to-image", "cnn", 1),
    *_both("file-to-image", "unrolled", 2),
    Row("grouping-1", "grouping:grouping", {"gridsize": 1}),
    Row("grouping-2", "grouping:grouping", {"gridsize": 2}),
    _memory("cnn", "counts"),
    _memory("unrolled", "counts"),
    _memory("unrolled", "amplitude"),
    _memory("cnn", "counts", "tensorflow"),
    _memory("unrolled", "counts", "tensorflow"),
    Row("repeated", "repeated:repeated", {"backend": "pytorch"}),
    Row("tf-repeated", "repeated:repeated", {"backend": "tensorflow"}),
    Row("startup", "startup:startup"),
    *(Row(f"measured-{row}", "measured_experiment:measured_row", {"row": row}) for row in MEASURED),
    Row("measured-bench", "measured_bench:bench"),
    Row("measured-star", "measured_star:star"),
    Row("solver-engines", "solver_engines:engines"),
    Row("solver-gpu", "solver_engines:gpu"),
    Row("solver-scaling", "solver_scaling:scaling", {"wide": False}),
    Row("solver-scaling-wide", "solver_scaling:scaling", {"wide": True}),
)
"""In the order of the table."""
