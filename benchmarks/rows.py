"""What the lines of both backends say, and of which a bound is asked."""

from __future__ import annotations

from typing import Any

from benchmarks.line import Line
from benchmarks.scans import BATCH

__all__ = [
    "CONVOLUTIONS",
    "PRODUCTS",
    "achieved_line",
    "asked_for",
    "best_rates",
    "compiled_line",
    "named",
]

PRODUCTS = ((1024, 1024, 1024), (2048, 2048, 1024), (8192, 512, 512))
CONVOLUTIONS = ((128, 32, 1), (256, 16, 3), (256, 32, 3))
"""Of the peaks: rows, columns, inner length; channels, pixels along a side, kernel."""

_WANTED = (">=", 0.75)


def named(kind: str, architecture: str, gridsize: int, precision: str) -> str:
    return (
        f"{kind}, {architecture}, gridsize {gridsize}, {'float32' if precision == '32-true' else precision}"
    )


def asked_for(architecture: str, gridsize: int, precision: str) -> bool:
    return (architecture, gridsize, precision) == ("cnn", 1, "32-true")


def achieved_line(
    what: str, numbers: dict[str, Any], per_group: float, spent: float, rates: dict[str, float], wanted: bool
) -> Line:
    """FLOP/s of a batch that took `spent` seconds, `per_group` FLOPs each, against the peak."""
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


def compiled_line(what: str, times: dict[str, float], first: float) -> Line:
    """times : seconds of a batch, 'compiled' and 'plain'; first : of the first compiled one"""
    return Line(
        what,
        f"{BATCH / times['compiled']:.1f} groups/s",
        times["plain"] / times["compiled"],
        "not compiled",
        None,
        f"{first:.0f} s for the first batch",
        numbers={"seconds": times["compiled"], "plain": times["plain"], "first": first},
    )


def best_rates(flops: dict[str, float], seconds: dict[str, float]) -> dict[str, float]:
    """FLOP/s: 'product' and 'convolution', the fastest of each, and every single one."""
    each = {name: work / seconds[name] for name, work in flops.items()}
    kinds = ("product", "convolution")
    return {kind: max(v for k, v in each.items() if k.startswith(kind)) for kind in kinds} | each
